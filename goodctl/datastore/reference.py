"""``STORE@REF``: which store, and which of its versions."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from goodctl.errors import NotFoundError, UsageError

MAIN = "main"
CHECKPOINT_PREFIX = "checkpoint-"
"""Branches of unfinished writes."""
ROLLED_BACK_PREFIX = "rolled-back-"
"""Branches that keep what a rollback has left behind."""
HIDDEN_PREFIXES = (CHECKPOINT_PREFIX, ROLLED_BACK_PREFIX)
"""Branches with such names are hidden from users, and refused as references."""


@dataclass(frozen=True)
class Version:
    """One snapshot in a store's history.

    Attributes:
        id: Snapshot id.
        message: Commit message.
        written_at: Time of the commit, with time zone.
        metadata: What the writing command recorded.
        parent: Id of the snapshot before it, or None.
    """

    id: str
    message: str
    written_at: datetime.datetime
    metadata: dict[str, object]
    parent: str | None = None

    @property
    def is_checkpoint(self) -> bool:
        """Whether this is an intermediate state of a command rather than its result."""
        return self.metadata.get("kind") == "checkpoint"

    @property
    def previous(self) -> str | None:
        """Of a rollback: the newest version before it, which its parent is not; None for others."""
        previous = self.metadata.get("previous")
        return previous if isinstance(previous, str) else None

    @property
    def is_root(self) -> bool:
        """Whether this is the empty snapshot that every repository begins with."""
        return self.parent is None


def split_reference(text: str) -> tuple[str, str | None]:
    """Split ``STORE@REF`` at its last ``@``; a path that exists as it stands is not split.

    Returns:
        Location and reference; the reference is None where none was given.
    """
    if "@" not in text or Path(text).exists():
        return text, None
    location, _, reference = text.rpartition("@")
    return (location, reference) if location and reference else (text, None)


def resolve(
    reference: str | None,
    *,
    where: str,
    branches: dict[str, str],
    tags: dict[str, str],
    ancestry: Callable[[str], Iterable[Version]],
    has: Callable[[str], bool] | None = None,
) -> str:
    """Find the snapshot that a reference means.

    A reference is, tried in this order: a branch, a tag, ``~N`` (N results before the newest) or ``NAME~N`` (before a
    branch or tag), ``{DATE}`` (the newest at that time, UTC unless it says otherwise), the beginning of a snapshot id
    (at least 4 characters).

    Args:
        reference: As typed after the ``@``, or None for the newest version.
        where: Name of the store, for messages.
        branches: Branch name to snapshot id.
        tags: Tag name to snapshot id.
        ancestry: Versions from a snapshot id backwards, newest first; the versions before a rollback included.
        has: Whether there is a snapshot of a whole id, also one that no branch or tag leads to.

    Returns:
        A snapshot id.

    Raises:
        NotFoundError: Nothing matches.
        UsageError: The reference is malformed or ambiguous.
    """
    if reference is None:
        return branches[MAIN]
    named = {**tags, **visible(branches)}
    if reference in named:
        return named[reference]
    if (match := re.fullmatch(r"(.*)~(\d+)", reference)) and (not match[1] or match[1] in named):
        return _back(_results(ancestry(named[match[1] or MAIN])), int(match[2]), where)
    if match := re.fullmatch(r"\{(.+)\}", reference):
        return _at(_results(ancestry(branches[MAIN])), match[1], where)
    if has is not None and re.fullmatch(r"[0-9A-Za-z]{20}", reference) and has(reference.upper()):
        return reference.upper()
    return _by_prefix(_everything(branches, tags, ancestry), reference, where)


def visible(branches: dict[str, str]) -> dict[str, str]:
    """Those of the branches that users see."""
    return {name: tip for name, tip in branches.items() if not name.startswith(HIDDEN_PREFIXES)}


def _results(versions: Iterable[Version]) -> list[Version]:
    return [version for version in versions if not version.is_checkpoint and not version.is_root]


def led_to(starts: Iterable[str], ancestry: Callable[[str], Iterable[Version]]) -> dict[str, Version]:
    """All versions that snapshots lead to, checkpoints included: before them in time, or restored on the way.

    Args:
        starts: Ids of snapshots.
        ancestry: As for ``resolve``.
    """
    found: dict[str, Version] = {}
    waiting = list(dict.fromkeys(starts))
    while waiting:
        for version in ancestry(waiting.pop(0)):
            if version.id in found:
                break
            if not version.is_root:
                found[version.id] = version
            if version.previous is not None and version.parent is not None:
                waiting.append(version.parent)
    return found


def _everything(
    branches: dict[str, str], tags: dict[str, str], ancestry: Callable[[str], Iterable[Version]]
) -> dict[str, Version]:
    kept = [tip for name, tip in branches.items() if not name.startswith(CHECKPOINT_PREFIX)]
    return led_to([*kept, *tags.values()], ancestry)


def _back(results: list[Version], steps: int, where: str) -> str:
    if steps >= len(results):
        raise NotFoundError(
            f"{where}@~{steps}: the store has {len(results)} versions.", hint=f"goodctl datastore log {where}"
        )
    return results[steps].id


def _at(results: list[Version], text: str, where: str) -> str:
    try:
        moment = datetime.datetime.fromisoformat(text)
        if len(text) <= len("2026-10-01"):
            moment += datetime.timedelta(days=1)  # a day means: all that was written on it
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{where}@{{{text}}}: {text!r} is no date.",
            hint=f"Write it as {where}@{{2026-10-01}} or @{{2026-10-01T12:30}}.",
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    for version in results:
        if version.written_at < moment:
            return version.id
    raise NotFoundError(f"{where} has no version from {text} or before.", hint=f"goodctl datastore log {where}")


def _by_prefix(versions: dict[str, Version], prefix: str, where: str) -> str:
    found = [id for id in versions if len(prefix) >= 4 and id.startswith(prefix.upper())]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"{where}@{prefix} is ambiguous: {', '.join(sorted(found)[:5])}.",
            hint="Give more characters of the snapshot id.",
        )
    raise NotFoundError(
        f"{where} has no version {prefix!r}: no branch, tag or snapshot of that name.",
        hint=f"List the versions: goodctl datastore log {where}",
    )
