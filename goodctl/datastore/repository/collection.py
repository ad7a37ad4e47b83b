"""Freeing what no branch or tag leads to: expiry of versions, files of killed writers, temporary files.

Call everything but ``copied`` with the writers' lock held.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import icechunk

from goodctl.datastore.repository import checksums
from goodctl.datastore.repository.faults import translated_errors
from goodctl.datastore.repository.place import CACHE, CHECKSUMS, FOLDER, TEMPORARY
from goodctl.datastore.repository.repository import Repository

_KINDS = ("chunks", "manifests", "snapshots", "transactions")
_ABANDONED_S = 24 * 3600
"""Age at which a flat file that is being made is taken for one of a killed reader."""
_UNFINISHED = "#"
"""In names of files that the storage library was writing when it was killed."""


@dataclass
class Freed:
    """Files that were removed.

    Attributes:
        files: Number of them by kind: ``chunks``, ``manifests``, ``snapshots``, ``transactions``, ``temporary``.
        size_bytes: Of all of them.
    """

    files: dict[str, int] = field(default_factory=dict)
    size_bytes: int = 0


def free(repository: Repository, before: datetime.datetime | None) -> Freed:
    """Expire versions, and remove all files that nothing leads to.

    Killed at any moment, what is to stay is there: expiry only makes versions unreachable, collection only removes
    what is. The checksums go first, for expiry rewrites snapshots, and are recorded anew at the end; in between no
    file counts as damaged.

    Args:
        repository: Of a store whose small files were checked.
        before: Versions that were written before it are dropped, unless a branch or tag names them.
    """
    location, folder = repository.location, Path(repository.location)
    was = _sizes(folder)
    with translated_errors(location, "write to"):
        checksums.forget(location)
        opened = icechunk.Repository.open(icechunk.local_filesystem_storage(str(folder / FOLDER)))
        if before is not None:
            opened.expire_snapshots(before)
        # Nobody writes: whatever is unreachable now is garbage, however young it is.
        opened.garbage_collect(datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1))
        _sweep(folder)
    checksums.record(location, anew=True)
    now = _sizes(folder)
    freed = Freed(dict.fromkeys((*_KINDS, "temporary"), 0))
    for name, (kind, size) in was.items():
        if name not in now:
            freed.files[kind] += 1
            freed.size_bytes += size
    return freed


@contextlib.contextmanager
def copied(repository: Repository) -> Iterator[Repository]:
    """A copy to try things on: everything but the chunks' bytes, in the system's temporary folder."""
    source = Path(repository.location)
    with tempfile.TemporaryDirectory(prefix="goodctl-") as temporary:
        target = Path(temporary)
        with translated_errors(repository.location, "read"):
            for file in sorted(source.rglob("*")):
                name = file.relative_to(source)
                if name.parts[0] != FOLDER and not (file.is_file() and _kind(name)):
                    continue
                if file.is_dir():
                    (target / name).mkdir(parents=True, exist_ok=True)
                elif name.parts[1:2] == ("chunks",) or name.parts[0] != FOLDER:
                    _hollow(file, target / name)
                else:
                    shutil.copy2(file, target / name)
        yield Repository.open(temporary)


def _hollow(file: Path, copy: Path) -> None:
    """A file of the same size and time that takes no space."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.touch()
    os.truncate(copy, file.stat().st_size)
    shutil.copystat(file, copy)


def _sizes(folder: Path) -> dict[str, tuple[str, int]]:
    """Kind and size of every file that may be removed, by name."""
    found = {}
    for file in folder.rglob("*"):
        name = file.relative_to(folder)
        kind = _kind(name)
        if kind and file.is_file():
            found[name.as_posix()] = (kind, file.stat().st_size)
    return found


def _kind(name: Path) -> str | None:
    first = name.parts[0]
    if first.startswith((TEMPORARY, f"{CHECKSUMS}.")) or (first == CACHE and name.suffix == ".part"):
        return "temporary"
    if first != FOLDER or len(name.parts) < 3:
        return None
    if _UNFINISHED in name.name:
        return "temporary"
    return name.parts[1] if name.parts[1] in _KINDS else None


def _sweep(folder: Path) -> None:
    """Remove what killed writers have left half made, and the folders of references that are gone."""
    for left in folder.glob(f"{TEMPORARY}*"):
        shutil.rmtree(left)
    for left in folder.glob(f"{CHECKSUMS}.*"):
        left.unlink()
    for left in (folder / CACHE).glob("*.part"):
        with contextlib.suppress(FileNotFoundError):  # a reader has finished it
            if time.time() - left.stat().st_mtime > _ABANDONED_S:  # readers take no lock: a young one may be at work
                left.unlink()
    for left in (folder / FOLDER).rglob(f"*{_UNFINISHED}*"):
        left.unlink()
    for reference in (folder / FOLDER / "refs").glob("*"):
        with contextlib.suppress(OSError):  # not empty: it is alive
            reference.rmdir()
