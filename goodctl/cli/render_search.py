"""Results of the search commands as tables and lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from goodctl.cli.tables import facts, plain_table
from goodctl.cli.units import counted, duration, size, when

if TYPE_CHECKING:
    from goodctl.workflows.index import IndexResult
    from goodctl.workflows.neighbors import Neighbor, NeighborReport
    from goodctl.workflows.recall import RecallReport


def settings(values: Mapping[str, Any]) -> str:
    """Search settings in words: ``96 lists``, ``96 lists, 2 k compared exactly``."""
    text = f"{values['nprobe']} list{'' if values['nprobe'] == 1 else 's'}"
    return f"{text}, {values['rerank']} k compared exactly" if values["rerank"] else text


def indexed(result: IndexResult) -> Iterator[RenderableType]:
    """What ``index`` has done."""
    kind = result.kind if result.kind != "factory" else result.factory
    took = duration(result.seconds)
    yield f"[bold]Indexed {escape(result.store)}[/bold]: {escape(kind)} over {result.rows:,} rows in {took}"
    table = facts()
    table.add_row("reason", escape(result.reason))
    if result.codec:
        table.add_row("codec", f"{result.codec[:8]} ({escape(result.factory)}), {result.code_size:,} bytes a row")
        table.add_row("error", f"{result.error:.3g} of the keys' variance is lost")
    for fidelity, found in result.settings.items():
        missed = "" if found["reached"] else "  (target missed)"
        table.add_row(
            fidelity,
            f"{settings(found)}: recall {found['recall']:.3f}, total variation {found['tv']:.3f}{missed}",
        )
    table.add_row("written", size(result.bytes_written))
    table.add_row("snapshot", result.snapshot)
    yield table


def recalled(result: RecallReport) -> Iterator[RenderableType]:
    """What ``recall`` has measured."""
    names = ", ".join(map(escape, result.stores))
    yield f"[bold]{names}[/bold]: {result.rows:,} rows, {result.queries:,} queries, k {result.k:,}, on {result.device}"
    table = facts()
    table.add_row("temperature", f"{result.temperature:.3g}")
    table.add_row("versions", ", ".join(result.snapshots))
    yield table
    yield ""
    columns = ("fidelity", "recall", "mean TV", "worst TV", "ms a query", "searched", "settings")
    table = plain_table(None, columns, left={"fidelity", "settings"})
    for each in result.results:
        found = each.figures
        how = "; ".join(settings(values) for values in each.settings.values()) or "all keys"
        table.add_row(
            each.fidelity,
            f"{found.recall:.4f}",
            f"{found.tv:.4f}",
            f"{found.worst_tv:.4f}",
            f"{each.seconds_per_query * 1000:.3g}",
            size(each.searched_bytes),
            how,
        )
    yield table
    approximate = result.results[1:]
    if not approximate:
        return
    yield ""
    heads = ("language", "queries", *(f"{name} {each.fidelity}" for each in approximate for name in ("recall", "TV")))
    table = plain_table("Languages", heads, left={"language"})
    for language, found in approximate[0].languages.items():
        figures = [each.languages[language] for each in approximate]
        cells = [cell for each in figures for cell in (f"{each.recall:.4f}", f"{each.tv:.4f}")]
        table.add_row(escape(language), f"{found.queries:,}", *cells)
    yield table
    yield (
        "[dim]TV: total variation between the neighbours' distribution over next tokens and that of exact search; "
        "0 is the same.[/dim]"
    )


def neighbored(result: NeighborReport) -> Iterator[RenderableType]:
    """What ``neighbors`` has found."""
    yield (
        f"[bold]{', '.join(map(escape, result.stores))}[/bold]: {result.k:,} nearest rows "
        f"after {escape(repr(result.text))} ({counted(result.tokens, 'token')}, fidelity {result.fidelity})"
    )
    yield ""
    table = plain_table(None, ("distance", "next token", "language", "source", "text before"), left=_LEFT)
    for each in result.neighbors:
        table.add_row(
            f"{each.distance:,.2f}",
            escape(repr(each.token)),
            escape(each.language),
            escape(f"{_source(result, each)}:{each.line}"),
            _context(each),
        )
    yield table
    yield ""
    title = f"Next tokens at temperature {result.temperature:.3g}"
    table = plain_table(title, ("token", "id", "share", "rows"), left={"token"})
    for found in result.predictions[:_MOST_PREDICTIONS]:
        table.add_row(escape(repr(found.token)), str(found.token_id), f"{found.share:.1%}", f"{found.neighbors:,}")
    yield table


_LEFT = {"next token", "language", "source", "text before"}
_MOST_PREDICTIONS = 10


def _source(result: NeighborReport, neighbor: Neighbor) -> str:
    return f"{neighbor.store} {neighbor.source}" if len(result.stores) > 1 else neighbor.source


def _context(neighbor: Neighbor) -> str:
    """The text before the token on one line, what matches the prompt's end in brackets on any terminal."""
    before, match = (" ".join(text.split("\n")) for text in (neighbor.before, neighbor.match))
    marked = f"[bold green]«{escape(match)}»[/bold green]" if match else ""
    return f"{escape(before)}{marked}"


def codecs(described: Sequence[Mapping[str, Any]]) -> Table:
    """The codecs of a version, for ``inspect``."""
    columns = ("codec", "kind", "factory", "bytes a row", "segments", "rows", "error", "high fidelity", "recall", "TV")
    table = plain_table("Codecs", columns, left={"codec", "kind", "factory", "high fidelity"})
    for each in described:
        high = each["settings"].get("high")
        table.add_row(
            each["id"][:8],
            each["kind"],
            escape(each["factory"]),
            f"{each['code_size']:,}",
            f"{each['segments']:,}",
            f"{each['rows']:,}",
            f"{each['error']:.2g}",
            settings(high) if high else "-",
            f"{high['recall']:.3f}" if high else "-",
            f"{high['tv']:.3f}" if high else "-",
        )
    return table


def distances(found: Mapping[str, Any]) -> str:
    """The distances that queries meet in one line, for ``inspect``: at some k, or at the largest of a small store."""
    spreads = found["spreads"]
    shown = [k for k in ("16", "256", "1024") if k in spreads] or [max(spreads, key=int)]
    each = ", ".join(f"k {k}: {spreads[k]:.3g}" for k in shown)
    return f"k-th minus first, {each} ({found['queries']:,} queries at {found['rows']:,} rows)"


def measured(figures: Mapping[str, Any] | None, snapshot: str) -> str | None:
    """The last measurement in one line, for ``inspect``; None where there is none that can be read."""
    if figures is None:
        return None
    try:
        found = [each for each in figures["results"] if each["fidelity"] != "exact"]
        parts = [
            f"{each['fidelity']} {each['figures']['recall']:.3f} (TV {each['figures']['tv']:.3f})" for each in found
        ]
        version = "this version" if figures["snapshot"] == snapshot else f"version {figures['snapshot'][:8]}"
        moment = when(figures["measured_at"])
        return f"{', '.join(parts) or 'exact'} at k {figures['k']:,}, measured on {version}, {moment} UTC"
    except (KeyError, TypeError, ValueError):
        return None
