"""A store's repository: create, open, sessions, branches, tags, history."""

from __future__ import annotations

import inspect
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import icechunk
import zarr

from goodctl.datastore.reference import CHECKPOINT_PREFIX, MAIN, Version
from goodctl.datastore.repository import checksums
from goodctl.datastore.repository.faults import FAULTS, damaged_metadata, translate, translated_errors
from goodctl.datastore.repository.place import CACHE, FOLDER, TEMPORARY
from goodctl.datastore.repository.references import SNAPSHOT, damaged_references
from goodctl.datastore.repository.session import Session
from goodctl.errors import DamagedError, ExistsError, NotFoundError, ServiceError


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
            for left in folder.glob(TEMPORARY + "*"):
                shutil.rmtree(left)
            temporary = tempfile.mkdtemp(prefix=TEMPORARY, dir=folder)
            Path(temporary).chmod(folder.stat().st_mode)  # mkdtemp makes it private; readers may be other users
            # Format 1 is what icechunk 1.x, the newest on Python 3.11, can read.
            versioned = "spec_version" in inspect.signature(icechunk.Repository.create).parameters
            options: dict[str, Any] = {"spec_version": 1} if versioned else {}
            icechunk.Repository.create(icechunk.local_filesystem_storage(temporary), **options)
            Path(temporary).rename(folder / FOLDER)
        return cls.open(location)

    @classmethod
    def open(cls, location: str) -> Repository:
        """Open the repository of the store at ``location``.

        Raises:
            NotFoundError: There is none; says whether the place is empty, missing or something else.
        """
        folder = Path(location)
        if not (folder / FOLDER).is_dir():  # asked first: icechunk would create the folder
            if not folder.exists():
                raise NotFoundError(
                    f"There is no datastore {location}.",
                    hint=f"Build one: goodctl datastore build {location} TEXT --model MODEL",
                )
            kind = "folder" if folder.is_dir() else "file"
            raise NotFoundError(
                f"{location} is a {kind}, but not a datastore.",
                hint=f"A datastore is a folder that holds '{FOLDER}/'; list what is there: ls {location}",
            )
        with translated_errors(location, "read"):
            return cls(location, icechunk.Repository.open(icechunk.local_filesystem_storage(str(folder / FOLDER))))

    def read(self, snapshot: str) -> zarr.Group:
        """The root group as it was in a snapshot, read-only."""
        with translated_errors(self.location, "read"), damaged_metadata(self.location):
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
        """A snapshot and all before it, newest first, checkpoints and the empty root included.

        Raises:
            DamagedError: One of them cannot be read, or comes after itself: a file lies in another's place.
        """
        seen: set[str] = set()
        with translated_errors(self.location, "read"):
            for entry in self._repository.ancestry(snapshot_id=snapshot):
                self._once(entry.id, seen)
                yield Version(entry.id, entry.message, entry.written_at, dict(entry.metadata), entry.parent_id)

    def history(self, snapshot: str) -> Iterator[Version]:
        """A snapshot and all before it in time, newest first: as ``ancestry``, but across rollbacks.

        A rollback's commit stands on the version that it goes back to; the versions in between come before it all the
        same.
        """
        start: str | None = snapshot
        seen: set[str] = set()
        while start is not None:
            self._once(start, seen)
            next_start = None
            for version in self.ancestry(start):
                yield version
                if version.previous is not None and self.has(version.previous):
                    next_start = version.previous
                    break
            start = next_start

    def _once(self, snapshot: str, seen: set[str]) -> None:
        if snapshot in seen:
            raise DamagedError(
                f"{self.location} has a history that goes round in a circle: {snapshot[:8]} comes before itself.",
                hint=f"See what is damaged: goodctl datastore verify {self.location}",
            )
        seen.add(snapshot)

    def has(self, snapshot: str) -> bool:
        """Whether there is such a snapshot; one that cannot be read is there."""
        with translated_errors(self.location, "read"):
            place = Path(self.location) / FOLDER / "snapshots" / snapshot
            return SNAPSHOT.fullmatch(snapshot) is not None and place.is_file()

    def create_tag(self, name: str, snapshot: str) -> None:
        """Give a snapshot a name that never moves.

        Raises:
            ExistsError: The name was used before, perhaps for a tag that was deleted.
        """
        try:
            self._repository.create_tag(name, snapshot)
            checksums.record(self.location)
        except FAULTS as error:
            if "already" not in str(error).lower():
                raise translate(error, self.location, "write to") from error
            raise ExistsError(
                f"{self.location} has, or had, a tag {name}: a tag's name is never used for another version.",
                hint=f"List the tags: goodctl datastore tag {self.location}",
            ) from error

    def delete_tag(self, name: str) -> None:
        """Delete a tag; its name cannot be used again."""
        with translated_errors(self.location, "write to"):
            self._repository.delete_tag(name)
        checksums.record(self.location)

    def new_arrays(self, before: str, after: str) -> set[str]:
        """Paths of arrays that a snapshot has and one before it had not, or had with other chunks."""
        changes = self._changes(before, after)
        return {str(path) for path in [*changes.new_arrays, *changes.updated_arrays, *changes.updated_chunks]}

    def new_groups(self, before: str, after: str) -> set[str]:
        """Paths of groups that a snapshot has and one before it had not, or with another description."""
        changes = self._changes(before, after)
        return {str(path) for path in [*changes.new_groups, *changes.updated_groups]}

    def _changes(self, before: str, after: str) -> icechunk.Diff:
        with translated_errors(self.location, "read"):
            return self._repository.diff(from_snapshot_id=before, to_snapshot_id=after)

    def damaged_files(self, snapshot: str | None = None) -> dict[str, str]:
        """Small files of the repository that are not what was written: name to what is wrong.

        Args:
            snapshot: Only the files that this version is read through; by default all.
        """
        if snapshot is None:
            return checksums.damaged_files(self.location)
        own = f"{FOLDER}/snapshots/{snapshot}"
        if problems := checksums.damaged_files(self.location, [own]):
            return problems
        with translated_errors(self.location, "read"):
            manifests = self._repository.lookup_snapshot(snapshot).manifests
        return checksums.damaged_files(self.location, [f"{FOLDER}/manifests/{each.id}" for each in manifests])

    def unrecorded_files(self) -> list[str]:
        """Small files of the repository that have no recorded hash."""
        return checksums.unrecorded_files(self.location)

    def damaged_references(self) -> dict[str, str]:
        """Files of branches and tags, also of deleted ones, that are not as they are written: name to what is wrong."""
        return damaged_references(self.location)

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

    def tip(self, branch: str = MAIN) -> str:
        """The newest snapshot of a branch."""
        return self.branches()[branch]

    def is_untouched(self) -> bool:
        """Whether nothing was ever committed: no version, no checkpoint."""
        return all(next(self.ancestry(tip)).is_root for tip in self.branches().values())

    def disk_bytes(self) -> int:
        """Bytes of all files of the repository, every version and unfinished write included."""
        return sum(file.stat().st_size for file in (Path(self.location) / FOLDER).rglob("*") if file.is_file())

    @property
    def place(self) -> str:
        """What tells this store from others, however it was named: the absolute path of its folder."""
        return str(Path(self.location).resolve())

    def cache_folder(self) -> Path | None:
        """Where files made from the store may be kept beside it; None where that cannot be written."""
        folder = Path(self.location) / CACHE
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
