"""The files that say where branches and tags point to."""

from __future__ import annotations

import json
from pathlib import Path

from goodctl.datastore.repository.place import FOLDER

_FILE = "ref.json"
_DELETED = "ref.json.deleted"


def damaged_references(location: str, snapshots: set[str]) -> dict[str, str]:
    """Reference files that are not as the storage library writes them.

    Args:
        location: The store.
        snapshots: Those that are there.

    Returns:
        Name of each, from the store's folder, to what is wrong with it.
    """
    folder, problems = Path(location), {}
    for file in sorted((folder / FOLDER / "refs").rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.is_dir():
            if file.name.startswith("tag.") and not any(file.iterdir()):
                problems[name] = "has lost its file"  # deleting a tag leaves a mark
            continue
        if "#" in file.name:
            continue
        try:
            content = file.read_bytes()
        except OSError as error:
            problems[name] = f"cannot be read: {error.strerror}"
            continue
        if file.name == _DELETED:
            if content:
                problems[name] = "should be empty"
            continue
        snapshot = _named(content)
        if file.name != _FILE or snapshot is None:
            problems[name] = "is malformed"
        elif snapshot not in snapshots and not (file.parent / _DELETED).exists():
            problems[name] = f"names a snapshot that is not there: {snapshot}"
    return problems


def _named(content: bytes) -> str | None:
    """The snapshot that a file names; None unless it is written in the one way that there is."""
    try:
        snapshot = json.loads(content)["snapshot"]
    except (ValueError, KeyError, TypeError):
        return None
    return snapshot if json.dumps({"snapshot": snapshot}, separators=(",", ":")).encode() == content else None
