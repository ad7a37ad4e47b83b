"""Tags and branches: names for versions, those that stay and those that move."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from goodctl.datastore.reference import HIDDEN_PREFIXES, MAIN, led_to, split_reference, visible
from goodctl.datastore.repository import Repository, writer_lock
from goodctl.datastore.store import Datastore
from goodctl.errors import ExistsError, NotFoundError, UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PREFIX = re.compile(r"[0-9A-HJKMNP-TV-Z]{4,20}")
"""What may be the beginning of a snapshot's id, long enough to be read as one."""


@dataclass(frozen=True)
class Name:
    """A tag or branch.

    Attributes:
        name: Itself.
        kind: ``tag`` or ``branch``.
        snapshot: The version that it points to.
        written_at: When that version was written, ISO 8601, UTC.
        message: What the log says of it.
        rows: Rows of it.
    """

    name: str
    kind: str
    snapshot: str
    written_at: str
    message: str
    rows: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Deleted:
    """A tag or branch that was deleted.

    Attributes:
        name: It.
        kind: ``tag`` or ``branch``.
        snapshot: What it pointed to.
        unreachable: Whether no branch or tag leads to that version any more.
    """

    name: str
    kind: str
    snapshot: str
    unreachable: bool

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def tags(store: str) -> list[Name]:
    """The tags of a store, by name.

    Raises:
        NotFoundError: There is no such store.
        UsageError: A version was named.
    """
    repository = Repository.open(_whole(store, "tag"))
    return [_described(repository, name, "tag", snapshot) for name, snapshot in repository.tags().items()]


def branches(store: str) -> list[Name]:
    """The branches of a store, by name, ``main`` first; arguments and errors as of ``tags``."""
    repository = Repository.open(_whole(store, "branch"))
    shown = sorted(visible(repository.branches()).items(), key=lambda item: (item[0] != MAIN, item[0]))
    return [_described(repository, name, "branch", snapshot) for name, snapshot in shown]


def create_tag(reference: str, name: str) -> Name:
    """Give a version a name that never moves.

    Args:
        reference: ``STORE`` or ``STORE@REF``.
        name: Letters, digits, ``.``, ``_`` and ``-``.

    Raises:
        NotFoundError: There is no such store or version.
        UsageError: It is no name, or would be read as something else.
        ExistsError: It is a tag or branch already, or was a tag once.
        ConflictError: Another process writes.
    """
    return _create(reference, name, "tag")


def create_branch(reference: str, name: str) -> Name:
    """Begin a branch at a version; arguments and errors as of ``create_tag``."""
    return _create(reference, name, "branch")


def _create(reference: str, name: str, kind: str) -> Name:
    location, _ = split_reference(reference)
    _check_form(name)
    Repository.open(location)
    with writer_lock(location, f"goodctl datastore {kind}"):
        version = Datastore.open(reference)
        repository = version.repository
        _check_free(repository, name)
        make = repository.create_tag if kind == "tag" else repository.create_branch
        make(name, version.version.id)
        return _described(repository, name, kind, version.version.id)


def delete_tag(store: str, name: str) -> Deleted:
    """Delete a tag; its name can never be used again.

    Raises:
        NotFoundError: There is no such store or tag.
        UsageError: A version was named.
        ConflictError: Another process writes.
    """
    location = _whole(store, "tag")
    Repository.open(location)
    with writer_lock(location, "goodctl datastore tag"):
        repository = Repository.open(location)
        snapshot = _found(location, name, repository.tags(), "tag")
        repository.delete_tag(name)
        return Deleted(name, "tag", snapshot, not _is_reached(repository, snapshot))


def delete_branch(store: str, name: str) -> Deleted:
    """Delete a branch; errors as of ``delete_tag``. Its versions stay until they are collected."""
    location = _whole(store, "branch")
    if name == MAIN:
        raise UsageError(
            f"{MAIN} cannot be deleted: it is what {location} means without a reference.",
            hint=f"To make an earlier version the newest one: goodctl datastore rollback {location} @~1",
        )
    Repository.open(location)
    with writer_lock(location, "goodctl datastore branch"):
        repository = Repository.open(location)
        snapshot = _found(location, name, visible(repository.branches()), "branch")
        repository.delete_branch(name)
        return Deleted(name, "branch", snapshot, not _is_reached(repository, snapshot))


def _whole(store: str, command: str) -> str:
    location, reference = split_reference(store)
    if reference is not None:
        raise UsageError(
            f"{store} is one version of {location}; this is about all of it.",
            hint=f"goodctl datastore {command} {location}",
        )
    return location


def _check_form(name: str) -> None:
    if not _NAME.fullmatch(name) or name.startswith(HIDDEN_PREFIXES):
        raise UsageError(
            f"{name!r} cannot name a version.",
            hint="Use up to 64 letters, digits, '.', '_' and '-', beginning with a letter or digit"
            + (f"; {' and '.join(HIDDEN_PREFIXES)} begin names of goodctl's own." if _NAME.fullmatch(name) else "."),
        )


def _check_free(repository: Repository, name: str) -> None:
    for kind, names in (("tag", repository.tags()), ("branch", repository.branches())):
        if name in names:
            raise ExistsError(
                f"{repository.location} has a {kind} {name} already.",
                hint=f"List them: goodctl datastore {kind} {repository.location}",
            )
    if _PREFIX.fullmatch(name.upper()) and _is_prefix(repository, name.upper()):
        raise UsageError(f"{name} is the beginning of a snapshot's id.", hint="Choose a name that is not.")


def _is_prefix(repository: Repository, name: str) -> bool:
    starts = [*repository.branches().values(), *repository.tags().values()]
    return any(id.startswith(name) for id in led_to(starts, repository.history))


def _found(location: str, name: str, names: dict[str, str], kind: str) -> str:
    if name in names:
        return names[name]
    near: Iterable[str] = difflib.get_close_matches(name, names, 3) or list(names)[:5]
    raise NotFoundError(
        f"{location} has no {kind} {name}" + (f": it has {', '.join(near)}." if near else "."),
        hint=f"List them: goodctl datastore {kind} {location}",
    )


def _is_reached(repository: Repository, snapshot: str) -> bool:
    starts = [*visible(repository.branches()).values(), *repository.tags().values()]
    return snapshot in led_to(starts, repository.history)


def _described(repository: Repository, name: str, kind: str, snapshot: str) -> Name:
    version = Datastore.from_repository(repository, name)
    assert version.version.id == snapshot
    moment = version.version.written_at.isoformat(timespec="seconds")
    return Name(name, kind, snapshot, moment, version.version.message, version.rows)
