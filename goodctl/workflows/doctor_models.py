"""Models that need no hub, and the hub."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from goodctl.models.names import PACKAGED as ALIAS
from goodctl.workflows.doctor_findings import Finding, State, isolated
from goodctl.workflows.doctor_packages import DEMO, GEMMA, GGUF, Errors
from goodctl.workflows.doctor_probes import Probes

HUB = "https://huggingface.co"


def models(probes: Probes, errors: Errors, *, offline: bool) -> Iterator[Finding]:
    """The model that comes as a package, and whether others can be had."""
    yield from isolated(ALIAS, lambda: _packaged(probes, errors))
    yield from isolated("model hub", lambda: _hub(probes, offline))


def _packaged(probes: Probes, errors: Errors) -> Iterator[Finding]:
    error = errors[GEMMA.module]
    if error is not None:
        text = f"is not installed ({error})"
        yield Finding(ALIAS, State.MISSING, text, DEMO.install, {"installed": False, "error": error})
        return
    package = importlib.import_module(GEMMA.module)
    lacking = [str(chunk) for chunk in package.chunk_paths() if not Path(chunk).is_file()]
    unpacked = any(
        path.is_dir() for path in (probes.cache / "models").glob(f"{Path(package.MODEL_NAME).stem}-*[0-9a-f]")
    )
    details = {"installed": True, "unpacked": unpacked, "lacking": lacking}
    if unpacked:
        yield Finding(ALIAS, State.OK, "installed and unpacked", details=details)
    elif lacking:
        text = f"{len(lacking)} of its files are missing, such as {lacking[0]}"
        yield Finding(ALIAS, State.WARNING, text, f"pip install --force-reinstall {GEMMA.name}", details)
    elif any(errors[each.module] is not None for each in GGUF.packages):
        text = "installed; unpacking it needs the packages of the extra gguf"
        yield Finding(ALIAS, State.MISSING, text, GGUF.install, details)
    else:
        yield Finding(ALIAS, State.OK, "installed; its first use unpacks it, once", details=details)


def _hub(probes: Probes, offline: bool) -> Iterator[Finding]:
    """Whether models can be downloaded. A token is not looked at."""
    address = urlsplit(probes.environment.get("HF_ENDPOINT") or HUB)
    host = address.hostname or ""  # without a user and a password, which an address may hold
    if probes.environment.get("HF_HUB_OFFLINE", "").strip().lower() in {"1", "on", "yes", "true"}:
        text = "HF_HUB_OFFLINE is set: only models of the hub cache can be used"
        yield Finding("model hub", State.INFO, text, "unset HF_HUB_OFFLINE", {"host": host, "offline": True})
        return
    if offline:
        yield Finding("model hub", State.INFO, f"{host}, not asked", details={"host": host, "offline": False})
        return
    error = probes.reach(address.geturl())
    details = {"host": host, "offline": False, "error": error}
    if error is None:
        yield Finding("model hub", State.OK, f"{host} answers", details=details)
        return
    advice = "Check the network and HTTPS_PROXY, or use a model on this machine: --model FOLDER or --model gemma3-270m."
    yield Finding("model hub", State.WARNING, f"{host}: {error}", advice, details)
