"""Results of ``perplexity`` for people."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.markup import escape

from goodctl.cli.tables import facts, plain_table
from goodctl.cli.units import counted, duration

if TYPE_CHECKING:
    from goodctl.workflows.likelihoods import Figures
    from goodctl.workflows.perplexity import PerplexityReport


def measured(result: PerplexityReport) -> Iterator[RenderableType]:
    """What ``perplexity`` has measured."""
    total = result.total
    yield (
        f"[bold]{escape(result.model)}[/bold]: {counted(total.tokens, 'token')} of "
        f"{counted(total.documents, 'document')}, predicted from up to {result.window:,} before them"
    )
    table = facts()
    for store in result.stores:
        table.add_row("store", f"{escape(store['store'])}, {store['rows']:,} rows, version {store['snapshot']}")
    if result.temperature is not None:
        spread = f" (auto; from the first to the k-th neighbour: {result.measured:.3g})" if result.measured else ""
        table.add_row("neighbours", f"k {result.k:,}, lam {result.lam:g}, fidelity {result.fidelity}")
        table.add_row("temperature", f"{result.temperature:g}{spread}")
    table.add_row("speed", f"{result.tokens_per_second:,.0f} tokens/s; {duration(result.seconds)} in all")
    if result.skipped:
        table.add_row("skipped", f"{counted(result.skipped, 'document')} without a token to predict")
    if result.in_store:
        table.add_row("[red]in the store[/red]", escape(", ".join(result.in_store)))
    yield table
    yield ""
    columns = ["language", "documents", "tokens", "base"]
    columns += ["kNN-LM", "change", "among neighbours"] if result.stores else []
    table = plain_table("Perplexity", columns, left={"language"})
    for language, figures in result.languages.items():
        table.add_row(escape(language), *_cells(figures))
    if len(result.languages) > 1:
        table.add_row("all", *_cells(total), style="bold")
    yield table
    if result.stores:
        yield "[dim]among neighbours: tokens that are the next token of one of their context's neighbours.[/dim]"
    if total.impossible:
        ruled_out = counted(total.impossible, "token")
        yield f"The kNN-LM gives {ruled_out} no probability at all, so its perplexity is infinite."


def _cells(figures: Figures) -> Iterator[str]:
    yield f"{figures.documents:,}"
    yield f"{figures.tokens:,}"
    yield _shown(figures.base)
    if figures.knn is not None and figures.proposed is not None:
        yield _shown(figures.knn)
        finite = math.isfinite(figures.knn) and math.isfinite(figures.base)
        yield f"{figures.knn / figures.base - 1:+.1%}" if finite else "-"
        yield f"{figures.proposed:.1%}"


def _shown(perplexity: float) -> str:
    return "infinite" if math.isinf(perplexity) else f"{perplexity:,.2f}"
