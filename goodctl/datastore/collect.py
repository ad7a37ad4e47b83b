"""Garbage collection: which versions and unfinished writes go, and what that frees."""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from goodctl.datastore.reference import (
    CHECKPOINT_PREFIX,
    MAIN,
    ROLLED_BACK_PREFIX,
    Version,
    led_to,
    split_reference,
    visible,
)
from goodctl.datastore.repository import Repository, writer_lock
from goodctl.datastore.repository.collection import Freed, copied, free
from goodctl.errors import DamagedError, UsageError

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST = datetime.timedelta(days=366 * 100)
"""Of an age: what is longer may lead to before the calendar's first year."""
_MOVING = CHECKPOINT_PREFIX + "moving-"


@dataclass(frozen=True)
class DroppedVersion:
    """A version that goes.

    Attributes:
        snapshot: Its id.
        written_at: ISO 8601, UTC.
        message: What the log said.
    """

    snapshot: str
    written_at: str
    message: str


@dataclass(frozen=True)
class UnfinishedWrite:
    """An interrupted command whose rows go.

    Attributes:
        rows: That it had written.
        checkpoint: Time of its last checkpoint, ISO 8601, UTC.
    """

    rows: int
    checkpoint: str


@dataclass(frozen=True)
class CollectionResult:
    """What was freed, or would be.

    Attributes:
        store: As the user named it.
        dropped: Versions that went.
        unfinished: Unfinished writes that went.
        versions: Number of versions that stay.
        files: Number of files that went, by kind.
        size_bytes: Of these files.
        dry_run: Whether nothing was changed.
    """

    store: str
    dropped: tuple[DroppedVersion, ...]
    unfinished: tuple[UnfinishedWrite, ...]
    versions: int
    files: dict[str, int]
    size_bytes: int
    dry_run: bool

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            **asdict(self),
            "dropped": [asdict(each) for each in self.dropped],
            "unfinished": [asdict(each) for each in self.unfinished],
        }


def parse_age(text: str) -> datetime.timedelta:
    """An age such as ``30d``, ``12h``, ``2w`` or ``90m``.

    Raises:
        UsageError: It is none.
    """
    match = re.fullmatch(r"(\d{1,6})([mhdw])", text.strip())
    age = datetime.timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else None
    if age is None or age > _LONGEST:
        raise UsageError(f"--older-than {text}: that is no age.", hint="Write 30d, 12h, 2w or 90m.")
    return age


def gc(
    store: str,
    *,
    keep_last: int | None = None,
    older_than: datetime.timedelta | None = None,
    dry_run: bool = False,
    now: datetime.datetime | None = None,
) -> CollectionResult:
    """Free what nothing leads to; with conditions, also drop versions.

    Newest versions of branches and tagged ones always stay. Of the others those go that every given condition holds
    for; without a condition none does.

    Args:
        store: An existing store.
        keep_last: So many of the newest versions of ``main`` stay, and whatever is as young.
        older_than: Only versions older than this go; and unfinished writes whose last checkpoint is older.
        dry_run: Only say what would be freed.
        now: The time that ages are counted from; by default the clock's.

    Raises:
        NotFoundError: There is no such store.
        UsageError: A version was named, or fewer than one is to stay.
        DamagedError: Small files, branches or tags are damaged: what hangs on them might be taken for garbage.
        ConflictError: Another process writes.
    """
    location, reference = split_reference(store)
    if reference is not None:
        raise UsageError(f"{store} is one version of {location}.", hint=f"goodctl datastore gc {location}")
    if keep_last is not None and keep_last < 1:
        raise UsageError(f"--keep-last {keep_last}: at least one version stays.", hint="Use --keep-last 1 or more.")
    repository, now = Repository.open(location), now or datetime.datetime.now(datetime.UTC)
    if dry_run:
        _check(repository)
        with copied(repository) as copy:
            return _collected(copy, location, keep_last, older_than, now, dry_run=True)
    with writer_lock(location, "goodctl datastore gc"):
        repository = Repository.open(location)
        _check(repository)
        return _collected(repository, location, keep_last, older_than, now, dry_run=False)


