"""Results as tables and lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from goodctl.cli.units import duration, size, when

if TYPE_CHECKING:  # their modules load torch, which looking into a store does not need
    from goodctl.datastore.history import LogEntry
    from goodctl.workflows.writing import WriteResult


def _facts() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    return table


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def written(verb: str, result: WriteResult) -> Iterator[RenderableType]:
    """What a build or an addition has done."""
    yield (
        f"[bold]{verb} {escape(result.store)}[/bold]: {_counted(result.rows, 'row')} from "
        f"{_counted(result.documents, 'document')} in {duration(result.seconds)} ({result.rows_per_second:,.0f} rows/s)"
    )
    facts = _facts()
    facts.add_row("model", escape(f"{result.model} on {result.device}, {result.precision}"))
    facts.add_row("languages", _languages(result.languages))
    facts.add_row("written", size(result.bytes_written))
    if result.resumed_rows:
        facts.add_row("resumed", f"{_counted(result.resumed_rows, 'row')} came from an interrupted run")
    if result.skipped:
        facts.add_row("skipped", f"{_counted(result.skipped, 'document')} without a row: empty, or a single token")
    if result.store_rows != result.rows:
        facts.add_row(
            "store", f"{_counted(result.store_rows, 'row')} of {_counted(result.store_documents, 'document')}"
        )
    facts.add_row("snapshot", result.snapshot)
    yield facts


def _languages(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{escape(language)} {count:,}" for language, count in rows.items())


def inspected(described: Mapping[str, Any]) -> Iterator[RenderableType]:
    """A store's description."""
    yield (
        f"[bold]{escape(described['store'])}[/bold]: {_counted(described['rows'], 'row')} of "
        f"{_counted(described['documents'], 'document')}"
    )
    facts, model, disk = _facts(), described["model"], described["disk"]
    revision = f" at {model['revision'][:12]}" if model["revision"] else ""
    facts.add_row("model", escape(f"{model['name']}{revision} ({model['architecture']})"))
    facts.add_row("keys", f"{described['key_layer']}, {described['dimension']} × {described['key_dtype']}")
    facts.add_row("context", f"up to {described['window']:,} tokens")
    languages = {language: counts["rows"] for language, counts in described["languages"].items()}
    facts.add_row("languages", _languages(languages))
    facts.add_row("labels", ", ".join(map(escape, described["labels"])) or "none")
    facts.add_row(
        "version", f"{described['snapshot']} of {when(described['written_at'])} UTC: {escape(described['message'])}"
    )
    facts.add_row("size", f"{size(disk['version_bytes'])} in this version, {size(disk['repository_bytes'])} on disk")
    facts.add_row("format", f"{described['format_version']}, made by {escape(described['created_by'])}")
    for left in described["unfinished"]:
        facts.add_row(
            "unfinished", f"{_counted(left['rows'], 'row')} of an interrupted run, {when(left['checkpoint'])} UTC"
        )
    yield facts
    yield ""
    yield _segments(described["segments"])
    yield ""
    yield _sources(described["sources"])
    if described["frequent_tokens"]:
        yield ""
        yield _tokens(described["frequent_tokens"])


def _segments(segments: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(
        title="Segments", title_justify="left", title_style="bold", box=None, header_style="dim", padding=(0, 2, 0, 0)
    )
    for name in ("segment", "language", "label"):
        table.add_column(name)
    for name in ("rows", "documents", "size"):
        table.add_column(name, justify="right")
    table.add_column("added (UTC)")
    for segment in segments:
        table.add_row(
            segment["id"][:8],
            escape(segment["language"]),
            escape(segment["label"] or "-"),
            f"{segment['rows']:,}",
            f"{segment['documents']:,}",
            size(segment["bytes"]),
            when(segment["added_at"]),
        )
    return table


def _sources(sources: Sequence[Mapping[str, Any]], most: int = 20) -> Table:
    table = Table(
        title="Sources", title_justify="left", title_style="bold", box=None, header_style="dim", padding=(0, 2, 0, 0)
    )
    table.add_column("source", overflow="fold")
    table.add_column("rows", justify="right")
    table.add_column("documents", justify="right")
    table.add_column("sha256")
    for source in sources[:most]:
        table.add_row(escape(source["name"]), f"{source['rows']:,}", f"{source['documents']:,}", source["sha256"][:12])
    if len(sources) > most:
        table.add_row(f"... and {len(sources) - most:,} more (--json has all)", "", "", "")
    return table


def _tokens(tokens: Sequence[Mapping[str, Any]]) -> Table:
    title = "Most frequent next tokens"
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, header_style="dim", padding=(0, 2, 0, 0)
    )
    table.add_column("token")
    table.add_column("id", justify="right")
    table.add_column("rows", justify="right")
    table.add_column("share", justify="right")
    for token in tokens:
        text = "?" if token["text"] is None else repr(token["text"])
        table.add_row(escape(text), str(token["id"]), f"{token['count']:,}", f"{token['share']:.1%}")
    return table


def logged(entries: Sequence[LogEntry]) -> Iterator[RenderableType]:
    """Versions, one line each."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("snapshot", "date (UTC)", "command"):
        table.add_column(name, no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("languages", no_wrap=True)
    table.add_column("message", no_wrap=True, overflow="ellipsis")  # one line a version
    for entry in entries:
        names = f" [cyan]({escape(', '.join(entry.names))})[/cyan]" if entry.names else ""
        table.add_row(
            entry.snapshot[:8] + names,
            when(entry.written_at),
            entry.command,
            f"+{entry.rows:,}",
            escape(", ".join(entry.languages)),
            escape(entry.message),
        )
    yield table
