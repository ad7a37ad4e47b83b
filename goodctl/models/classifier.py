"""A model's folder becomes a tokenizer and a sequence classifier on a device: safetensors only, and no foreign code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

from goodctl.errors import DamagedError, GoodctlError, IncompatibleError, MissingDependency, NotFoundError, UsageError
from goodctl.models import hub
from goodctl.models.device import choose_device
from goodctl.models.load import first_line, load_config, load_tokenizer, window_of
from goodctl.models.quiet import quiet
from goodctl.models.source import ModelSource
from goodctl.models.weight_files import weight_files
from goodctl.progress import Report, silent

SUGGESTION = "Name a hub id such as unitary/toxic-bert, or the folder of a classifier."
UNLIMITED = 512
"""Tokens of a text that are read where neither model nor tokenizer has a limit."""

_HEAD = "ForSequenceClassification"
_NO_LIMIT = 10**6  # tokenizers without a limit state a very large number


@dataclass(frozen=True)
class LoadedClassifier:
    """A sequence classifier that is ready to compute, in float32.

    Attributes:
        model: In evaluation mode, without gradients.
        tokenizer: Its tokenizer.
        source: Where it came from.
        device: Where it is.
        labels: Their names, in the order of the logits.
        problem_type: What transformers calls it (``multi_label_classification``), or None where nothing is said.
        window: The longest text in tokens, special tokens included.
        pad_id: The id that fills up short rows; None where texts must be run one at a time.
    """

    model: Any
    tokenizer: Any
    source: ModelSource
    device: torch.device
    labels: tuple[str, ...]
    problem_type: str | None
    window: int
    pad_id: int | None


def find_classifier(model: str, revision: str | None = None, report: Report = silent) -> ModelSource:
    """Find a classifier, downloading it where that is needed; a folder that exists goes before a hub id.

    Raises:
        NotFoundError: There is no such model, or the folder holds none.
        ServiceError: The hub cannot be reached, or refuses.
        UsageError: A revision of a folder.
    """
    path = Path(model).expanduser()
    if path.exists():
        if revision is not None:
            raise UsageError(f"{model} is a folder, so it has no revision {revision}.", hint="Leave out --revision.")
        if not (path / "config.json").is_file():
            raise NotFoundError(f"{path} has no config.json, so it is no model.", hint=SUGGESTION)
        return ModelSource(str(path.resolve()), path.resolve())
    if not model or model.startswith((".", "/", "~")) or model.endswith("/") or model.count("/") > 1 or "\\" in model:
        raise NotFoundError(f"There is no folder {model!r}.", hint=SUGGESTION)
    folder = hub.download(model, revision=revision, pickled=False, report=report, suggestion=SUGGESTION)
    return ModelSource(model, folder, hub.commit(folder))


def load_classifier(source: ModelSource, *, device: str = "auto") -> LoadedClassifier:
    """Load a sequence classifier for inference, in float32, so that scores do not depend on the machine's precision.

    Raises:
        IncompatibleError: It is no sequence classifier, its weights are pickled or lack its head, or this transformers
            does not know it.
        NotFoundError: Weights or tokenizer are missing.
        MissingDependency: Its tokenizer needs a package that is not installed.
        DamagedError: The weights cannot be read.
        UsageError: The device cannot be had.
    """
    chosen = choose_device(device)
    config = _without_code(source, lambda: load_config(source))
    _check(source, config)
    tokenizer = _tokenizer(source)
    model = _model(source).to(chosen).eval().requires_grad_(False)
    pad_id = _pad_id(model.config, tokenizer)
    model.config.pad_token_id = pad_id
    return LoadedClassifier(
        model=model,
        tokenizer=tokenizer,
        source=source,
        device=chosen,
        labels=tuple(str(model.config.id2label[number]) for number in range(model.config.num_labels)),
        problem_type=model.config.problem_type,
        window=_window(model, tokenizer),
        pad_id=None if model.config.is_encoder_decoder else pad_id,  # each text must hold one end mark exactly
    )


def _check(source: ModelSource, config: Any) -> None:
    """Check configuration and files before gigabytes are read."""
    heads = getattr(config, "architectures", None) or []
    known = type(config) in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING
    if not known or (heads and not any(head.endswith(_HEAD) for head in heads)):
        kind = ", ".join(heads) or config.model_type
        hint = "Use a model whose config.json names an architecture that ends with ForSequenceClassification."
        if "polyguard" in source.name.lower():
            hint = (
                "PolyGuard writes its judgement as text, which is no sequence classifier; use "
                "textdetox/xlmr-large-toxicity-classifier-v2 or unitary/multilingual-toxic-xlm-roberta."
            )
        raise IncompatibleError(f"{source.name} ({kind}) is no sequence classifier.", hint=hint)
    if any((source.folder / f"model.safetensors{end}").is_file() for end in ("", ".index.json")):
        weight_files(source.folder)
        return
    if pickled := sorted(source.folder.glob("*.bin")) or source.revision:
        named = f" ({pickled[0].name})" if isinstance(pickled, list) else ""
        raise IncompatibleError(
            f"{source.name} has no safetensors; its weights are pickled{named}, and a pickle can run code.",
            hint='Convert it where you trust it: python -c "from transformers import AutoTokenizer as T, '
            "AutoModelForSequenceClassification as M; "
            f"M.from_pretrained('{source.name}').save_pretrained('converted'); "
            f"T.from_pretrained('{source.name}').save_pretrained('converted')\", then use hf:converted.",
        )
    raise NotFoundError(
        f"{source.folder} has no weights: model.safetensors is missing.", hint="Save the model there again."
    )


def _tokenizer(source: ModelSource) -> Any:
    try:
        tokenizer = _without_code(source, lambda: load_tokenizer(source))
    except NotFoundError as error:
        if list(source.folder.glob("*.model")) and not (source.folder / "tokenizer.json").is_file():
            raise MissingDependency(
                f"The tokenizer of {source.name} needs packages: {error.message}",
                hint="pip install sentencepiece protobuf",
            ) from error
        raise
    tokenizer.truncation_side = "right"
    return tokenizer


def _without_code(source: ModelSource, load: Any) -> Any:
    """Load something; where it wants to bring code of its own, say that this is not to be had."""
    try:
        return load()
    except GoodctlError as error:
        if "--trust-remote-code" not in str(error.hint):
            raise
        raise IncompatibleError(
            f"{source.name} comes with code of its own, which scoring does not run.",
            hint="Use a classifier of an architecture that transformers knows.",
        ) from error


def _model(source: ModelSource) -> Any:
    try:
        with quiet():
            model, info = AutoModelForSequenceClassification.from_pretrained(
                source.folder,
                dtype=torch.float32,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            )
    except Exception as error:
        # safetensors and torch each have errors of their own for a file that is cut off.
        if isinstance(error, torch.OutOfMemoryError | MemoryError):
            raise
        raise DamagedError(
            f"The weights of {source.name} cannot be loaded: {first_line(error)}", hint="Fetch the model again."
        ) from error
    if missing := sorted(info["missing_keys"]):
        # transformers would fill these with random numbers and go on: every score would be noise.
        raise IncompatibleError(
            f"The weights of {source.name} lack {len(missing)} tensors that its model has, such as {missing[0]}.",
            hint="Use a model that was trained and saved as a sequence classifier.",
        )
    return model


def _pad_id(config: Any, tokenizer: Any) -> int | None:
    """The model's own: some find the end of a text, others its positions, by this id."""
    own = getattr(config, "pad_token_id", None)
    pad_id = own if own is not None else tokenizer.pad_token_id
    return None if pad_id is None else int(pad_id)


def _window(model: Any, tokenizer: Any) -> int:
    limits = [window_of(model.config.get_text_config()), tokenizer.model_max_length]
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            # RoBERTa and its kin count positions from behind the padding's id.
            limits.append(module.num_embeddings - module.padding_idx - 1)
    known = [int(limit) for limit in limits if limit is not None and 0 < limit < _NO_LIMIT]
    return min(known, default=UNLIMITED)
