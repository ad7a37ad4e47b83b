"""What lies beside a store's repository: flat files made from it, and what was measured of its search.

All of it can be made again, and is safe to delete. Where the store's folder cannot be written, it lies in the user's
cache folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from goodctl.cache_root import cache_root
from goodctl.datastore.description import Distances
from goodctl.datastore.format import KEYS, VALUES
from goodctl.datastore.repository import Repository
from goodctl.datastore.store import Datastore

MEASURED = "recall"
DISTANCES = "distances"


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
    _write(_measured(store.repository), {**figures, "snapshot": store.version.id})


def last_measurement(store: Datastore) -> dict[str, Any] | None:
    """The figures that were measured last, on whatever version, with its ``snapshot``; None where there are none."""
    figures = _read(_measured(store.repository))
    return figures if figures and isinstance(figures.get("snapshot"), str) else None


def record_distances(stores: Sequence[Datastore], distances: Distances) -> None:
    """Keep the distances that queries meet in stores searched as one; where they cannot be written is no error."""
    known = {"snapshots": _snapshots(stores), **distances.to_dict()}
    _write(_distances(stores), {**known, "digest": _digest(known)})


def known_distances(stores: Sequence[Datastore]) -> Distances | None:
    """The distances that were kept of these very versions; None where there are none, or not as they were written."""
    known = _read(_distances(stores)) or {}
    try:
        digest = known.pop("digest")
        return (
            Distances.from_dict(known) if (known["snapshots"], digest) == (_snapshots(stores), _digest(known)) else None
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _snapshots(stores: Sequence[Datastore]) -> list[str]:
    return [store.version.id for store in stores]


def _distances(stores: Sequence[Datastore]) -> Path:
    name = hashlib.sha256("\0".join(_snapshots(stores)).encode()).hexdigest()
    return folder_of(stores[0].repository) / f"{DISTANCES}-{name[:32]}.json"


def _digest(known: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _write(path: Path, figures: dict[str, Any]) -> None:
    """Write a file as a whole, or leave what is there."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False, encoding="utf-8") as file:
            json.dump(figures, file)
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)


def _read(path: Path) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError):
        figures = json.loads(path.read_text(encoding="utf-8"))
        return figures if isinstance(figures, dict) else None
    return None


def _measured(repository: Repository) -> Path:
    own = repository.cache_folder()
    if own is not None:
        return own / f"{MEASURED}.json"
    place = hashlib.sha256(repository.place.encode()).hexdigest()
    return shared_folder() / f"{MEASURED}-{place[:32]}.json"
