"""What lies beside a store's repository: flat files made from it, and the last measurement of its search.

All of it can be made again, and is safe to delete. Where the store's folder cannot be written, it lies in the user's
cache folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from goodctl.cache_root import cache_root
from goodctl.datastore.format import KEYS, VALUES
from goodctl.datastore.repository import Repository
from goodctl.datastore.store import Datastore

MEASURED = "recall"


def shared_folder() -> Path:
    """Where the files of stores go that cannot hold their own."""
    return cache_root() / "datastores"


def folder_of(repository: Repository) -> Path:
    """Where a store's files are."""
    return repository.cache_folder() or shared_folder()


def cache_bytes(store: Datastore) -> int:
    """Bytes of the files beside a store; in the user's folder, of those that this version uses."""
    own = store.repository.cache_folder()
    contents = {segment.sha256[name] for segment in store.segments for name in (KEYS, VALUES)}
    total = 0
    for path in folder_of(store.repository).glob("*"):
        with contextlib.suppress(OSError):
            if own is not None or any(content in path.name for content in contents):
                total += path.stat().st_size if path.is_file() else 0
    return total


def record_measurement(store: Datastore, figures: dict[str, Any]) -> None:
    """Keep the figures of a measurement as the last ones; a folder that cannot be written is no error."""
    path = _measured(store.repository)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False, encoding="utf-8") as file:
            json.dump({**figures, "snapshot": store.version.id}, file)
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)


def last_measurement(store: Datastore) -> dict[str, Any] | None:
    """The figures that were measured last, on whatever version, with its ``snapshot``; None where there are none."""
    with contextlib.suppress(OSError, ValueError):
        figures = json.loads(_measured(store.repository).read_text(encoding="utf-8"))
        if isinstance(figures, dict) and isinstance(figures.get("snapshot"), str):
            return figures
    return None


def _measured(repository: Repository) -> Path:
    own = repository.cache_folder()
    if own is not None:
        return own / f"{MEASURED}.json"
    place = hashlib.sha256(repository.place.encode()).hexdigest()
    return shared_folder() / f"{MEASURED}-{place[:32]}.json"
