"""SHA-256 of the small files of a repository: snapshots, manifests, transaction logs and tags.

The storage library keeps no checksum of them, and a changed byte can read as another text, time or number. Chunks need
none here: the arrays in them are hashed as they are written. A branch is a few bytes that change, and that either
name a snapshot that is there or do not.

The file has the form that ``sha256sum --check`` reads, run in the store's folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

from goodctl.datastore.repository.place import CHECKSUMS, FOLDER

_FOLDERS = ("snapshots", "manifests", "transactions")
_LINE = re.compile(r"([0-9a-f]{64})  (repository/(?:[a-z]+/[0-9A-Za-z]+|refs/tag\.[\w.-]+/ref\.json(?:\.deleted)?))")


def record(location: str, *, anew: bool = False) -> None:
    """Add the files that are not recorded yet; a place that cannot be written is no error. Call it with the lock held.

    Args:
        location: The store.
        anew: Forget what was recorded: after files were deleted or rewritten on purpose.
    """
    folder = Path(location)
    with contextlib.suppress(OSError):
        known, _ = _read(folder)
        known = {} if anew else known
        new = {name: _sha256(folder / name) for name in _present(folder) if name not in known}
        if new or anew:
            _write(folder, {**known, **new})


def forget(location: str) -> None:
    """Take all files for right as they are, until they are recorded again."""
    (Path(location) / CHECKSUMS).unlink(missing_ok=True)


def damaged_files(location: str, names: Iterable[str] | None = None) -> dict[str, str]:
    """Recorded files that are not what was written.

    Args:
        location: The store.
        names: Of the files, from the store's folder; by default all that are recorded.

    Returns:
        Name to what is wrong with it. Files that were never recorded are not in it.
    """
    folder = Path(location)
    known, malformed = _read(folder)
    problems = {f"{CHECKSUMS}, line {line}": "is malformed" for line in malformed}
    for name in known if names is None else [name for name in names if name in known]:
        try:
            if _sha256(folder / name) != known[name]:
                problems[name] = "is not what was written: its SHA-256 differs"
        except OSError as error:
            problems[name] = f"cannot be read: {error.strerror}"
    if problems:  # a collection takes lines away before it rewrites or deletes their files: then it was no damage
        now, _ = _read(folder)
        problems = {name: what for name, what in problems.items() if now.get(name) == known.get(name)}
    return problems


def unrecorded_files(location: str) -> list[str]:
    """Files that have no recorded hash, so that damage of them may go unseen."""
    folder = Path(location)
    known, _ = _read(folder)
    return [name for name in _present(folder) if name not in known]


def _present(folder: Path) -> list[str]:
    tags = sorted(file.relative_to(folder).as_posix() for file in (folder / FOLDER / "refs").glob("tag.*/ref.json*"))
    return [name for name in tags if "#" not in name] + [
        f"{FOLDER}/{part}/{entry.name}"
        for part in _FOLDERS
        if (folder / FOLDER / part).is_dir()
        for entry in sorted(os.scandir(folder / FOLDER / part), key=lambda entry: entry.name)
        if entry.is_file() and "#" not in entry.name  # what a killed writer has left
    ]


def _read(folder: Path) -> tuple[dict[str, str], list[int]]:
    """What is recorded, and the numbers of lines that are malformed."""
    known, malformed = {}, []
    with contextlib.suppress(FileNotFoundError):
        lines = (folder / CHECKSUMS).read_text(encoding="utf-8", errors="replace").split("\n")
        for number, line in enumerate(lines, 1):
            if match := _LINE.fullmatch(line):
                known[match[2]] = match[1]
            elif line or number != len(lines):
                malformed.append(number)
    return known, malformed


def _write(folder: Path, known: dict[str, str]) -> None:
    lines = "".join(f"{digest}  {name}\n" for name, digest in known.items())
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix=f"{CHECKSUMS}.", delete=False, encoding="utf-8") as file:
        temporary = Path(file.name)
        try:
            file.write(lines)
            file.flush()
            temporary.chmod(0o644)
            temporary.replace(folder / CHECKSUMS)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
