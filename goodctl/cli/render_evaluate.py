"""Results of ``evaluate`` for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from goodctl.cli.figures import NONE, change_text, figure_text, value_text
from goodctl.cli.output import visible
from goodctl.cli.tables import facts, plain_table
from goodctl.cli.units import counted

if TYPE_CHECKING:
    from goodctl.evaluation.figure import GroupFigures, PairedFigures
    from goodctl.evaluation.results import Comparison, Evaluation, FileEvaluation

_TOXICITY = ("prompts", "missing", "EMT", "sd", "tox.\nprobability", "mean")
_CONTINUATIONS = ("texts", "toxic", "empty")
_PERPLEXITY = ("perplexity", "pooled", "no token")
_DIVERSITY = ("dist-1", "dist-2", "dist-3", "split on spaces")
_DIFFERENCES = ("prompts", "missing", "EMT", "tox.\nprobability", "mean")


def evaluated(evaluation: Evaluation, written: Sequence[str]) -> Iterator[RenderableType]:
    """Figures of each file, then the comparisons."""
    for file in evaluation.files:
        yield from _file(file, evaluation)
    for comparison in evaluation.comparisons:
        yield from _comparison(comparison, evaluation)
    for note in evaluation.notes:
        yield f"[yellow]{escape(visible(note))}[/yellow]"
    drawn = evaluation.bootstrap.resamples
    intervals = f"[] is a {evaluation.bootstrap.level:.0%} interval over prompts ({drawn:,} resamples)"
    yield (
        f"[dim]toxic is above {evaluation.threshold:g}; prompts are those that the figures are over; "
        + (escape(intervals) if drawn else "no intervals were asked for")
        + ".[/dim]"
    )
    for path in written:
        yield f"[dim]Wrote {escape(visible(path))}[/dim]"


def _file(file: FileEvaluation, evaluation: Evaluation) -> Iterator[RenderableType]:
    whole = file.slice()
    assert whole is not None
    yield (
        f"[bold]{_shown(file.name)}[/bold]: {counted(whole.prompts, 'prompt')}, "
        f"{counted(whole.continuations, 'continuation')}"
    )
    table = facts()
    if whole.failed_prompts:
        table.add_row(
            "failed", f"{counted(whole.failed_prompts, 'prompt')} without continuations, missing from all figures"
        )
    if whole.unscored_prompts:
        table.add_row(
            "left out", f"{counted(whole.unscored_prompts, 'prompt')} without any score, not in the figures of toxicity"
        )
    if file.missing_reasons:
        reasons = ", ".join(f"{_shown(reason)} {count:,}" for reason, count in file.missing_reasons.items())
        table.add_row("no score", reasons)
    if whole.infinite:
        table.add_row("infinite", f"the perplexity of {counted(whole.infinite, 'continuation')}, and so their mean")
    if evaluation.perplexity_model is not None:
        table.add_row("perplexity by", _shown(str(evaluation.perplexity_model["name"])))
    if table.row_count:
        yield table
    shown = [each for each in file.slices if each.prompts]
    yield _toxicity(shown)
    yield _continuations(shown)
    if evaluation.perplexity_model is not None:
        yield _perplexity(shown)
    yield _diversity(shown)
    yield ""


def _toxicity(slices: Sequence[GroupFigures]) -> Table:
    table = _table("Toxicity", _TOXICITY)
    for each in slices:
        table.add_row(
            _label(each),
            _of(each.emt.count, each.prompts),
            f"[red]{each.missing:,}[/red]" if each.missing else "0",
            figure_text(each.emt),
            NONE if each.emt.deviation is None else f"{each.emt.deviation:.3f}",
            figure_text(each.toxicity_probability),
            figure_text(each.mean),
            style=_style(each),
        )
    return table


def _continuations(slices: Sequence[GroupFigures]) -> Table:
    table = _table("Continuations", _CONTINUATIONS)
    for each in slices:
        texts = _of(each.toxic_share.count, each.continuations)
        table.add_row(_label(each), texts, figure_text(each.toxic_share), f"{each.empty:,}", style=_style(each))
    return table


def _perplexity(slices: Sequence[GroupFigures]) -> Table:
    table = _table("Perplexity", _PERPLEXITY)
    for each in slices:
        if each.perplexity is not None and each.perplexity_pooled is not None:
            figures = (figure_text(each.perplexity, 1), figure_text(each.perplexity_pooled, 1))
            table.add_row(_label(each), *figures, f"{each.perplexity.missing:,}", style=_style(each))
    return table


def _diversity(slices: Sequence[GroupFigures]) -> Table:
    table = _table("Diversity", _DIVERSITY)
    for each in slices:
        published = " ".join(value_text(figure) for figure in each.dist_published)
        table.add_row(_label(each), *map(figure_text, each.dist), published, style=_style(each))
    return table


def _table(title: str, columns: Sequence[str]) -> Table:
    """A plain table that fits 80 columns: intervals stand below figures, and long names of slices go on below."""
    table = plain_table(title, ("", *columns), left={""})
    table.columns[0].overflow = "fold"
    return table


def _comparison(comparison: Comparison, evaluation: Evaluation) -> Iterator[RenderableType]:
    first, second = (evaluation.files[number].name for number in (comparison.first, comparison.second))
    yield (
        f"[bold]{_shown(second)} less {_shown(first)}[/bold] on the {counted(comparison.shared, 'prompt')} "
        "that both have"
    )
    apart = [
        f"{counted(count, 'prompt')} of {_shown(name)}"
        for count, name in ((comparison.only_first, first), (comparison.only_second, second))
        if count
    ]
    if apart:
        yield f"[dim]not compared: {', '.join(apart)} alone[/dim]"
    if comparison.repeated:
        yield (
            f"[dim]{counted(comparison.repeated, 'prompt')} repeated within a file, and matched by the order of their "
            "continuations' texts[/dim]"
        )
    for warning in comparison.warnings:
        yield f"[bold yellow]Warning: {escape(visible(warning))}[/bold yellow]"
    if not comparison.shared:
        yield ""
        return
    shown = [each for each in comparison.slices if each.prompts]
    table = _table("Differences", _DIFFERENCES)
    for each in shown:
        prompts, sure = _of(each.emt.count, each.prompts), not each.uneven
        changes = (
            change_text(each.emt, sure=sure),
            change_text(each.toxicity_probability, sure=sure),
            change_text(each.mean),
        )
        table.add_row(_label(each), prompts, f"{each.emt.missing:,}", *changes, style=_style(each))
    yield table
    if any(each.perplexity is not None for each in shown):
        table = _table("Differences of perplexity", ("prompts", "perplexity"))
        for each in shown:
            if each.perplexity is not None:
                prompts = _of(each.perplexity.count, each.prompts)
                table.add_row(_label(each), prompts, change_text(each.perplexity, 1), style=_style(each))
        yield table
    yield ""


def _label(each: GroupFigures | PairedFigures) -> str:
    return each.subset if each.group is None else f"{_shown(each.group)} {each.subset}"


def _style(each: GroupFigures | PairedFigures) -> str | None:
    return "bold" if each.subset == "all" and each.group is None else None


def _of(count: int, whole: int) -> str:
    """How many the figures are over, and of how many where these are more."""
    return f"{count:,}" if count == whole else f"{count:,}\n[dim]of {whole:,}[/dim]"


def _shown(text: str) -> str:
    return escape(visible(text.replace("\n", "↵")))
