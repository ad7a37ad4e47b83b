"""A store's versions: one entry for each command that wrote, checkpoints folded into it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from goodctl.datastore.graph import newest_first
from goodctl.datastore.reference import Version, resolve, split_reference, visible
from goodctl.datastore.repository import Repository
from goodctl.datastore.store import unfinished
from goodctl.errors import UsageError


@dataclass(frozen=True)
class LogEntry:
    """One version.

    Attributes:
        snapshot: Its id.
        written_at: ISO 8601, UTC.
        command: What made it: ``build``, ``add``.
        message: Commit message.
        rows: Rows that it added; negative where it removed more.
        documents: Documents that it added.
        languages: Rows that it added, by language.
        checkpoints: How many checkpoints were made on the way.
        names: Branches and tags that point to it.
        parent: Id of the version before it in time, across rollbacks; None for the first.
        restored: Of a rollback: id of the version whose content it has.
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
    parent: str | None = None
    restored: str | None = None

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
    return list(_entries(repository, [start], branches, tags).values())


def log_all(store: str) -> list[LogEntry]:
    """The versions that any branch or tag of a store leads to, newest first, none before one that stands on it.

    Raises:
        NotFoundError: No store; also a store whose first build has not finished.
        UsageError: A version was named: these are all versions.
    """
    location, name = split_reference(store)
    if name is not None:
        raise UsageError(
            f"{store} is one version of {location}: the graph is of all branches and tags.",
            hint=f"goodctl datastore log {location} --graph, or without --graph: goodctl datastore log {store}",
        )
    repository = Repository.open(location)
    branches, tags = repository.branches(), repository.tags()
    entries = _entries(repository, [*visible(branches).values(), *tags.values()], branches, tags)
    moments = {id: datetime.datetime.fromisoformat(entry.written_at) for id, entry in entries.items()}
    return [entries[id] for id in newest_first(parents(entries.values()), moments)]


def parents(entries: Iterable[LogEntry]) -> dict[str, list[str]]:
    """What each version stands on."""
    return {entry.snapshot: [entry.parent] if entry.parent else [] for entry in entries}


def _entries(
    repository: Repository, starts: Iterable[str], branches: dict[str, str], tags: dict[str, str]
) -> dict[str, LogEntry]:
    """The versions that lead to snapshots, by id, newest first from each of them."""
    names: dict[str, list[str]] = {}
    for label, snapshot in [*visible(branches).items(), *tags.items()]:
        names.setdefault(snapshot, []).append(label)
    found: dict[str, LogEntry] = {}
    for start in starts:
        group: list[Version] = []  # a result, then the checkpoints on its way
        for version in repository.history(start):
            if version.is_root:
                break
            if group and not version.is_checkpoint:
                found[group[0].id] = _entry(group, tuple(names.get(group[0].id, ())), version.id)
                group = []
            if not group and version.id in found:
                break
            group.append(version)
        if group:
            found[group[0].id] = _entry(group, tuple(names.get(group[0].id, ())), None)
    if not found:
        raise unfinished(repository)
    return found


def _entry(group: Sequence[Version], names: tuple[str, ...], parent: str | None) -> LogEntry:
    version = group[0]
    results: Any = version.metadata.get("results", {})
    restored = version.metadata.get("restored")
    return LogEntry(
        snapshot=version.id,
        written_at=version.written_at.isoformat(timespec="seconds"),
        command=str(version.metadata.get("command", "")),
        message=version.message,
        rows=int(results.get("rows", 0)),
        documents=int(results.get("documents", 0)),
        languages=dict(results.get("languages", {})),
        checkpoints=len(group) - 1,
        names=names,
        parent=parent,
        restored=restored if isinstance(restored, str) else None,
    )
