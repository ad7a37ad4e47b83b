"""Results of merging, sharding, removing and compacting as tables and lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.markup import escape

from goodctl.cli.tables import facts, plain_table
from goodctl.cli.units import counted, duration, size
from goodctl.datastore.reference import split_reference

if TYPE_CHECKING:
    from goodctl.datastore.compaction import CompactionResult
    from goodctl.datastore.removal import RemovalResult
    from goodctl.datastore.sharding import ShardResult
    from goodctl.workflows.merge import MergeResult


def _languages(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{escape(language)} {count:,}" for language, count in rows.items()) or "none"


def merged(result: MergeResult) -> Iterator[RenderableType]:
    """What a merge has done."""
    if result.rows or not result.duplicates:
        yield (
            f"[bold]Merged into {escape(result.store)}[/bold]: {counted(result.rows, 'row')} of "
            f"{counted(result.documents, 'document')} in {duration(result.seconds)}"
        )
    else:
        yield f"[bold]Nothing to merge[/bold]: {escape(result.store)} has every segment already"
    table = facts()
    for number, source in enumerate(result.inputs):
        text = f"{escape(source['store'])}, {counted(source['rows'], 'row')}, version {source['snapshot'][:8]}"
        table.add_row("" if number else "from", text)
    if result.rows:
        table.add_row("languages", _languages(result.languages))
    for each in result.duplicates:
        text = (
            f"{escape(each.store)}, segment {each.segment[:8]} ({escape(each.language)}, {counted(each.rows, 'row')})"
        )
        table.add_row("skipped", f"{text}: the same as {escape(each.same_as)}; --keep-duplicates copies it")
    for sentence in result.index:
        name, _, rest = sentence.partition(": ")
        table.add_row(name, escape(rest))
    if result.bytes_written:
        table.add_row("written", size(result.bytes_written))
    if result.store_rows != result.rows:
        table.add_row("store", f"{counted(result.store_rows, 'row')} of {counted(result.store_documents, 'document')}")
    table.add_row("snapshot", result.snapshot)
    yield table


def sharded(result: ShardResult) -> Iterator[RenderableType]:
    """What sharding has made."""
    yield (
        f"[bold]Cut {escape(result.store)} into {counted(len(result.shards), 'datastore')}[/bold]: "
        f"{counted(result.rows, 'row')} in {duration(result.seconds)}"
    )
    yield ""
    table = plain_table("Shards", ("shard", "rows", "documents", "languages", ""), left={"shard", "languages", ""})
    for each in result.shards:
        kept = "was there" if each.kept else ""
        table.add_row(escape(each.store), f"{each.rows:,}", f"{each.documents:,}", _languages(each.languages), kept)
    yield table


def removed(result: RemovalResult) -> Iterator[RenderableType]:
    """What a removal has done, and where the rows still are."""
    verb = "Would remove" if result.dry_run else "Removed"
    yield (
        f"[bold]{verb} {counted(result.rows, 'row')}[/bold] of {counted(result.documents, 'document')} from "
        f"{escape(result.store)} in {duration(result.seconds)}"
    )
    table = facts()
    table.add_row("languages", _languages(result.languages))
    what = [counted(result.segments, "whole segment")] if result.segments else []
    if result.rewritten:
        what.append(f"{counted(result.rewritten, 'segment')} {'would be ' if result.dry_run else ''}partly rewritten")
    table.add_row("segments", ", ".join(what))
    if result.codecs:
        table.add_row("codecs", f"{counted(len(result.codecs), 'codec')} that nothing uses any more")
    table.add_row(
        "left" if result.dry_run else "store",
        f"{counted(result.store_rows, 'row')} of {counted(result.store_documents, 'document')}",
    )
    if not result.dry_run:
        location = split_reference(result.store)[0]
        table.add_row("written", size(result.bytes_written))
        table.add_row("snapshot", result.snapshot)
        table.add_row("kept", f"all of it in earlier versions, such as {escape(location)}@{result.before[:8]}")
    yield table


def compacted(result: CompactionResult) -> Iterator[RenderableType]:
    """What compaction has done."""
    if not result.changed:
        yield (
            f"[bold]Nothing to compact[/bold]: no two neighbours of the "
            f"{counted(result.segments_before, 'segment')} have language, label, precision and codec in common"
        )
        return
    yield (
        f"[bold]Compacted {escape(result.store)}[/bold]: {counted(result.segments_before, 'segment')} into "
        f"{result.segments:,}, {counted(result.parts_before, 'part')} into {result.parts:,}, in "
        f"{duration(result.seconds)}"
    )
    table = facts()
    table.add_row("rows", f"{result.rows:,}, " + ("renumbered" if result.reordered else "in the same order"))
    table.add_row("written", size(result.bytes_written))
    table.add_row("snapshot", result.snapshot)
    yield table
