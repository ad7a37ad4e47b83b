"""Compaction: many small segments and parts put together into few, in one new version with the same rows."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from goodctl.datastore.assembly import free_id
from goodctl.datastore.change import Change, changing
from goodctl.datastore.codes import codec_infos
from goodctl.datastore.copying import Moved
from goodctl.datastore.description import Origin, SegmentCodes, SegmentInfo, SourceInfo
from goodctl.datastore.parts import segment_group
from goodctl.datastore.store import Datastore
from goodctl.datastore.takes import Take, derived_id, joined, recounted, write_takes
from goodctl.datastore.writer import PART_BYTES
from goodctl.progress import Progress, Report, silent

STAGE = "compacting"


@dataclass(frozen=True)
class CompactionResult:
    """What was done.

    Attributes:
        store: As the user named it.
        snapshot: Id of the new version; of the newest one where there was nothing to do.
        rows: Of the store, the same as before.
        segments_before: Number of segments.
        segments: The same afterwards.
        parts_before: Number of parts.
        parts: The same afterwards.
        rows_rewritten: Rows of the segments that were written anew.
        reordered: Whether segments changed places, and rows their numbers.
        bytes_written: By which the repository has grown.
        seconds: Of all of it.
    """

    store: str
    snapshot: str
    rows: int
    segments_before: int
    segments: int
    parts_before: int
    parts: int
    rows_rewritten: int
    reordered: bool
    bytes_written: int
    seconds: float

    @property
    def changed(self) -> bool:
        """Whether there is a new version."""
        return bool(self.rows_rewritten) or self.reordered

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "changed": self.changed}


def compact(
    store: str,
    *,
    reorder: bool = False,
    message: str | None = None,
    part_bytes: int = PART_BYTES,
    check: bool = False,
    report: Report = silent,
) -> CompactionResult:
    """Put neighbouring segments together that have language, label, precision and codec in common.

    Small parts become large ones on the way. Rows and their order stay; earlier versions stay as they are. One part is
    in memory at a time.

    Args:
        store: ``STORE`` or ``STORE@BRANCH``.
        reorder: First bring the segments together that fit: rows get other numbers.
        message: Commit message.
        part_bytes: Parts are joined up to this size.
        check: Compare what is read with its hashes.
        report: Gets progress.

    Raises:
        NotFoundError: There is no such store.
        UsageError: A version was named that is no branch.
        ConflictError: Another process writes.
    """
    started = time.monotonic()
    with changing(store, "compact", check=check) as change:
        current = change.current
        assert current is not None
        before = change.repository.disk_bytes()
        ordered = _brought_together(current.segments) if reorder else current.segments
        most_rows = max(1, part_bytes // current.header.row_bytes)
        groups = [list(group) for _, group in itertools.groupby(ordered, key=_kind)]
        work = [_is_worth_it(current, group, most_rows) for group in groups]
        moved = ordered != current.segments
        snapshot, after, rewritten = current.version.id, current.segments, 0
        if any(work) or moved:
            rewritten = sum(
                segment.rows for group, worth in zip(groups, work, strict=True) if worth for segment in group
            )
            after = _written(change, current, groups, work, most_rows, rewritten, report)
            change.drop_unused_codecs(after)
            text = f"compact {len(current.segments)} segments into {len(after)}"
            snapshot = change.commit(message or text, {"rows": 0, "documents": 0, "languages": {}})
        return CompactionResult(
            store=store,
            snapshot=snapshot,
            rows=current.rows,
            segments_before=len(current.segments),
            segments=len(after),
            parts_before=sum(segment.parts for segment in current.segments),
            parts=sum(segment.parts for segment in after),
            rows_rewritten=rewritten,
            reordered=moved,
            bytes_written=change.repository.disk_bytes() - before,
            seconds=time.monotonic() - started,
        )


def _kind(segment: SegmentInfo) -> tuple[str, str | None, str, str | None]:
    """What segments must have in common."""
    return segment.language, segment.label, segment.precision, segment.codes.codec if segment.codes else None


def _brought_together(segments: Sequence[SegmentInfo]) -> tuple[SegmentInfo, ...]:
    """Segments of a kind together, kinds in the order in which they come first."""
    kinds = list(dict.fromkeys(_kind(segment) for segment in segments))
    return tuple(sorted(segments, key=lambda segment: kinds.index(_kind(segment))))


def _is_worth_it(current: Datastore, group: Sequence[SegmentInfo], most_rows: int) -> bool:
    """Whether a group becomes fewer segments, or its segment fewer parts."""
    if len(group) > 1:
        return True
    takes = [Take(part) for part in current.parts(group[0])]
    return len(list(joined(takes, most_rows))) < len(takes)


def _written(
    change: Change,
    current: Datastore,
    groups: Sequence[list[SegmentInfo]],
    work: Sequence[bool],
    most_rows: int,
    rows: int,
    report: Report,
) -> tuple[SegmentInfo, ...]:
    after, done = [], 0

    def told(size: int) -> None:
        nonlocal done
        done += size
        report(Progress(STAGE, min(rows, done // current.header.row_bytes), rows, "rows"))

    for order, (group, worth) in enumerate(zip(groups, work, strict=True)):
        if worth:
            after.append(_joined(change, current, group, order, most_rows, told))
            continue
        kept = replace(group[0], order=order)
        if kept != group[0]:
            change.put(kept)
        after.append(kept)
    report(Progress(STAGE, rows, rows, "rows", finished=True))
    return tuple(after)


def _joined(
    change: Change, current: Datastore, group: Sequence[SegmentInfo], order: int, most_rows: int, told: Moved
) -> SegmentInfo:
    """Write one segment in place of several."""
    sources, renumbered = _common_sources(group)
    takes = [
        Take(part, sources=indices)
        for segment, indices in zip(group, renumbered, strict=True)
        for part in current.parts(segment)
    ]
    codes = _common_codes(group)
    info = codec_infos(current.root, current.location)[codes.codec] if codes else None
    wanted = derived_id(lambda _: False, "compact", *(f"{each.id}:{each.sha256['keys']}" for each in group))
    name = free_id(change, wanted)
    target = segment_group(change.root, name)
    write_takes(target, joined(takes, most_rows), info, told)
    first, last = group[0], group[-1]
    texts = {token: text for segment in group for token, text in segment.tokens.items()}
    origins: tuple[Origin, ...] = tuple(origin for segment in group for origin in segment.all_origins())
    settings = first.settings if all(each.settings == first.settings for each in group) else {}
    measured = next((each.distances for each in reversed(group) if each.distances), None)
    described = replace(
        first,
        id=name,
        order=order,
        added_at=last.added_at,
        codes=codes,
        settings=settings,
        job=f"compact-{name}",
        distances=measured,
    )
    written = recounted(described, target, current.location, sources=sources, origins=origins, texts=texts)
    change.put(written)
    for segment in group:
        change.delete(segment)
    return written


def _common_sources(group: Sequence[SegmentInfo]) -> tuple[list[SourceInfo], list[dict[int, int]]]:
    """The sources of all segments, numbered anew; and for each segment old index to new one."""
    found: dict[tuple[str, str], SourceInfo] = {}
    renumbered = []
    for segment in group:
        indices = {}
        for source in segment.sources:
            same = found.setdefault((source.name, source.sha256), replace(source, index=len(found)))
            indices[source.index] = same.index
        renumbered.append(indices)
    return list(found.values()), renumbered


def _common_codes(group: Sequence[SegmentInfo]) -> SegmentCodes | None:
    """What is recorded of the codec that the segments share, with errors as over all their rows."""
    codes = [(segment.codes, segment.rows) for segment in group if segment.codes]
    if not codes:
        return None
    rows = max(1, sum(count for _, count in codes))
    coarse = [each.coarse_error for each, _ in codes]
    return replace(
        codes[0][0],
        decision="trained" if all(each.decision == "trained" for each, _ in codes) else "reused",
        error=sum(each.error * count for each, count in codes) / rows,
        coarse_error=None
        if any(each is None for each in coarse)
        else sum((each.coarse_error or 0.0) * count for each, count in codes) / rows,
    )
