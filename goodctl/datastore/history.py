"""A store's versions: one entry for each command that wrote, checkpoints folded into it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from goodctl.datastore.reference import Version, resolve, split_reference, visible
from goodctl.datastore.repository import Repository
from goodctl.datastore.store import unfinished


@dataclass(frozen=True)
class LogEntry:
    """One version.

    Attributes:
        snapshot: Its id.
        written_at: ISO 8601, UTC.
        command: What made it: ``build``, ``add``.
        message: Commit message.
        rows: Rows that it added.
        documents: Documents that it added.
        languages: Rows that it added, by language.
        checkpoints: How many checkpoints were made on the way.
        names: Branches and tags that point to it.
    """

    snapshot: str
    written_at: str
    command: str
    message: str
    rows: int
    documents: int
    languages: dict[str, int]
    checkpoints: int
    names: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "names": list(self.names)}


def log(reference: str) -> list[LogEntry]:
    """The versions of ``STORE`` or ``STORE@REF``, newest first.

    Raises:
        NotFoundError: No store, or no such version; also a store whose first build has not finished.
    """
    location, name = split_reference(reference)
    repository = Repository.open(location)
    branches, tags = repository.branches(), repository.tags()
    start = resolve(name, where=location, branches=branches, tags=tags, ancestry=repository.history)
    names: dict[str, list[str]] = {}
    for label, snapshot in [*visible(branches).items(), *tags.items()]:
        names.setdefault(snapshot, []).append(label)
    groups: list[list[Version]] = []  # a result, then the checkpoints on its way
    for version in repository.history(start):
        if version.is_checkpoint and groups:
            groups[-1].append(version)
        elif not version.is_root:
            groups.append([version])
    if not groups:
        raise unfinished(repository)
    return [_entry(group[0], len(group) - 1, tuple(names.get(group[0].id, ()))) for group in groups]


def _entry(version: Version, checkpoints: int, names: tuple[str, ...]) -> LogEntry:
    results: Any = version.metadata.get("results", {})
    return LogEntry(
        snapshot=version.id,
        written_at=version.written_at.isoformat(timespec="seconds"),
        command=str(version.metadata.get("command", "")),
        message=version.message,
        rows=int(results.get("rows", 0)),
        documents=int(results.get("documents", 0)),
        languages=dict(results.get("languages", {})),
        checkpoints=checkpoints,
        names=names,
    )
