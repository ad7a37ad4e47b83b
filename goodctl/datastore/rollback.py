"""Rolling back: a new version with the content of an earlier one; nothing is rewritten, nothing is lost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from goodctl.datastore.change import writable
from goodctl.datastore.reference import CHECKPOINT_PREFIX, ROLLED_BACK_PREFIX
from goodctl.datastore.repository import Repository, writer_lock
from goodctl.datastore.store import Datastore
from goodctl.errors import UsageError

_MOVING = CHECKPOINT_PREFIX + "moving-rollback-"
_ATTRIBUTE = "rolled_back"


@dataclass(frozen=True)
class RollbackResult:
    """What was done.

    Attributes:
        store: As the user named it.
        snapshot: Id of the new version.
        restored: Id of the version whose content it has.
        restored_message: What the log says of that one.
        restored_at: When that one was written, ISO 8601, UTC.
        before: Id of the version that was the newest.
        rows: Rows of the new version.
        documents: Documents of the new version.
        rows_before: Rows of the version that was the newest.
    """

    store: str
    snapshot: str
    restored: str
    restored_message: str
    restored_at: str
    before: str
    rows: int
    documents: int
    rows_before: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def rollback(store: str, reference: str, *, message: str | None = None) -> RollbackResult:
    """Make an earlier version's content the newest one's.

    The storage can only build on a version, not take its content over to another. So the new commit stands on the
    version that is restored, names the newest one before it as its ``previous``, and a hidden branch keeps that one
    alive; ``Repository.history`` follows ``previous``.

    Args:
        store: ``STORE`` or ``STORE@BRANCH``.
        reference: What would stand after the ``@``: ``~2``, a tag, a snapshot id and so on; an ``@`` before it is
            allowed.
        message: Commit message.

    Raises:
        NotFoundError: There is no such store or version.
        UsageError: That is the newest version already, or not a finished one.
        ConflictError: Another process writes.
    """
    location, branch = writable(store, "goodctl datastore rollback")
    with writer_lock(location, "goodctl datastore rollback"):
        repository = Repository.open(location)
        now = Datastore.from_repository(repository, branch)
        then = Datastore.from_repository(repository, reference.removeprefix("@"), branch=branch)
        _check(location, now, then)
        old, temporary = now.version.id, _MOVING + now.version.id
        for left in [name for name in repository.branches() if name.startswith(_MOVING)]:  # a run was killed
            repository.delete_branch(left)
        repository.create_branch(temporary, then.version.id)
        session = repository.session(temporary)
        session.root.attrs[_ATTRIBUTE] = {"from": old, "to": then.version.id}  # a commit must change something
        text = message or f"roll back to {then.version.id[:8]}: {then.version.message}"
        metadata = {"kind": "result", "command": "rollback", "previous": old, "restored": then.version.id}
        snapshot = session.commit(text, {**metadata, "results": _difference(now, then)})
        if ROLLED_BACK_PREFIX + old not in repository.branches():
            repository.create_branch(ROLLED_BACK_PREFIX + old, old)
        repository.move_branch(branch, snapshot, expected=old)
        repository.delete_branch(temporary)
    return RollbackResult(
        store=store,
        snapshot=snapshot,
        restored=then.version.id,
        restored_message=then.version.message,
        restored_at=then.version.written_at.isoformat(timespec="seconds"),
        before=old,
        rows=then.rows,
        documents=then.documents,
        rows_before=now.rows,
    )


def _check(location: str, now: Datastore, then: Datastore) -> None:
    if then.version.id == now.version.id:
        raise UsageError(
            f"{then.version.id[:8]} is the newest version of {location} already.",
            hint=f"List the versions: goodctl datastore log {location}",
        )


def _difference(now: Datastore, then: Datastore) -> dict[str, Any]:
    """Rows, documents and rows by language that come and go, for the log."""
    languages: dict[str, int] = {}
    for sign, store in ((1, then), (-1, now)):
        for segment in store.segments:
            languages[segment.language] = languages.get(segment.language, 0) + sign * segment.rows
    return {
        "rows": then.rows - now.rows,
        "documents": then.documents - now.documents,
        "languages": {name: count for name, count in languages.items() if count},
    }
