"""Results of ``agree`` for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.markup import escape

from goodctl.cli.output import visible
from goodctl.cli.tables import facts, plain_table
from goodctl.cli.units import counted

if TYPE_CHECKING:
    from goodctl.evaluation.agreement import Agreement
    from goodctl.evaluation.resampling import Estimate
    from goodctl.workflows.agree import AgreeReport, Side
    from goodctl.workflows.agree_fit import Fitted

_BAR = 30


def compared(result: AgreeReport) -> Iterator[RenderableType]:
    """What ``agree`` has found."""
    yield (
        f"[bold]{counted(result.total.texts, 'text')}[/bold] with two scores of {_plain(result.attribute)}, "
        f"toxic above {result.threshold:g}"
    )
    table = facts()
    table.add_row("A", _side(result.first))
    table.add_row("B", _side(result.second))
    if result.unscored:
        table.add_row("left out", f"{counted(result.unscored, 'text')} of both files without a score in one of them")
    yield table
    yield ""
    yield from _figures(result)
    yield from _sides(result.total)
    yield ""
    yield from _curve(result.total)
    if result.fitted is not None:
        yield ""
        yield from _fitted(result.fitted)


def remarks(result: AgreeReport) -> Iterator[str]:
    """What whoever reads the figures should know."""
    missing = [
        each.reason
        for agreement in (result.total, *result.languages.values())
        for each in (agreement.spearman, agreement.kappa, agreement.difference)
        if each.reason
    ]
    for reason in dict.fromkeys(missing):
        yield f"note: where a figure or its interval is missing: {reason.removeprefix('no interval: ')}"
    for name, each in (result.fitted.languages if result.fitted else {}).items():
        if not each.error.better:
            texts = counted(each.error.texts, "text")
            yield f"note: on texts that it has not seen, the map brings {name} ({texts}) no nearer to B"


def _side(side: Side) -> str:
    scorer = f"{_plain(side.title)} {_plain(str(side.scorer.get('version', '')))}, " if side.scorer else ""
    parts = [f"{scorer}{_plain(side.file)}: {counted(side.texts, 'distinct text')}"]
    if side.missing:
        parts.append(f"{side.missing:,} without a score")
    if side.only_here:
        parts.append(f"{side.only_here:,} not in the other file")
    return ", ".join(parts)


def _figures(result: AgreeReport) -> Iterator[RenderableType]:
    columns = ["language", "Spearman", "Pearson", "agree", "kappa", "B − A", "|B − A|"]
    table = plain_table("Agreement, with 95 % intervals, by language and number of texts", columns, left={"language"})
    table.padding = (0, 1, 0, 0)  # intervals below zero on both sides still fit into 80 columns
    for name, each in result.languages.items():
        table.add_row(f"{_plain(name)}\n[dim]{each.texts:,}[/dim]", *_cells(each))
    if len(result.languages) != 1:
        table.add_row(f"[bold]all[/bold]\n[dim]{result.total.texts:,}[/dim]", *_cells(result.total))
    yield table


def _cells(each: Agreement) -> Iterator[str]:
    for figure in (each.spearman, each.pearson):
        yield _shown(figure, "")
    yield _shown(each.agreement, "", share=True)
    yield _shown(each.kappa, "")
    yield _shown(each.difference, "+")
    yield _shown(each.absolute_difference, "")


def _shown(figure: Estimate, sign: str, *, share: bool = False) -> str:
    """The figure, its interval below it."""
    if figure.value is None:
        return "-"
    value = f"{figure.value:.1%}" if share else f"{figure.value:{sign}.3f}"
    if figure.low is None or figure.high is None:
        return value
    bounds = (figure.low, figure.high)
    low, high = (f"{each * 100:.0f}" if share else _short(f"{each:{sign}.2f}") for each in bounds)
    return f"{value}\n[dim]\\[{low} {high}][/dim]"


def _short(number: str) -> str:
    """Without the zero in front of the point, as figures between -1 and 1 are printed."""
    return number.replace("0.", ".", 1)


def _sides(total: Agreement) -> Iterator[str]:
    of = total.confusion
    yield f"toxic for both {of.both:,}, for A alone {of.only_a:,}, for B alone {of.only_b:,}, for none {of.neither:,}"


def _curve(total: Agreement) -> Iterator[RenderableType]:
    columns = ["A", "texts", "mean A", "mean B", ""]
    table = plain_table("Calibration: what B gives where A gives …", columns, left={""})
    for each in total.curve:
        if each.b.value is None or each.mean_a is None:
            continue
        bar = "█" * round(each.b.value * _BAR)
        table.add_row(
            f"{each.lower:.1f}–{each.upper:.1f}",
            f"{each.texts:,}",
            f"{each.mean_a:.3f}",
            _shown(each.b, "").replace("\n", " "),
            f"[cyan]{bar}[/cyan]",
        )
    yield table
    yield f"[dim]mean distance of the two: {total.calibration_error:.3f} (expected calibration error)[/dim]"


def _fitted(fitted: Fitted) -> Iterator[RenderableType]:
    own = [name for name in fitted.maps if name != "*"]
    whose = f"maps of their own for {_plain(', '.join(own))}; " if own else ""
    yield f"[bold]Wrote {_plain(fitted.file)}[/bold]: {whose}one map for all {'others' if own else 'languages'}"
    # Two tables, since one would be too wide for a terminal of 80 columns.
    names = {"language", "map"}
    columns = ["language", "map", "texts", "|B − A|", "mapped", "rms", "mapped"]
    errors = plain_table("Error on texts that the map has not seen", columns, left=names)
    columns = ["language", "map", "same side", "mapped", "toxic A", "mapped", "B"]
    sides = plain_table("The threshold on these texts", columns, left=names)
    rows = [(_plain(name), _plain(each.map), each.error) for name, each in fitted.languages.items()]
    if len(rows) != 1:
        rows.append(("[bold]all[/bold]", "", fitted.total))
    for language, name, each in rows:
        before, after = each.before, each.after
        errors.add_row(
            language,
            name,
            f"{each.texts:,}",
            *_pair(f"{before.absolute:.3f}", f"{after.absolute:.3f}"),
            *_pair(f"{before.root_mean_square:.3f}", f"{after.root_mean_square:.3f}"),
        )
        sides.add_row(
            language,
            name,
            *_pair(f"{before.agreement:.1%}", f"{after.agreement:.1%}"),
            *_pair(f"{before.toxic:.1%}", f"{after.toxic:.1%}"),
            f"{each.toxic:.1%}",
        )
    yield errors
    yield ""
    yield sides


def _pair(before: str, after: str) -> tuple[str, str]:
    return before, f"[bold]{after}[/bold]"


def _plain(text: str) -> str:
    return escape(visible(text))
