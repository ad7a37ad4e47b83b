"""Models from the Hugging Face hub, or from its cache when there is no network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from goodctl.errors import GoodctlError, NotFoundError, ServiceError
from goodctl.progress import Progress, Report, silent

_SMALL_FILES = ["*.json", "*.model", "*.txt", "*.tiktoken", "*.jinja"]
_SAFE_WEIGHTS = ["*.safetensors"]
_PICKLED_WEIGHTS = ["pytorch_model*.bin"]
_CODE = ["*.py"]
# Other formats of the same model lie in subfolders; other precisions and vendors' formats bear these names.
_NEVER = ["*/*", "consolidated*", "*.fp16.*", "*.bf16.*", "*.fp32.*", "*.non_ema.*"]


def download(
    model: str,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    pickled: bool = True,
    report: Report = silent,
    cache_dir: Path | None = None,
    suggestion: str | None = None,
    snapshot_download: Callable[..., str] | None = None,
) -> Path:
    """The folder of a snapshot, with whatever of it was missing downloaded.

    Args:
        model: The hub id.
        revision: Branch, tag or commit; None is the default branch.
        trust_remote_code: Whether to download Python files too.
        pickled: Whether to download pickled weights where there are no others.
        report: Told of the bytes downloaded.
        cache_dir: The hub's cache; None is the usual one.
        suggestion: The hint for a model that is not there.
        snapshot_download: Takes the place of ``huggingface_hub.snapshot_download``.

    Raises:
        NotFoundError: The hub has no such model or revision, or it is not in the format of transformers.
        ServiceError: The hub cannot be reached and the cache has no copy, or the hub refuses.
    """
    if snapshot_download is None:
        from huggingface_hub import snapshot_download

    def fetch(patterns: list[str]) -> Path:
        assert snapshot_download is not None
        return Path(
            snapshot_download(
                model,
                revision=revision,
                cache_dir=cache_dir,
                allow_patterns=patterns,
                ignore_patterns=_NEVER,
                tqdm_class=_reporting_bar(report),
            )
        )

    try:
        folder = fetch(_SMALL_FILES + _SAFE_WEIGHTS + (_CODE if trust_remote_code else []))
        if pickled and not any(folder.glob("*.safetensors")):
            # Pickled weights are gigabytes that nobody needs where the safe ones exist.
            folder = fetch(_PICKLED_WEIGHTS)
    except Exception as error:
        translated = _translate(error, model, revision, suggestion)
        if translated is None:
            raise
        raise translated from error
    if not (folder / "config.json").is_file():
        raise NotFoundError(
            f"{model} on the hub has no config.json, so it is no model that transformers can load.",
            hint="Where it holds .gguf files, download one and name the file.",
        )
    return folder


def commit(folder: Path) -> str | None:
    """The commit of a snapshot's folder, or None where the folder is none."""
    return folder.name if folder.parent.name == "snapshots" else None


def _translate(error: Exception, model: str, revision: str | None, suggestion: str | None) -> GoodctlError | None:
    """The error to show for one of the hub's, or None for what is a bug."""
    return _refused(error, model) or _not_there(error, model, revision, suggestion) or _unreachable(error, model)


def _refused(error: Exception, model: str) -> GoodctlError | None:
    from huggingface_hub import errors

    # A gated repository is a kind of missing one to the hub, so this is asked first.
    if isinstance(error, errors.GatedRepoError):
        return ServiceError(
            f"{model} is gated: its owner wants you to agree to terms first.",
            hint=f"Agree on https://huggingface.co/{model}, then log in with `hf auth login`.",
        )
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in {401, 403} and not isinstance(error, errors.RepositoryNotFoundError):
        return ServiceError(
            f"The hub refuses {model} (status {status}).", hint="Log in with `hf auth login` and a token that may read."
        )
    return None


def _not_there(error: Exception, model: str, revision: str | None, suggestion: str | None) -> GoodctlError | None:
    from huggingface_hub import errors

    if isinstance(error, errors.RevisionNotFoundError):
        return NotFoundError(f"{model} has no revision {revision!r}.", hint="Leave out --revision, or name a commit.")
    if isinstance(error, errors.RepositoryNotFoundError | errors.HFValidationError):
        return NotFoundError(
            f"There is no model {model!r}, neither as a file or folder here nor on the hub.",
            hint=f"{suggestion or 'Check the name.'} If it is private: `hf auth login`.",
        )
    if isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        return ServiceError(
            f"{model} is no file or folder here, and the hub cannot be reached to download it.",
            hint=f"{suggestion or ''} Else check the network and HF_HUB_OFFLINE, or name a model's folder.".strip(),
        )
    return None


def _unreachable(error: Exception, model: str) -> GoodctlError | None:
    # The hub's HTTP client changed its package once; its errors are known by where they come from.
    if isinstance(error, OSError) or type(error).__module__.split(".")[0] in {"httpx", "httpx2", "requests"}:
        return ServiceError(
            f"Downloading {model} failed: {error}.", hint="Run the command again; what has arrived is kept."
        )
    return None


def _reporting_bar(report: Report) -> Any:
    """A class in the place of tqdm that draws nothing and reports bytes."""
    from tqdm.std import tqdm  # type: ignore[import-untyped, unused-ignore]

    class ReportingBar(tqdm):  # type: ignore[misc, type-arg, unused-ignore]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counts_bytes = kwargs.get("unit") == "B" and "Downloading" in str(kwargs.get("desc", ""))
            self._bytes = 0
            kwargs.pop("name", None)
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            if self._counts_bytes:
                self._bytes += int(n or 0)
                report(Progress("downloading", done=self._bytes, total=int(self.total or 0) or None, unit="bytes"))
            return None

    return ReportingBar
