"""Where a model comes from: whatever a user types becomes a folder on this machine."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from goodctl.errors import NotFoundError, UsageError
from goodctl.models import hub, packaged, unpack
from goodctl.progress import Report, silent

ALIASES = (packaged.ALIAS,)


@dataclass(frozen=True)
class ModelSource:
    """A model that is on this machine.

    Attributes:
        name: What finds it again: a hub id, an alias, or the absolute path of a folder or ``.gguf`` file.
        folder: A folder in Hugging Face's format.
        revision: The commit of a hub id; None for everything else.
    """

    name: str
    folder: Path
    revision: str | None = None


def resolve(
    model: str,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    report: Report = silent,
    hub_cache: Path | None = None,
) -> ModelSource:
    """Find a model, downloading or unpacking it where that is needed.

    An alias goes before a path, a path that exists before a hub id.

    Args:
        model: The alias ``gemma3-270m``, a ``.gguf`` file, a folder with a ``config.json``, or a hub id.
        revision: Branch, tag or commit; of a hub id only.
        trust_remote_code: Whether to download the Python files of a hub id too.
        report: Told of downloads and of unpacking.
        hub_cache: Where hub models are kept; by default where ``huggingface_hub`` keeps them.

    Raises:
        NotFoundError: There is no such model, or the folder holds none.
        ServiceError: The hub cannot be reached, or refuses.
        MissingDependency: Reading it needs a package that is not installed.
        DamagedError: The file is not what was published.
        UsageError: A revision of something that has none.
    """
    path = Path(model).expanduser()
    is_alias = model in ALIASES
    is_local = not is_alias and bool(model) and path.exists()
    if (is_alias or is_local) and revision is not None:
        raise UsageError(f"{model} is not a hub id, so it has no revision {revision}.", hint="Leave out --revision.")
    if is_alias:
        return ModelSource(model, packaged.unpack_alias(report))
    if is_local:
        return ModelSource(str(path.resolve()), _local_folder(path.resolve(), report))
    if not model or _looks_like_path(model):
        raise NotFoundError(f"There is no file or folder {model!r}.", hint=_suggestion(model))
    folder = hub.download(
        model,
        revision=revision,
        trust_remote_code=trust_remote_code,
        report=report,
        cache_dir=hub_cache,
        suggestion=_suggestion(model),
    )
    return ModelSource(model, folder, hub.commit(folder))


def _local_folder(path: Path, report: Report) -> Path:
    if path.is_file():
        if path.suffix.lower() != ".gguf":
            raise NotFoundError(f"{path} is no model.", hint="Name a folder with a config.json, or a .gguf file.")
        return unpack.unpack_file(path, report)
    if (path / "config.json").is_file():
        return path
    hint = "Name the folder that save_pretrained wrote."
    if (path / "adapter_config.json").is_file():
        hint = "It holds an adapter: merge it into its model with peft's merge_and_unload, and save that."
    elif ggufs := sorted(path.glob("*.gguf")):
        hint = f"It holds .gguf files: name one of them, {ggufs[0]}."
    raise NotFoundError(f"{path} has no config.json, so it is no model.", hint=hint)


def _looks_like_path(model: str) -> bool:
    return (
        model.startswith((".", "/", "~"))
        or model.endswith(("/", ".gguf"))
        or model.count("/") > 1
        or Path(model).is_absolute()
        or "\\" in model
    )


def _suggestion(model: str) -> str:
    """What the user may have meant."""
    path = Path(model).expanduser()
    try:
        neighbours = [str(path.parent / entry.name) for entry in path.parent.iterdir()] if model else []
    except OSError:
        neighbours = []
    folded = {name.casefold(): name for name in [*neighbours, *ALIASES]}
    close = difflib.get_close_matches(str(path).casefold(), list(folded), n=3, cutoff=0.7)
    if not close:
        close = difflib.get_close_matches(path.name.casefold(), list(ALIASES), n=1, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(folded[name] for name in close)}?"
    return f"Name a hub id such as openai-community/gpt2, a model's folder, a .gguf file, or {ALIASES[0]}."
