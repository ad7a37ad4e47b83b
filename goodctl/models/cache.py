"""A memory of the hashes of large files, in the user's cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from goodctl.cache_root import cache_root


def remembered_hash(kind: str, files: Iterable[Path], compute: Callable[[], str]) -> str:
    """The hash that ``compute`` gives, read from the cache while no file has changed.

    A file counts as unchanged while its path, size, time of change and inode stay the same. A cache that cannot be
    read or written is no error: the hash is computed again.

    Args:
        kind: What is computed, so that two hashes of the same files do not meet.
        files: The files that the hash depends on.
        compute: Computes the hash, reading all of the files.
    """
    state = [_state(file) for file in files]
    name = hashlib.sha256(json.dumps([kind, state]).encode()).hexdigest()
    entry = cache_root() / "hashes" / f"{name}.json"
    known = _read(entry)
    if known is not None and known.get("kind") == kind and known.get("files") == state:
        value = known.get("hash")
        if isinstance(value, str):
            return value
    value = compute()
    with contextlib.suppress(OSError):
        _write_atomically(entry, json.dumps({"kind": kind, "files": state, "hash": value}))
    return value


def _state(file: Path) -> list[str | int]:
    resolved = file.resolve()
    stat = resolved.stat()
    return [str(resolved), stat.st_size, stat.st_mtime_ns, stat.st_ino]


def _read(entry: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(entry.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _write_atomically(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False, encoding="utf-8") as file:
        file.write(text)
    try:
        Path(file.name).replace(path)
    except OSError:
        Path(file.name).unlink(missing_ok=True)
        raise
