"""Where a store is: a local folder, what is in it, and what does not belong to it."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from goodctl.errors import ExistsError, UsageError

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
        UsageError: The name would be read as a version of a store that is there.
    """
    folder = Path(location)
    if not folder.exists():
        store, _, reference = location.rpartition("@")
        if store and is_store(store):
            raise UsageError(
                f"{location} would be taken for version {reference} of {store}.",
                hint="Choose a name without '@' for the new store.",
            )
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


def discard_place(location: str, made: Sequence[str]) -> None:
    """Take back a store that never got its first version; call it with the lock held.

    The repository is renamed before it is removed: a kill leaves a name that the next build sweeps, never half of a
    repository. The lock file goes last, when there is nothing left to protect.

    Args:
        location: The store.
        made: Folders that were made for it, the innermost first.
    """
    folder = Path(location)
    if (folder / FOLDER).exists():
        (folder / FOLDER).rename(folder / f"{TEMPORARY}{uuid.uuid4().hex}")
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name == LOCK):
        if _is_ours(entry.name):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    with contextlib.suppress(OSError):  # something else was put there meanwhile: it stays
        for each in made:
            Path(each).rmdir()


@contextlib.contextmanager
def taken_back_on_failure(location: str, made: Sequence[str], is_worthless: Callable[[], bool]) -> Iterator[None]:
    """Leave no trace of a new store that fails before there is anything in it to keep; enter it with the lock held.

    Args:
        location: The store.
        made: What ``missing_folders`` gave before the lock was taken.
        is_worthless: Whether the repository, which is there, holds nothing.
    """
    try:
        yield
    except BaseException:
        if not is_store(location) or is_worthless():
            discard_place(location, made)
        raise


def missing_folders(location: str) -> list[str]:
    """The folders that are to be made for a store, its own first, then those above it."""
    folder = Path(location)
    return [str(each) for each in (folder, *folder.parents) if not each.exists()]


def stores_in(folder: str) -> list[str]:
    """The stores right inside a folder, sorted by name."""
    place = Path(folder)
    return sorted(str(each) for each in place.iterdir() if is_store(str(each))) if place.is_dir() else []


def inside(location: str, name: str) -> str:
    """The place ``name`` in the folder ``location``."""
    return str(Path(location) / name)
