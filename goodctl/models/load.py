"""A model's folder becomes a tokenizer and a causal language model on a device."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

from goodctl.errors import DamagedError, IncompatibleError, NotFoundError
from goodctl.models.device import DTYPES, choose_device, choose_precision
from goodctl.models.quiet import quiet
from goodctl.models.source import ModelSource
from goodctl.models.weight_files import weight_files

# The names under which configurations state how many positions a model has.
_WINDOW_NAMES = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length")
_OTHER_HEADS = re.compile(r"For(MaskedLM|PreTraining|SequenceClassification|TokenClassification|QuestionAnswering)$")


@dataclass(frozen=True)
class LoadedModel:
    """A causal language model that is ready to compute.

    Attributes:
        model: In evaluation mode, without gradients.
        tokenizer: Its tokenizer.
        source: Where it came from.
        device: Where it is.
        precision: ``bf16``, ``fp32`` or ``fp16``.
        vocabulary: How many logits it gives, which may be more than the tokenizer has tokens.
        window: The longest input in tokens, or None where the model sets no limit.
    """

    model: Any
    tokenizer: Any
    source: ModelSource
    device: torch.device
    precision: str
    vocabulary: int
    window: int | None

    @property
    def name(self) -> str:
        """What finds the model again."""
        return self.source.name


def load_tokenizer(source: ModelSource, trust_remote_code: bool = False) -> Any:
    """The tokenizer of a model.

    Raises:
        NotFoundError: The folder has none that can be loaded.
    """
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(
                source.folder, local_files_only=True, trust_remote_code=trust_remote_code
            )
    except (OSError, ValueError, TypeError, KeyError, ImportError) as error:
        raise NotFoundError(
            f"{source.name} has no tokenizer that can be loaded: {first_line(error)}",
            hint=f"Save its tokenizer into {source.folder} with save_pretrained."
            if "trust_remote_code" not in str(error)
            else "It comes with code of its own: pass --trust-remote-code if you trust it.",
        ) from error
    # Documents are longer than the window and are cut later; the warning about that would come once a run.
    tokenizer.deprecation_warnings["sequence-length-is-longer-than-the-specified-maximum"] = True
    return tokenizer


def load_model(
    source: ModelSource, *, device: str = "auto", precision: str = "auto", trust_remote_code: bool = False
) -> LoadedModel:
    """Load a causal language model for inference.

    Args:
        source: Where it is.
        device: ``auto``, or a name that torch knows.
        precision: ``auto``, ``bf16``, ``fp32`` or ``fp16``.
        trust_remote_code: Whether code that comes with the model may run.

    Raises:
        IncompatibleError: It is no causal language model, or this transformers does not know it.
        NotFoundError: Weights or tokenizer are missing.
        DamagedError: The weights cannot be read.
        UsageError: Device or precision cannot be had.
    """
    chosen = choose_device(device)
    chosen_precision = choose_precision(precision, chosen)
    config = load_config(source, trust_remote_code)
    _check_causal(source, config, trust_remote_code)
    weight_files(source.folder)
    tokenizer = load_tokenizer(source, trust_remote_code)
    model = _model(source, chosen_precision, trust_remote_code).to(chosen).eval().requires_grad_(False)
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        source=source,
        device=chosen,
        precision=chosen_precision,
        vocabulary=vocabulary_of(model),
        window=window_of(model.config.get_text_config()),
    )


def vocabulary_of(model: Any) -> int:
    """How many logits a causal language model gives."""
    head = model.get_output_embeddings()
    return int(model.config.get_text_config().vocab_size if head is None else head.weight.shape[0])


def load_config(source: ModelSource, trust_remote_code: bool = False) -> Any:
    """The configuration of a model.

    Raises:
        NotFoundError: There is none that can be read.
        IncompatibleError: This transformers does not know it.
    """
    try:
        with quiet():
            return AutoConfig.from_pretrained(source.folder, local_files_only=True, trust_remote_code=trust_remote_code)
    except OSError as error:
        raise NotFoundError(
            f"{source.name} has no config.json that can be read: {first_line(error)}", hint="Fetch the model again."
        ) from error
    except (ValueError, KeyError, TypeError, ImportError) as error:
        hint = "A newer transformers may know it: pip install -U transformers"
        if "trust_remote_code" in str(error):
            hint = "It comes with code of its own: pass --trust-remote-code if you trust it."
        raise IncompatibleError(
            f"transformers {transformers.__version__} cannot load {source.name}: {first_line(error)}", hint=hint
        ) from error


def _check_causal(source: ModelSource, config: Any, trust_remote_code: bool) -> None:
    """Check that the configuration is one of a causal language model, before gigabytes are read."""
    hint = "Use a decoder-only model, such as openai-community/gpt2 or gemma3-270m."
    if config.is_encoder_decoder:
        raise IncompatibleError(f"{source.name} ({config.model_type}) is an encoder-decoder model.", hint=hint)
    brings_code = trust_remote_code and "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {})
    known = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING
    # BERT and its kin can be built as a decoder, but what such a folder holds was trained to look both ways.
    heads = getattr(config, "architectures", None) or []
    trained_otherwise = bool(heads) and all(_OTHER_HEADS.search(head) for head in heads)
    if not (known or brings_code) or trained_otherwise:
        kind = ", ".join(heads) or config.model_type
        raise IncompatibleError(f"{source.name} ({kind}) is no causal language model.", hint=hint)


def _model(source: ModelSource, precision: str, trust_remote_code: bool) -> Any:
    try:
        with quiet():
            model, info = AutoModelForCausalLM.from_pretrained(
                source.folder,
                dtype=DTYPES[precision],
                local_files_only=True,
                trust_remote_code=trust_remote_code,
                # A pickle may hold code; this refuses to run it.
                weights_only=True,
                output_loading_info=True,
            )
    except ImportError as error:
        raise IncompatibleError(f"Loading {source.name} needs a package: {error}", hint="Install it.") from error
    except Exception as error:
        # safetensors, pickle and torch each have errors of their own for a file that is cut off.
        if isinstance(error, torch.OutOfMemoryError | MemoryError):
            raise
        raise DamagedError(
            f"The weights of {source.name} cannot be loaded: {first_line(error)}",
            hint="Fetch the model again, or save it again with save_pretrained.",
        ) from error
    if missing := sorted(info["missing_keys"]):
        # transformers would fill these with random numbers and go on.
        raise IncompatibleError(
            f"The weights of {source.name} lack {len(missing)} tensors that its model has, such as {missing[0]}.",
            hint="Use a checkpoint that was saved as a causal language model.",
        )
    return model


def window_of(text_config: Any) -> int | None:
    """How many positions a configuration says that its model has, or None."""
    for name in _WINDOW_NAMES:
        value = getattr(text_config, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return None


def first_line(error: BaseException) -> str:
    """What an error says first, or its name where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
