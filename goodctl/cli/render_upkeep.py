"""Results of verifying and collecting as tables and lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.markup import escape

from goodctl.cli.tables import facts, plain_table
from goodctl.cli.units import counted, duration, size, when
from goodctl.datastore.reference import split_reference

if TYPE_CHECKING:
    from goodctl.datastore.collect import CollectionResult
    from goodctl.workflows.verify import VerifyResult

_MOST = 50


def verified(result: VerifyResult) -> Iterator[RenderableType]:
    """What a verification has found."""
    what = f"{counted(result.versions, 'version')}, " if result.deep else ""
    looked = f"{what}{counted(result.rows, 'row')}, {size(result.bytes_read)} in {duration(result.seconds)}"
    for note in result.notes:
        yield f"note: {escape(note)}"
    if result.is_good:
        yield f"[bold]{escape(result.store)} is good[/bold]: {looked}"
        return
    problems = counted(len(result.problems), "problem")
    yield f"[bold red]{escape(result.store)} is damaged[/bold red]: {problems}; {looked}"
    yield ""
    for problem in result.problems[:_MOST]:
        other = problem.snapshot and problem.snapshot != result.snapshot
        version = f" (version {problem.snapshot[:8]})" if problem.snapshot and other else ""
        yield f"{escape(problem.where)}: {escape(problem.what)}{version}"
    if len(result.problems) > _MOST:
        yield f"... and {len(result.problems) - _MOST:,} more (--json has all)"
    if result.damaged_segments or result.good_segments:
        yield ""
        names = {"segment", "language", "label", "state"}
        table = plain_table("Segments", ("segment", "language", "label", "rows", "state"), left=names)
        for state, segments in (("damaged", result.damaged_segments), ("good", result.good_segments)):
            for each in segments:
                label = escape(each.label or "-")
                table.add_row(each.id[:8], escape(each.language), label, f"{each.rows:,}", state)
        yield table
    yield ""
    yield from _advice(result)


def _advice(result: VerifyResult) -> Iterator[RenderableType]:
    """What can be done."""
    location = escape(split_reference(result.store)[0])
    kinds = {problem.kind for problem in result.problems}
    if kinds == {"cache"}:
        yield "The store itself is good: only files made from it are not; deleted, they are made again."
        return
    yield "A backup is the surest way back: copy the damaged files from it."
    if kinds <= {"codes", "codec", "cache"}:
        yield f"Only codes are damaged; they can be made anew from the keys: goodctl datastore index {location}"
        return
    if result.good_version and result.good_version != result.snapshot:
        yield (
            f"Version {result.good_version[:8]} has none of the damage: "
            f"goodctl datastore rollback {location} {result.good_version[:8]}"
        )
    if result.damaged_segments and result.good_segments:
        yield (
            "What is good can be taken along: remove the damaged languages, labels or sources with "
            f"goodctl datastore remove {location}, and add their text again."
        )


def collected(result: CollectionResult) -> Iterator[RenderableType]:
    """What was freed."""
    verb = "Would free" if result.dry_run else "Freed"
    files = sum(result.files.values())
    yield f"[bold]{verb} {size(result.size_bytes)}[/bold] of {escape(result.store)}: {counted(files, 'file')}"
    table = facts()
    if files:
        table.add_row("files", ", ".join(f"{kind} {count:,}" for kind, count in result.files.items() if count))
    table.add_row("versions", f"{len(result.dropped):,} dropped, {result.versions:,} kept")
    for left in result.unfinished:
        table.add_row("unfinished", f"{counted(left.rows, 'row')} of an interrupted run, {when(left.checkpoint)} UTC")
    yield table
    if result.dropped:
        yield ""
        names = ("snapshot", "date (UTC)", "message")
        table = plain_table("Dropped" if not result.dry_run else "Would be dropped", names, left=set(names))
        for each in result.dropped:
            table.add_row(each.snapshot[:8], when(each.written_at), escape(each.message))
        yield table
