"""A store's history as tables and lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from goodctl.cli.tables import facts, plain_table
from goodctl.cli.units import counted, when
from goodctl.datastore.reference import split_reference

if TYPE_CHECKING:
    from goodctl.datastore.diff import Counts, Difference
    from goodctl.datastore.history import LogEntry
    from goodctl.datastore.names import Deleted, Name
    from goodctl.datastore.rollback import RollbackResult


def logged(entries: Sequence[LogEntry]) -> Iterator[RenderableType]:
    """Versions, one line each."""
    table = _versions()
    for entry in entries:
        table.add_row(*_version(entry))
    yield table


def drawn(entries: Sequence[LogEntry]) -> Iterator[RenderableType]:
    """Versions of all branches, with lanes that lead from each to the one before it."""
    from goodctl.datastore.history import drawing

    table, by_id = _versions(""), {entry.snapshot: entry for entry in entries}
    for line in drawing(entries):
        cells = _version(by_id[line.node]) if line.node else ("",) * 6
        table.add_row(f"[bold]{escape(line.lanes)}[/bold]", *cells)
    yield table


def _versions(*before: str) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for name in (*before, "snapshot", "date (UTC)", "command"):
        table.add_column(name, no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("languages", no_wrap=True)
    table.add_column("message")  # the only column that may give way; its cells keep to one line
    return table


def _version(entry: LogEntry) -> tuple[str | Text, ...]:
    content = f" [dim](content of {entry.restored[:8]})[/dim]" if entry.restored else ""
    if entry.restored and entry.restored[:8] in entry.message:
        content = ""
    message = Text.from_markup(escape(entry.message) + content, overflow="ellipsis")
    message.no_wrap = True
    names = f" [cyan]({escape(', '.join(entry.names))})[/cyan]" if entry.names else ""
    return (
        entry.snapshot[:8] + names,
        when(entry.written_at),
        entry.command,
        f"{entry.rows:+,}" if entry.rows else "0",
        escape(", ".join(entry.languages)),
        message,
    )


def named(names: Sequence[Name], kind: str) -> Iterator[RenderableType]:
    """Tags or branches."""
    if not names:
        yield f"There is no {kind}."
        return
    table = plain_table(None, (kind, "snapshot", "date (UTC)", "rows", "message"), left={kind, "snapshot", "message"})
    for each in names:
        table.add_row(
            escape(each.name), each.snapshot[:8], when(each.written_at), f"{each.rows:,}", escape(each.message)
        )
    yield table


def created(store: str, made: Name) -> Iterator[RenderableType]:
    """A new tag or branch."""
    location = split_reference(store)[0]
    yield (
        f"[bold]{made.kind.capitalize()} {escape(made.name)}[/bold] is version {made.snapshot[:8]} of "
        f"{when(made.written_at)} UTC, {counted(made.rows, 'row')}: {escape(location)}@{escape(made.name)}"
    )


def deleted(store: str, gone: Deleted) -> Iterator[RenderableType]:
    """A tag or branch that was deleted, and what becomes of its version."""
    yield f"[bold]Deleted {gone.kind} {escape(gone.name)}[/bold], which was version {gone.snapshot[:8]}"
    if gone.kind == "tag":
        yield "Its name cannot be used again."
    if gone.unreachable:
        yield (
            f"Nothing leads to that version any more: {escape(store)}@{gone.snapshot} is there until "
            f"goodctl datastore gc {escape(store)} removes it."
        )


def rolled_back(result: RollbackResult) -> Iterator[RenderableType]:
    """What a rollback has done."""
    yield (
        f"[bold]Rolled {escape(result.store)} back[/bold] to version {result.restored[:8]} of "
        f"{when(result.restored_at)} UTC: {escape(result.restored_message)}"
    )
    location = split_reference(result.store)[0]
    table = facts()
    table.add_row("rows", f"{result.rows_before:,} → {result.rows:,}")
    table.add_row("snapshot", result.snapshot)
    table.add_row("undo", f"goodctl datastore rollback {escape(result.store)} {result.before[:8]}")
    table.add_row("kept", f"the version before this one: {escape(location)}@{result.before[:8]}")
    yield table


def differing(result: Difference) -> Iterator[RenderableType]:
    """What differs between two versions."""
    yield f"[bold]{escape(_short(result.before))}[/bold] → [bold]{escape(_short(result.after))}[/bold]"
    if not result.differs:
        yield "No difference."
        return
    table = facts()
    table.add_row("rows", _change(result.total.rows_before, result.total.rows))
    table.add_row("documents", _change(result.total.documents_before, result.total.documents))
    table.add_row("segments", f"{len(result.segments):,} changed, {result.unchanged_segments:,} the same")
    for codec in result.codecs:
        table.add_row("codec", f"{codec.id[:8]} {codec.change}: {escape(codec.kind)}, {counted(codec.rows, 'row')}")
    for name, (old, new) in result.settings.items():
        table.add_row(escape(name), f"{escape(_setting(old))} → {escape(_setting(new))}")
    yield table
    for title, counts in (("Languages", result.languages), ("Labels", result.labels), ("Sources", result.sources)):
        if counts:
            yield ""
            yield _counts(title, counts)
    if result.segments:
        yield ""
        yield _segments(result)


def _short(version: str) -> str:
    location, _, snapshot = version.rpartition("@")
    return f"{location}@{snapshot[:8]}"


def _setting(value: object) -> str:
    if isinstance(value, dict):
        digests = value.get("fingerprint") or {}
        return f"{value.get('name')} ({', '.join(f'{part} {str(digests[part])[:8]}' for part in sorted(digests))})"
    return str(value)


def _change(before: int, after: int) -> str:
    return f"{before:,} → {after:,} ({after - before:+,})" if before != after else f"{after:,}, the same"


def _counts(title: str, counts: Sequence[Counts]) -> Table:
    name = title.lower().removesuffix("s")
    table = plain_table(title, (name, "rows", "change", "documents", "change"), left={name})
    for each in counts:
        table.add_row(
            escape(each.name or "none"),
            f"{each.rows_before:,} → {each.rows:,}",
            f"{each.rows - each.rows_before:+,}",
            f"{each.documents_before:,} → {each.documents:,}",
            f"{each.documents - each.documents_before:+,}",
        )
    return table


def _segments(result: Difference) -> Table:
    columns = ("segment", "change", "language", "label", "rows")
    table = plain_table("Segments", columns, left=set(columns) - {"rows"})
    for each in result.segments:
        rows = f"{each.rows:,}" if each.rows == each.rows_before else f"{each.rows_before:,} → {each.rows:,}"
        table.add_row(each.id[:8], each.change, escape(each.language), escape(each.label or "-"), rows)
    return table
