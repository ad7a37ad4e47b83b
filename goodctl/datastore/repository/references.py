"""The files that say where branches and tags point to."""

from __future__ import annotations

import json
import re
from pathlib import Path

from goodctl.datastore.repository.place import FOLDER

SNAPSHOT = re.compile(r"[0-9A-HJKMNP-TV-Z]{20}")
"""A snapshot's id."""
_FILE = "ref.json"
_DELETED = "ref.json.deleted"


def damaged_references(location: str) -> dict[str, str]:
    """Reference files that are not as the storage library writes them.

    Looked at twice where something seems to be wrong: a writer beside it may be between two steps.

    Args:
        location: The store.

    Returns:
        Name of each, from the store's folder, to what is wrong with it.
    """
    problems = _damaged(Path(location))
    if problems:
        again = _damaged(Path(location))
        problems = {name: what for name, what in problems.items() if again.get(name) == what}
    return problems


def _damaged(folder: Path) -> dict[str, str]:
    problems = {}
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
        elif not (folder / FOLDER / "snapshots" / snapshot).is_file() and not (file.parent / _DELETED).exists():
            problems[name] = f"names a snapshot that is not there: {snapshot}"
    return problems


def _named(content: bytes) -> str | None:
    """The snapshot that a file names; None unless it is written in the one way that there is."""
    try:
        snapshot = json.loads(content)["snapshot"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(snapshot, str) or not SNAPSHOT.fullmatch(snapshot):
        return None
    return snapshot if json.dumps({"snapshot": snapshot}, separators=(",", ":")).encode() == content else None
