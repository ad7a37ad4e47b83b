"""Merge datastores: segments are copied as they are, codes kept or made anew from the keys; no model runs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from goodctl import __version__
from goodctl.datastore.assembly import counts, provenance, put_whole
from goodctl.datastore.change import Change, changing, creating
from goodctl.datastore.description import SegmentInfo
from goodctl.datastore.format import DOCUMENT_SOURCES
from goodctl.datastore.store import Datastore
from goodctl.errors import IncompatibleError, UsageError
from goodctl.index.codec_choices import AUTO
from goodctl.index.stores import expand
from goodctl.models.device import choose_device
from goodctl.progress import Progress, Report, silent
from goodctl.workflows.coding import Coding
from goodctl.workflows.index_choice import IndexChoice
from goodctl.workflows.joining import Joining, check_choice

STAGE = "copying"


@dataclass(frozen=True)
class MergeChoice:
    """How stores are merged.

    Attributes:
        keep_duplicates: Copy segments too that the result has already.
        codec: ``auto``, ``keep`` or ``reuse``; see ``Joining``.
        device: Where keys are encoded.
        check: Compare what is read with its hashes.
        message: Commit message.
    """

    keep_duplicates: bool = False
    codec: str = AUTO
    device: str = "auto"
    check: bool = False
    message: str | None = None


@dataclass(frozen=True)
class Duplicate:
    """A segment that was skipped.

    Attributes:
        store: Where it is.
        segment: Its id there.
        language: Of it.
        rows: Of it.
        same_as: The segment that has the same content already, and where it is.
    """

    store: str
    segment: str
    language: str
    rows: int
    same_as: str


@dataclass(frozen=True)
class MergeResult:
    """What was done.

    Attributes:
        store: The result, as the user named it.
        snapshot: Id of its new version; of the newest one where there was nothing to add.
        inputs: Of each store: store, snapshot, message, written_at, rows.
        rows: Rows that were copied.
        documents: Documents that were copied.
        languages: Rows that were copied, by language.
        segments: Segments that were copied.
        duplicates: Segments that were skipped.
        store_rows: Rows of the result.
        store_documents: Documents of the result.
        index: Sentences on what was decided about codes.
        bytes_written: By which the repository has grown.
        seconds: Of all of it.
    """

    store: str
    snapshot: str
    inputs: tuple[dict[str, Any], ...]
    rows: int
    documents: int
    languages: dict[str, int]
    segments: int
    duplicates: tuple[Duplicate, ...]
    store_rows: int
    store_documents: int
    index: tuple[str, ...]
    bytes_written: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            **asdict(self),
            "inputs": list(self.inputs),
            "duplicates": [asdict(each) for each in self.duplicates],
            "index": list(self.index),
        }


@dataclass
class _Copy:
    """A segment on its way."""

    source: Datastore
    segment: SegmentInfo
    keeps_codes: bool = False


@dataclass
class _Plan:
    copies: list[_Copy] = field(default_factory=list)
    duplicates: list[Duplicate] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        """Of keys and values."""
        return sum(each.segment.rows * each.source.header.row_bytes for each in self.copies)


def merge(
    stores: Sequence[str],
    *,
    out: str | None = None,
    into: str | None = None,
    choice: MergeChoice | None = None,
    report: Report = silent,
) -> MergeResult:
    """Copy the segments of stores into a new store, or into one that is there; in one new version.

    Args:
        stores: ``STORE``, ``STORE@REF`` or globs, in the order in which their rows are to come.
        out: New store; or
        into: Existing store, or ``STORE@BRANCH``.
        choice: What becomes of duplicates and codes.
        report: Gets progress.

    Raises:
        NotFoundError: There is no such store or version.
        ExistsError: Something is at ``out``.
        IncompatibleError: Model, key layer, key dtype, window or vocabulary differ.
        UsageError: No store, or neither or both of ``out`` and ``into``.
        DamagedError: Stored bytes cannot be read; the result is what it was.
        ConflictError: Another process writes there.
    """
    started, choice = time.monotonic(), choice or MergeChoice()
    check_choice(choice.codec)
    device = choose_device(choice.device)
    if (out is None) == (into is None) or not stores:
        raise UsageError(
            "Name the stores to merge, and either a new store or --into an existing one.",
            hint="For example: goodctl datastore merge NEW STORE STORE",
        )
    sources = [Datastore.open(reference, check=choice.check) for reference in expand(stores)]
    with _target(out, into, check=choice.check) as change:
        first = change.current or sources[0]
        for source in sources:
            check_mergeable(first, source)
        before = change.repository.disk_bytes()
        plan = _planned(change, sources, keep_duplicates=choice.keep_duplicates)
        change.repository.require_space(plan.size_bytes)
        coding = Coding(IndexChoice(), device, change.current, report, kept="Nothing was changed")
        new: list[SegmentInfo] = []
        snapshot = change.current.version.id if change.current else ""
        if plan.copies or change.current is None:
            _mention_overlaps(change.current, plan, coding)
            new = _copied(change, plan, Joining(choice.codec, coding), first, report)
            names = ", ".join(source.location for source in sources[:3]) + (", ..." if len(sources) > 3 else "")
            inputs = [provenance(source) for source in sources]
            snapshot = change.commit(choice.message or f"merge {names}", counts(new), inputs=inputs)
        there = change.current.segments if change.current else ()
        return MergeResult(
            store=out or into or "",
            snapshot=snapshot,
            inputs=tuple(provenance(source) for source in sources),
            **counts(new),
            segments=len(new),
            duplicates=tuple(plan.duplicates),
            store_rows=sum(segment.rows for segment in (*there, *new)),
            store_documents=sum(segment.documents for segment in (*there, *new)),
            index=tuple(coding.taken),
            bytes_written=change.repository.disk_bytes() - before,
            seconds=time.monotonic() - started,
        )


def _target(out: str | None, into: str | None, *, check: bool) -> contextlib.AbstractContextManager[Change]:
    if into is not None:
        return changing(into, "merge", typed="merge --into", check=check)
    return creating(out or "", "merge")


def check_mergeable(first: Datastore, other: Datastore) -> None:
    """Check that rows of a store can stand beside those of another.

    Raises:
        IncompatibleError: What differs, with both values.
    """
    names = ("model", "key_layer", "key_dtype", "dimension", "vocabulary", "window")
    if found := first.header.difference(other.header, *names):
        what, mine, others = found
        raise IncompatibleError(
            f"{other.location} cannot be merged with {first.location}: its {what} is {others}, not {mine}.",
            hint=f"Compare them: goodctl datastore diff {first.location} {other.location}",
        )


def _planned(change: Change, sources: Sequence[Datastore], *, keep_duplicates: bool) -> _Plan:
    """What is copied. Two equal segments of one store were put there on purpose: both are."""
    plan, seen = _Plan(), dict[Any, str]()
    if change.current:
        seen = {_content(each): _called(each, change.current) for each in change.current.segments}
    for source in sources:
        for segment in source.segments:
            same = seen.get(_content(segment))
            if same is None or keep_duplicates:
                plan.copies.append(_Copy(source, segment))
            else:
                language, rows = segment.language, segment.rows
                plan.duplicates.append(Duplicate(source.location, segment.id, language, rows, same))
        for segment in source.segments:
            seen.setdefault(_content(segment), _called(segment, source))
    return plan


def _called(segment: SegmentInfo, store: Datastore) -> str:
    label = f", {segment.label}" if segment.label else ""
    return f"{segment.id[:8]} in {store.location} ({segment.language}{label})"


def _mention_overlaps(current: Datastore | None, plan: _Plan, coding: Coding) -> None:
    """Say which segments are not the same as one that is there, but have text in common with it."""
    there = {origin.job: each for each in current.segments for origin in each.all_origins()} if current else {}
    for copy in plan.copies:
        for origin in copy.segment.all_origins():
            if (other := there.get(origin.job)) and other.language == copy.segment.language:
                name, store = f"{copy.segment.id[:8]} of {copy.source.location}", f"{other.id[:8]} of the store"
                coding.say(f"note: segment {name} was made from the same text as {store}, and is copied beside it")
                break


def _content(segment: SegmentInfo) -> Any:
    """What equal segments have in common: rows, and the lines of the files that they came from.

    Names of files do not count, nor which number a file had in the command that read it.
    """
    hashes = {name: value for name, value in segment.sha256.items() if name != DOCUMENT_SOURCES}
    return tuple(sorted(hashes.items())), frozenset(source.sha256 for source in segment.sources)


def _copied(change: Change, plan: _Plan, joining: Joining, first: Datastore, report: Report) -> list[SegmentInfo]:
    total, moved = sum(each.segment.rows for each in plan.copies), 0

    def told(size: int) -> None:
        nonlocal moved
        moved += size
        report(Progress(STAGE, min(total, moved // first.header.row_bytes), total, "rows"))

    if change.current is None:
        change.describe(first.header.begun(f"goodctl {__version__}"))
    else:
        joining.begin(change.current)
    order = 1 + max((segment.order for segment in change.current.segments), default=-1) if change.current else 0
    new = []
    for number, each in enumerate(plan.copies, order):
        each.keeps_codes = joining.keeps_codes(each.source, each.segment)
        new.append(put_whole(change, each.source, each.segment, number, with_codes=each.keeps_codes, moved=told))
    report(Progress(STAGE, total, total, "rows", finished=True))
    return _coded(change, plan, joining, first, new)


def _coded(
    change: Change, plan: _Plan, joining: Joining, first: Datastore, new: list[SegmentInfo]
) -> list[SegmentInfo]:
    """Give codes to the segments that have brought none, where others have some."""
    for each, copied in zip(plan.copies, new, strict=True):
        if not each.keeps_codes:
            joining.plan(each.source, each.segment, copied)
    version = replace(
        first, location=change.repository.location, repository=change.repository, root=change.root, checked=False
    )
    codes = dict(joining.encode(replace(version, segments=tuple(new))))
    bare = tuple(segment for segment in new if segment.id in joining.bare)
    if bare:
        rest = replace(version, segments=bare)
        joining.coding.say(f"index: a new codec for {', '.join(each.language for each in bare)}: none fits")
        codes |= joining.coding.trained_like(rest, joining.newest())
    after = [replace(segment, codes=codes.get(segment.id, segment.codes)) for segment in new]
    for segment in after:
        if segment.id in codes:
            change.put(segment)
    return after
