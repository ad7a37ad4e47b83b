"""What lies in the caches, how much it takes, and how to empty them."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from goodctl.workflows.doctor_findings import Finding, State
from goodctl.workflows.doctor_machine import nearest
from goodctl.workflows.doctor_probes import Probes

KINDS = {
    "models": "unpacked models",
    "datastores": "flat files of stores",
    "perplexity": "remembered perplexities",
    "hashes": "remembered hashes",
    "locks": "locks of outputs",
    "pace": "moments of requests",
}
"""Folders of the cache, by the modules that write them."""


def caches(probes: Probes) -> Iterator[Finding]:
    """Goodctl's cache by what is in it, and the hub's."""
    yield _writable(probes.cache)
    total = 0
    for folder in sorted(_children(probes.cache), key=lambda path: [*KINDS, path.name].index(path.name)):
        if folder.name not in KINDS:
            continue  # the folder may be shared with others
        files, size = taken(folder)
        total += size
        what = KINDS[folder.name]
        text = f"{_size(size)} in {files:,} file{'' if files == 1 else 's'}: {what}"
        yield Finding(folder.name, State.INFO, text, details={"bytes": size, "files": files, "folder": str(folder)})
    if total:
        there = [shlex.quote(str(probes.cache / kind)) for kind in KINDS if (probes.cache / kind).is_dir()]
        empty = f"To empty it, while no goodctl runs: rm -r {' '.join(there)}"
        yield Finding("all of it", State.INFO, f"{_size(total)}; all can be made again", empty, {"bytes": total})
    hub = hub_cache(probes.environment)
    files, size = taken(hub)
    details = {"bytes": size, "files": files, "folder": str(hub)}
    if size:
        advice = f"To choose what goes: hf cache ls; hf cache rm model/NAME. All of it: rm -r {shlex.quote(str(hub))}"
        yield Finding("hub cache", State.INFO, f"{_size(size)} of hub models and datasets in {hub}", advice, details)
    else:
        yield Finding("hub cache", State.INFO, f"empty: {hub}", details=details)


def _writable(cache: Path) -> Finding:
    """Whether the cache can be written: a file without a name is made where it is, or would be."""
    there = nearest(cache)
    details = {"folder": str(cache), "exists": there == cache.absolute()}
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"goodctl")
    except OSError as error:
        text = f"{cache} cannot be written: {error.strerror or error}"
        return Finding("cache", State.BROKEN, text, "export GOODCTL_CACHE=FOLDER  (one that can be written)", details)
    return Finding("cache", State.OK, f"{cache}{'' if details['exists'] else ' (not made yet)'}", details=details)


def hub_cache(environment: Mapping[str, str]) -> Path:
    """Where huggingface_hub keeps models, as its documentation has it."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if value := environment.get(name):
            return Path(value).expanduser()
    if home := environment.get("HF_HOME"):
        return Path(home).expanduser() / "hub"
    shared = environment.get("XDG_CACHE_HOME")
    return (Path(shared).expanduser() if shared else Path.home() / ".cache") / "huggingface" / "hub"


def taken(folder: Path) -> tuple[int, int]:
    """Files of a folder, links not followed, and their bytes. What cannot be read is not counted."""
    files = size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                state = os.lstat(os.path.join(place, name))  # noqa: PTH118 - a cache may have very many files
            except OSError:
                continue
            files += 1
            size += state.st_size
    return files, size


def _children(cache: Path) -> list[Path]:
    try:
        return [path for path in cache.iterdir() if path.is_dir()]
    except OSError:
        return []


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
