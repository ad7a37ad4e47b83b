"""A store's versions: one entry for each command that wrote, checkpoints folded into it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from goodctl.datastore.graph import Line, draw, newest_first
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
    return _entries(_walk(repository, [start]), branches, tags)


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
    found = _walk(repository, [*visible(branches).values(), *tags.values()])
    parents = {id: step.parents for id, step in found.items()}
    ordered = newest_first(parents, {id: step.version.written_at for id, step in found.items()})
    return _entries({id: found[id] for id in ordered}, branches, tags)


def drawing(entries: Iterable[LogEntry]) -> list[Line]:
    """The lines of a graph of versions, as ``log_all`` gives them."""
    return draw({entry.snapshot: (entry.parent,) if entry.parent else () for entry in entries})


@dataclass
class _Step:
    """A command's version on the way back in time."""

    version: Version
    checkpoints: int = 0
    parents: tuple[str, ...] = ()


def _walk(repository: Repository, starts: Iterable[str]) -> dict[str, _Step]:
    """The versions from some snapshots backwards, each way in turn until it meets one that was walked before."""
    steps: dict[str, _Step] = {}
    for start in dict.fromkeys(starts):
        after: _Step | None = None
        for version in repository.history(start):
            if version.is_root:
                continue
            if version.is_checkpoint and after is not None:
                after.checkpoints += 1
                continue
            if after is not None:
                after.parents = (version.id,)
            if version.id in steps:
                break
            after = steps[version.id] = _Step(version)
    if not steps:
        raise unfinished(repository)
    return steps


def _entries(steps: Mapping[str, _Step], branches: dict[str, str], tags: dict[str, str]) -> list[LogEntry]:
    names: dict[str, list[str]] = {}
    for label, snapshot in [*visible(branches).items(), *tags.items()]:
        names.setdefault(snapshot, []).append(label)
    return [_entry(step, tuple(names.get(id, ()))) for id, step in steps.items()]


def _entry(step: _Step, names: tuple[str, ...]) -> LogEntry:
    version = step.version
    results = _members(version.metadata.get("results"))
    languages = _members(results.get("languages"))
    restored = version.metadata.get("restored")
    return LogEntry(
        snapshot=version.id,
        written_at=version.written_at.isoformat(timespec="seconds"),
        command=str(version.metadata.get("command", "")),
        message=version.message,
        rows=_count(results.get("rows")),
        documents=_count(results.get("documents")),
        languages={str(name): _count(rows) for name, rows in languages.items()},
        checkpoints=step.checkpoints,
        names=names,
        parent=next(iter(step.parents), None),
        restored=restored if isinstance(restored, str) else None,
    )


def _members(stored: object) -> dict[str, Any]:
    return stored if isinstance(stored, dict) else {}


def _count(stored: object) -> int:
    """A count as another program may have written it: information only, so that what is none counts as nothing."""
    return stored if isinstance(stored, int) else 0
