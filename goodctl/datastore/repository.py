"""One Icechunk repository: create, open, sessions, branches, history, the writers' lock. The only importer of icechunk.

Nothing outside this module knows that a store is a folder, or that writers exclude one another with a file lock.
"""

from __future__ import annotations

import contextlib
import errno
import inspect
import json
import os
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock

os.environ.setdefault("ICECHUNK_LOG", "error")  # read at import: its warnings would go to the user's terminal

import icechunk
import zarr

from goodctl.datastore.reference import CHECKPOINT_PREFIX, MAIN, Version
from goodctl.errors import ConflictError, DamagedError, ExistsError, GoodctlError, NotFoundError, ServiceError

_FOLDER = "repository"
_TEMPORARY = "repository.tmp-"
_CACHE = "cache"
_LOCK = ".lock"
_HOLDER = ".lock-holder"
_FAULTS = (icechunk.IcechunkError, icechunk.ConflictError)  # 1.x: the second is not a kind of the first
_FULL = ("no space left", "storagefull", "disk quota", "quotaexceeded")


@contextlib.contextmanager
def translated_errors(location: str, doing: str) -> Iterator[None]:
    """Turn the storage library's exceptions into ours, in one sentence each.

    Args:
        location: Name of the store.
        doing: What was tried (``"write to"``), for the message.

    Raises:
        ServiceError: The disk is full or refuses.
        ConflictError: Another writer was faster.
        DamagedError: Stored bytes are missing or unreadable.
    """
    try:
        yield
    except (*_FAULTS, OSError) as error:
        raise _translate(error, location, doing) from error


def _translate(error: Exception, location: str, doing: str) -> GoodctlError:
    text = str(error)
    first = next((line.strip(" x|") for line in text.splitlines() if line.strip(" x|")), type(error).__name__)
    full = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
    if full or any(word in text.lower() for word in _FULL):
        return ServiceError(
            f"The disk is full: cannot {doing} {location}.",
            hint="Free some space and run the same command again: it goes on from the last checkpoint.",
        )
    refused = any(words in text.lower() for words in ("permission denied", "read-only file system"))
    if refused or isinstance(error, PermissionError):
        return ServiceError(f"No permission to {doing} {location}: {first}.", hint=f"ls -ld {location}")
    if isinstance(error, icechunk.ConflictError) or "branch update conflict" in text:
        return ConflictError(f"{location} was changed by another writer meanwhile.", hint="Run the same command again.")
    if isinstance(error, OSError):
        hint = f"Check the path and who may write to it: ls -ld {location}"
        return ServiceError(f"Cannot {doing} {location}: {error.strerror or first}.", hint=hint)
    return DamagedError(
        f"Cannot {doing} {location}: {first}.", hint=f"Try an earlier version: goodctl datastore log {location}"
    )


class Session:
    """One transaction on a branch: nothing in it is seen by others until ``commit``."""

    def __init__(self, session: icechunk.Session, location: str) -> None:
        self._session = session
        self._location = location
        self.root: zarr.Group = zarr.open_group(session.store, mode="a")

    def commit(self, message: str, metadata: dict[str, Any]) -> str:
        """Make everything written in this session visible on its branch, at once.

        Args:
            message: For the log.
            metadata: JSON values to keep with the commit; ``kind`` is ``"checkpoint"`` or ``"result"``.

        Returns:
            The new snapshot's id.
        """
        with translated_errors(self._location, "write to"):
            return str(self._session.commit(message, metadata=metadata))


