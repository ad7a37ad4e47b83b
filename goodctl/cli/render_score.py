"""Results of ``score`` for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.markup import escape

from goodctl.cli.output import visible
from goodctl.cli.tables import facts, plain_table
from goodctl.cli.units import counted, duration

if TYPE_CHECKING:
    from goodctl.workflows.score import ScoreResult

_MOST_LANGUAGES = 12


def scored(result: ScoreResult) -> Iterator[RenderableType]:
    """What ``score`` has done."""
    counts = result.counts
    out = escape(visible(result.out))
    if result.finished_before:
        yield f"[bold]{out}[/bold] is finished: {counted(counts.texts, 'text')}, nothing to do"
        return
    same = f", {counts.distinct:,} of them different" if counts.distinct != counts.texts else ""
    yield f"[bold]Wrote {out}[/bold]: {counted(counts.texts, 'text')}{same}"
    table = facts()
    table.add_row("scorer", _shown(f"{result.scorer.scorer} ({result.scorer.version})"))
    table.add_row("scored", f"{counted(counts.scored, 'text')}{', calibrated' if result.calibrated else ''}")
    if counts.not_scored:
        table.add_row("not scored", _reasons(counts.not_scored))
    if counts.failed:
        table.add_row("[red]failed[/red]", _reasons(counts.failed))
    for language, lacking in list(result.dropped_attributes.items())[:_MOST_LANGUAGES]:
        table.add_row(f"without, {_shown(language)}", _shown(", ".join(lacking)))
    table.add_row("asked", _asked(result))
    table.add_row("manifest", _shown(result.manifest))
    if result.answers:
        table.add_row("answers", _shown(result.answers))
    yield table
    if result.failures:
        failed = plain_table("Failed", ["reason", "texts", "tries", "first ones", "message"], {"reason", "first ones"})
        for each in result.failures:
            places = _shown(", ".join(each.places))
            failed.add_row(_shown(each.reason), f"{each.texts:,}", f"{each.tries:,}", places, _shown(each.message))
        yield ""
        yield failed


def _asked(result: ScoreResult) -> str:
    if not result.asked:
        return "about nothing: every answer was in the journal"
    speed = result.asked / max(result.asking_seconds, 1e-9)
    return f"about {counted(result.asked, 'text')} in {duration(result.asking_seconds)} ({speed:,.0f} texts/s)"


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} ({_shown(reason)})" for reason, count in counts.items())


def _shown(text: str) -> str:
    return escape(visible(text.replace("\n", " ")))
