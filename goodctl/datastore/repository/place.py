"""Where a store is: a local folder, what is in it, and what does not belong to it."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from goodctl.errors import ExistsError

FOLDER = "repository"
TEMPORARY = "repository.tmp-"
CACHE = "cache"
LOCK = ".lock"
HOLDER = ".lock-holder"
CHECKSUMS = "checksums.sha256"


def is_store(location: str) -> bool:
    """Whether a repository stands at ``location``, finished or not."""
    return (Path(location) / FOLDER).is_dir()


def check_place(location: str) -> None:
    """Check that a new store can be made at ``location``: nothing there, or what a killed first attempt left.

    Raises:
        ExistsError: Something else is there.
    """
    folder = Path(location)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ExistsError(f"{location} is there already and is a file.", hint="Choose another name for the store.")
    if foreign := sorted(entry.name for entry in folder.iterdir() if not _is_ours(entry.name)):
        raise ExistsError(
            f"{location} is there already and holds other files: {', '.join(foreign[:3])}.",
            hint="Choose another name for the store, or an empty folder.",
        )


def _is_ours(name: str) -> bool:
    return name in {LOCK, HOLDER} or name.startswith((TEMPORARY, CHECKSUMS))


def discard_place(location: str, *, keep_folder: bool) -> None:
    """Take back a store that never got its first version; call it with the lock held.

    The repository is renamed before it is removed: a kill leaves a name that the next build sweeps, never half of a
    repository. The lock file goes last, when there is nothing left to protect.
    """
    folder = Path(location)
    if (folder / FOLDER).exists():
        (folder / FOLDER).rename(folder / f"{TEMPORARY}{uuid.uuid4().hex}")
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name == LOCK):
        if _is_ours(entry.name):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    if not keep_folder:
        with contextlib.suppress(OSError):  # something else was put there meanwhile: it stays
            folder.rmdir()


@contextlib.contextmanager
def taken_back_on_failure(location: str, *, keep_folder: bool, is_worthless: Callable[[], bool]) -> Iterator[None]:
    """Leave no trace of a new store that fails before there is anything in it to keep; enter it with the lock held.

    Args:
        location: The store.
        keep_folder: Whether its folder was there before.
        is_worthless: Whether the repository, which is there, holds nothing.
    """
    try:
        yield
    except BaseException:
        if not is_store(location) or is_worthless():
            discard_place(location, keep_folder=keep_folder)
        raise


def exists(location: str) -> bool:
    """Whether anything is at a place."""
    return Path(location).exists()


def same_place(first: str, second: str) -> bool:
    """Whether two names are of one store."""
    return Path(first).resolve() == Path(second).resolve()


def inside(location: str, name: str) -> str:
    """The place ``name`` in the folder ``location``."""
    return str(Path(location) / name)