class Repository:
    """A store's repository. Use ``create`` or ``open``.

    Attributes:
        location: The store as the user named it.
    """

    def __init__(self, location: str, repository: icechunk.Repository) -> None:
        self.location = location
        self._repository = repository

    @classmethod
    def create(cls, location: str) -> Repository:
        """Create an empty repository where there is none; call it with the lock held.

        It is made beside its place and renamed, so that a kill leaves either nothing or a whole one.
        """
        folder = Path(location)
        with translated_errors(location, "create"):
            for left in folder.glob(_TEMPORARY + "*"):
                shutil.rmtree(left)
            temporary = tempfile.mkdtemp(prefix=_TEMPORARY, dir=folder)
            Path(temporary).chmod(folder.stat().st_mode)  # mkdtemp makes it private; readers may be other users
            # Format 1 is what icechunk 1.x, the newest on Python 3.11, can read.
            versioned = "spec_version" in inspect.signature(icechunk.Repository.create).parameters
            options: dict[str, Any] = {"spec_version": 1} if versioned else {}
            icechunk.Repository.create(icechunk.local_filesystem_storage(temporary), **options)
            Path(temporary).rename(folder / _FOLDER)
        return cls.open(location)

    @classmethod
    def open(cls, location: str) -> Repository:
        """Open the repository of the store at ``location``.

        Raises:
            NotFoundError: There is none; says whether the place is empty, missing or something else.
        """
        folder = Path(location)
        if not (folder / _FOLDER).is_dir():  # asked first: icechunk would create the folder
            if not folder.exists():
                raise NotFoundError(
                    f"There is no datastore {location}.",
                    hint=f"Build one: goodctl datastore build {location} TEXT --model MODEL",
                )
            kind = "folder" if folder.is_dir() else "file"
            raise NotFoundError(
                f"{location} is a {kind}, but not a datastore.",
                hint=f"A datastore is a folder that holds '{_FOLDER}/'; list what is there: ls {location}",
            )
        with translated_errors(location, "read"):
            return cls(location, icechunk.Repository.open(icechunk.local_filesystem_storage(str(folder / _FOLDER))))

    def read(self, snapshot: str) -> zarr.Group:
        """The root group as it was in a snapshot, read-only."""
        with translated_errors(self.location, "read"):
            session = self._repository.readonly_session(snapshot_id=snapshot)
            return zarr.open_group(session.store, mode="r")

    def session(self, branch: str) -> Session:
        """Begin a transaction on a branch; call it with the lock held."""
        with translated_errors(self.location, "write to"):
            return Session(self._repository.writable_session(branch), self.location)

    def branches(self) -> dict[str, str]:
        """Branch names, hidden ones too, with the snapshot that each points to."""
        with translated_errors(self.location, "read"):
            return {name: self._repository.lookup_branch(name) for name in sorted(self._repository.list_branches())}

    def tags(self) -> dict[str, str]:
        """Tag names with the snapshot that each points to."""
        with translated_errors(self.location, "read"):
            return {name: self._repository.lookup_tag(name) for name in sorted(self._repository.list_tags())}

    def checkpoints(self) -> dict[str, str]:
        """Hidden branches of unfinished writes: job to snapshot."""
        start = len(CHECKPOINT_PREFIX)
        return {name[start:]: tip for name, tip in self.branches().items() if name.startswith(CHECKPOINT_PREFIX)}

    def ancestry(self, snapshot: str) -> Iterator[Version]:
        """A snapshot and all before it, newest first, checkpoints and the empty root included."""
        with translated_errors(self.location, "read"):
            for entry in self._repository.ancestry(snapshot_id=snapshot):
                yield Version(entry.id, entry.message, entry.written_at, dict(entry.metadata), entry.parent_id)

    def create_branch(self, name: str, snapshot: str) -> None:
        """Point a new branch at a snapshot."""
        with translated_errors(self.location, "write to"):
            self._repository.create_branch(name, snapshot)

    def move_branch(self, name: str, snapshot: str, *, expected: str) -> None:
        """Point a branch at another snapshot, only if it points at ``expected`` now."""
        with translated_errors(self.location, "write to"):
            self._repository.reset_branch(name, snapshot, from_snapshot_id=expected)

    def delete_branch(self, name: str) -> None:
        """Delete a branch; its snapshots stay until they are collected."""
        with translated_errors(self.location, "write to"):
            self._repository.delete_branch(name)

    def tip(self) -> str:
        """The newest snapshot of ``main``."""
        return self.branches()[MAIN]

    def is_untouched(self) -> bool:
        """Whether nothing was ever committed: no version, no checkpoint."""
        return all(next(self.ancestry(tip)).is_root for tip in self.branches().values())

    def disk_bytes(self) -> int:
        """Bytes of all files of the repository, every version and unfinished write included."""
        return sum(file.stat().st_size for file in (Path(self.location) / _FOLDER).rglob("*") if file.is_file())

    def cache_folder(self) -> Path | None:
        """Where files made from the store may be kept beside it; None where that cannot be written."""
        folder = Path(self.location) / _CACHE
        return folder if os.access(folder if folder.exists() else self.location, os.W_OK) else None

    def require_space(self, size_bytes: int) -> None:
        """Refuse to write when the disk plainly lacks room.

        Raises:
            ServiceError: Less than ``size_bytes`` and a small reserve are free.
        """
        free = shutil.disk_usage(self.location).free
        if free < size_bytes + 2**20:
            raise ServiceError(
                f"The disk is full: {size_bytes / 1e6:,.1f} MB to write to {self.location}, {free / 1e6:,.1f} MB free.",
                hint="Free some space and run the same command again: it goes on from the last checkpoint.",
            )


def is_store(location: str) -> bool:
    """Whether a repository stands at ``location``, finished or not."""
    return (Path(location) / _FOLDER).is_dir()


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
    return name in {_LOCK, _HOLDER} or name.startswith(_TEMPORARY)


def discard_place(location: str, *, keep_folder: bool) -> None:
    """Take back a store that never got its first version; call it with the lock held.

    The repository is renamed before it is removed: a kill leaves a name that the next build sweeps, never half of a
    repository. The lock file goes last, when there is nothing left to protect.
    """
    folder = Path(location)
    if (folder / _FOLDER).exists():
        (folder / _FOLDER).rename(folder / f"{_TEMPORARY}{uuid.uuid4().hex}")
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name == _LOCK):
        if _is_ours(entry.name):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    if not keep_folder:
        with contextlib.suppress(OSError):  # something else was put there meanwhile: it stays
            folder.rmdir()


@contextlib.contextmanager
def writer_lock(location: str, command: str) -> Iterator[None]:
    """Hold the store's lock: writers exclude one another, readers never ask for it.

    The kernel frees the lock when its holder dies, however it dies.

    Args:
        location: The store; its folder is made when it is not there.
        command: What the holder is doing, shown to those who are refused.

    Raises:
        ConflictError: Another process holds it; says which and since when.
    """
    folder = Path(location)
    with translated_errors(location, "write to"):
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / _LOCK, timeout=0, mode=0o666)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise _refusal(location) from None
    try:
        with contextlib.suppress(OSError):  # only a courtesy to those who are refused
            text = {"pid": os.getpid(), "host": socket.gethostname(), "command": command, "since": time.time()}
            (folder / _HOLDER).write_text(json.dumps(text), encoding="utf-8")
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / _HOLDER).unlink(missing_ok=True)
        lock.release()


def _refusal(location: str) -> ConflictError:
    try:
        holder = json.loads((Path(location) / _HOLDER).read_text(encoding="utf-8"))
        since = time.strftime("%H:%M:%S", time.localtime(holder["since"]))
        who = f"process {holder['pid']} on {holder['host']} ({holder['command']}, since {since})"
    except (OSError, ValueError, KeyError, TypeError):
        who = "another process"
    return ConflictError(
        f"{location} is being written by {who}.",
        hint="Wait until it has finished, then run the same command again. Reading is possible meanwhile.",
    )
