"""Changes of a store in one transaction: which branch, one commit, nothing seen before it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import zarr

from goodctl.datastore.codes import codec_names, delete_codec
from goodctl.datastore.description import SegmentInfo
from goodctl.datastore.format import Header
from goodctl.datastore.parts import CODECS, SEGMENTS, segment_group
from goodctl.datastore.reference import CHECKPOINT_PREFIX, MAIN, split_reference, visible
from goodctl.datastore.repository import (
    Repository,
    Session,
    check_place,
    is_store,
    missing_folders,
    taken_back_on_failure,
    translated_errors,
    writer_lock,
)
from goodctl.datastore.store import Datastore
from goodctl.errors import ConflictError, ExistsError, NotFoundError, UsageError


def writable(store: str, doing: str) -> tuple[str, str]:
    """Which store and branch a command changes that was given ``STORE`` or ``STORE@BRANCH``.

    Args:
        store: As the user named it.
        doing: The command as it would be typed, up to the store, for the hint.

    Returns:
        Location and branch.

    Raises:
        NotFoundError: There is no such store.
        UsageError: The reference is not a branch: other versions never change.
    """
    location, reference = split_reference(store)
    branches = visible(Repository.open(location).branches())
    if reference is None or reference in branches:
        return location, reference or MAIN
    raise UsageError(
        f"{store} is a version of {location}, not a branch: it cannot be changed.",
        hint=f"Change the newest version: {doing} {location}, or make a branch of it: "
        f"goodctl datastore branch {store} NAME",
    )


@dataclass
class Change:
    """A transaction on a branch of a store.

    Attributes:
        repository: Of the store.
        session: Where it is written.
        command: For the history.
        current: The version that is changed; None in a new store.
    """

    repository: Repository
    session: Session
    command: str
    current: Datastore | None = None

    @property
    def root(self) -> zarr.Group:
        """Root group of the version that is written."""
        return self.session.root

    def describe(self, header: Header) -> None:
        """Begin a new store."""
        self.root.update_attributes(header.to_dict())
        for name in (SEGMENTS, CODECS):
            self.root.require_group(name)

    def put(self, segment: SegmentInfo) -> None:
        """Write a segment's description; its parts are there."""
        segment_group(self.root, segment.id).update_attributes(segment.to_dict())

    def delete(self, segment: SegmentInfo) -> None:
        """Leave a segment out of the version that is written; earlier ones keep it."""
        del self.root.require_group(SEGMENTS)[segment.id]

    def unused_codecs(self, segments: Sequence[SegmentInfo]) -> list[str]:
        """The codecs that none of the segments uses."""
        used = {segment.codes.codec for segment in segments if segment.codes}
        return [name for name in codec_names(self.root) if name not in used]

    def drop_unused_codecs(self, segments: Sequence[SegmentInfo]) -> None:
        """Leave out the codecs that none of the segments uses."""
        for name in self.unused_codecs(segments):
            delete_codec(self.root, name)

    def commit(self, message: str, results: dict[str, Any], **metadata: Any) -> str:
        """Make everything visible at once.

        Args:
            message: For the log.
            results: Counts for the log: ``rows``, ``documents`` and ``languages`` are what was added, negative where
                it was removed.
            metadata: Further members of the commit's metadata.

        Returns:
            Id of the new snapshot.
        """
        kept = {"kind": "result", "command": self.command, "results": results, **metadata}
        return self.session.commit(message, kept)


@contextlib.contextmanager
def changing(store: str, command: str, *, typed: str | None = None, check: bool = False) -> Iterator[Change]:
    """Begin a change of an existing store, with the writers' lock held.

    Args:
        store: ``STORE`` or ``STORE@BRANCH``.
        command: ``remove``, ``compact`` and so on.
        typed: How the command is typed up to the store, where that is more than its name.
        check: Compare what is read with its hashes.

    Raises:
        NotFoundError: There is no such store.
        UsageError: A version was named that is no branch.
        ConflictError: Another process writes.
    """
    location, branch = writable(store, f"goodctl datastore {typed or command}")
    with writer_lock(location, f"goodctl datastore {command}"):
        repository = Repository.open(location)
        current = Datastore.from_repository(repository, branch, check=check)
        with translated_errors(location, "write to"):
            yield Change(repository, repository.session(branch), command, current)


@contextlib.contextmanager
def creating(store: str, command: str) -> Iterator[Change]:
    """Begin a new store, with the writers' lock held; what fails leaves no trace.

    Raises:
        ExistsError: Something is there already.
        ConflictError: Another process writes there.
    """
    refuse_existing(store)
    with new_place(store, f"goodctl datastore {command}"):
        refuse_existing(store)
        if is_store(store):
            if not Repository.open(store).is_untouched():
                raise ConflictError(
                    f"{store} holds an unfinished build.",
                    hint="Finish it with the command that began it, or choose another name.",
                )
            repository = Repository.open(store)  # a killed run has left it, and perhaps chunks that nobody sees
            for job in repository.checkpoints():
                repository.delete_branch(CHECKPOINT_PREFIX + job)
        else:
            repository = Repository.create(store)
        with translated_errors(store, "write to"):
            yield Change(repository, repository.session(MAIN), command)


@contextlib.contextmanager
def new_place(store: str, command: str) -> Iterator[None]:
    """Hold the lock of a store that is to be made; what fails before there is anything to keep leaves no trace."""
    made = missing_folders(store)
    with (
        writer_lock(store, command),
        taken_back_on_failure(store, made, lambda: Repository.open(store).is_untouched()),
    ):
        yield


def refuse_existing(store: str, hint: str = "Choose another name for the new store.") -> None:
    """Check that a new store can be made: nothing there, or a store without a finished version.

    Raises:
        ExistsError: There is one, or something else.
        UsageError: The name would be read as a version of another store.
    """
    if not is_store(store):
        check_place(store)
        return
    with contextlib.suppress(NotFoundError):  # a first version that was not finished
        rows = Datastore.from_repository(Repository.open(store)).rows
        raise ExistsError(f"{store} is a datastore already, with {rows:,} rows.", hint=hint)