def _check(repository: Repository) -> None:
    """Check that everything that branches and tags lead to can be followed: what cannot might be taken for garbage."""
    if problems := repository.damaged_files() | repository.damaged_references():
        name, problem = next(iter(problems.items()))
        raise DamagedError(
            f"{repository.location} is damaged ({name} {problem}): nothing is removed from it.",
            hint=f"See what is damaged: goodctl datastore verify {repository.location} --deep",
        )
    for start in {**repository.branches(), **repository.tags()}.values():
        for _ in repository.history(start):
            pass


def _collected(
    repository: Repository,
    store: str,
    keep_last: int | None,
    older_than: datetime.timedelta | None,
    now: datetime.datetime,
    *,
    dry_run: bool,
) -> CollectionResult:
    before = _versions(repository)
    bound = _bound(repository, keep_last, older_than, now)
    unfinished = _drop_unfinished(repository, now - older_than if older_than is not None else None)
    _drop_hidden(repository, bound)
    freed: Freed = free(repository, bound)
    after = _versions(Repository.open(repository.location))
    dropped = [version for id, version in before.items() if id not in after]
    return CollectionResult(
        store=store,
        dropped=tuple(DroppedVersion(each.id, _moment(each), each.message) for each in dropped),
        unfinished=tuple(unfinished),
        versions=len(after),
        files=freed.files,
        size_bytes=freed.size_bytes,
        dry_run=dry_run,
    )


def _moment(version: Version) -> str:
    return version.written_at.isoformat(timespec="seconds")


def _starts(repository: Repository) -> list[str]:
    return [*visible(repository.branches()).values(), *repository.tags().values()]


def _results(versions: Iterable[Version]) -> list[Version]:
    return [version for version in versions if not version.is_root and not version.is_checkpoint]


def _versions(repository: Repository) -> dict[str, Version]:
    """All versions that a branch or tag leads to, and those that hidden branches of rollbacks keep."""
    hidden = [tip for name, tip in repository.branches().items() if name.startswith(ROLLED_BACK_PREFIX)]
    found = led_to([*_starts(repository), *hidden], repository.history)
    return {version.id: version for version in _results(found.values())}


def _bound(
    repository: Repository, keep_last: int | None, older_than: datetime.timedelta | None, now: datetime.datetime
) -> datetime.datetime | None:
    """Versions written before it go; None where none does."""
    bounds = [now - older_than] if older_than is not None else []
    if keep_last is not None:
        kept = _results(repository.history(repository.tip(MAIN)))[:keep_last]
        bounds.append(min(version.written_at for version in kept) if kept else now)
    return min(bounds, default=None)


def _drop_unfinished(repository: Repository, before: datetime.datetime | None) -> list[UnfinishedWrite]:
    """Delete branches of writes that hold nothing, or were left alone for so long."""
    reached = led_to(_starts(repository), repository.history)
    dropped = []
    for name, tip in repository.branches().items():
        if not name.startswith(CHECKPOINT_PREFIX):
            continue
        if name.startswith(_MOVING) or tip in reached:
            repository.delete_branch(name)
            continue
        version, *before_it = itertools.islice(repository.ancestry(tip), 2)
        if version.is_root:  # killed before its first commit to a store without a version
            repository.delete_branch(name)
            continue
        (parent,) = before_it
        if not version.is_checkpoint:  # committed, but the branch was not moved there: it will be committed again
            repository.move_branch(name, parent.id, expected=tip)
            version = parent
        if before is not None and version.written_at < before:
            repository.delete_branch(name)
            dropped.append(UnfinishedWrite(int(str(version.metadata["rows"])), _moment(version)))
    return dropped


def _drop_hidden(repository: Repository, bound: datetime.datetime | None) -> None:
    """Delete branches that keep what rollbacks left behind, where it is too old, kept anyway, or led to by nothing."""
    starts = _starts(repository)
    kept_anyway = {version.id for start in starts for version in repository.ancestry(start)}
    wanted = led_to(starts, repository.history)
    for name, tip in repository.branches().items():
        if not name.startswith(ROLLED_BACK_PREFIX):
            continue
        too_old = tip in wanted and bound is not None and wanted[tip].written_at < bound
        if tip in kept_anyway or tip not in wanted or too_old:
            repository.delete_branch(name)
