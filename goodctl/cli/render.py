"""Results as tables and lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from goodctl.cli import render_search
from goodctl.cli.tables import facts, plain_table
from goodctl.cli.units import counted, duration, size, when

if TYPE_CHECKING:  # their modules load torch, which looking into a store does not need
    from goodctl.workflows.writing import WriteResult


def written(verb: str, result: WriteResult) -> Iterator[RenderableType]:
    """What a build or an addition has done."""
    yield (
        f"[bold]{verb} {escape(result.store)}[/bold]: {counted(result.rows, 'row')} from "
        f"{counted(result.documents, 'document')} in {duration(result.seconds)} ({result.rows_per_second:,.0f} rows/s)"
    )
    table = facts()
    table.add_row("model", escape(f"{result.model} on {result.device}, {result.precision}"))
    table.add_row("languages", _languages(result.languages))
    table.add_row("written", size(result.bytes_written))
    if result.resumed_rows:
        table.add_row("resumed", f"{counted(result.resumed_rows, 'row')} came from an interrupted run")
    if result.skipped:
        table.add_row("skipped", f"{counted(result.skipped, 'document')} without a row: empty, or a single token")
    if result.store_rows != result.rows:
        table.add_row("store", f"{counted(result.store_rows, 'row')} of {counted(result.store_documents, 'document')}")
    for sentence in result.index:
        name, _, rest = sentence.partition(": ")
        table.add_row(name, escape(rest))
    table.add_row("snapshot", result.snapshot)
    yield table


def _languages(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{escape(language)} {count:,}" for language, count in rows.items())


def inspected(described: Mapping[str, Any]) -> Iterator[RenderableType]:
    """A store's description."""
    yield (
        f"[bold]{escape(described['store'])}[/bold]: {counted(described['rows'], 'row')} of "
        f"{counted(described['documents'], 'document')}"
    )
    table, model, disk = facts(), described["model"], described["disk"]
    revision = f" at {model['revision'][:12]}" if model["revision"] else ""
    table.add_row("model", escape(f"{model['name']}{revision} ({model['architecture']})"))
    table.add_row("keys", f"{described['key_layer']}, {described['dimension']} × {described['key_dtype']}")
    table.add_row("context", f"up to {described['window']:,} tokens")
    languages = {language: counts["rows"] for language, counts in described["languages"].items()}
    table.add_row("languages", _languages(languages))
    table.add_row("labels", ", ".join(map(escape, described["labels"])) or "none")
    table.add_row(
        "version", f"{described['snapshot']} of {when(described['written_at'])} UTC: {escape(described['message'])}"
    )
    table.add_row("search", _search(described))
    if last := render_search.measured(described["measured"], described["snapshot"]):
        table.add_row("recall", last)
    if described["distances"]:
        table.add_row("distances", render_search.distances(described["distances"]))
    table.add_row("size", f"{size(disk['version_bytes'])} in this version, {size(disk['repository_bytes'])} on disk")
    if disk["cache_bytes"]:
        table.add_row("cache", f"{size(disk['cache_bytes'])} of flat files made from the store, safe to delete")
    table.add_row("format", f"{described['format_version']}, made by {escape(described['created_by'])}")
    for left in described["unfinished"]:
        table.add_row(
            "unfinished", f"{counted(left['rows'], 'row')} of an interrupted run, {when(left['checkpoint'])} UTC"
        )
    yield table
    yield ""
    yield _segments(described["segments"])
    if described["codecs"]:
        yield ""
        yield render_search.codecs(described["codecs"])
    yield ""
    yield _sources(described["sources"])
    if described["frequent_tokens"]:
        yield ""
        yield _tokens(described["frequent_tokens"])


def _search(described: Mapping[str, Any]) -> str:
    """How the rows are searched, in one line."""
    coded = sum(each["rows"] for each in described["codecs"])
    if not coded:
        return "exact: no codes are stored"
    kinds = ", ".join(dict.fromkeys(each["kind"] for each in described["codecs"]))
    exact = described["rows"] - coded
    return f"{kinds} by {counted(len(described['codecs']), 'codec')}" + (f"; {exact:,} rows exactly" if exact else "")


def _segments(segments: Sequence[Mapping[str, Any]]) -> Table:
    coded = any(segment["codes"] for segment in segments)
    columns = ["segment", "language", "label", "rows", "documents", "size", "added (UTC)"]
    columns += ["codec", "drift"] if coded else []
    table = plain_table("Segments", columns, left={"segment", "language", "label", "added (UTC)", "codec"})
    for segment in segments:
        table.add_row(
            segment["id"][:8],
            escape(segment["language"]),
            escape(segment["label"] or "-"),
            f"{segment['rows']:,}",
            f"{segment['documents']:,}",
            size(segment["bytes"]),
            when(segment["added_at"]),
            *(_codes(segment["codes"]) if coded else ()),
        )
    return table


def _codes(codes: Mapping[str, Any] | None) -> tuple[str, str]:
    """A segment's codec, and how many times its errors are those on the rows it was trained on."""
    if codes is None:
        return "exact", "-"
    return codes["codec"][:8], f"{codes['drift']:.2f}"


def _sources(sources: Sequence[Mapping[str, Any]], most: int = 20) -> Table:
    table = plain_table("Sources", ("source", "rows", "documents", "sha256"), left={"source", "sha256"})
    for source in sources[:most]:
        table.add_row(escape(source["name"]), f"{source['rows']:,}", f"{source['documents']:,}", source["sha256"][:12])
    if len(sources) > most:
        table.add_row(f"... and {len(sources) - most:,} more (--json has all)", "", "", "")
    return table


def _tokens(tokens: Sequence[Mapping[str, Any]]) -> Table:
    table = plain_table("Most frequent next tokens", ("token", "id", "rows", "share"), left={"token"})
    for token in tokens:
        text = "?" if token["text"] is None else repr(token["text"])
        table.add_row(escape(text), str(token["id"]), f"{token['count']:,}", f"{token['share']:.1%}")
    return table
