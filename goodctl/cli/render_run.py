"""Results of ``run`` for people: the figures side by side, what they mean, where everything is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

from rich.console import RenderableType
from rich.markup import escape
from rich.text import Text

from goodctl.cli.figures import NONE, change_text, figure_text
from goodctl.cli.output import visible
from goodctl.cli.tables import facts, plain_table
from goodctl.cli.units import counted, duration
from goodctl.workflows.run_settings import STEERED

if TYPE_CHECKING:
    from goodctl.evaluation.figure import Figure, GroupFigures, PairedFigures
    from goodctl.evaluation.results import Comparison, Evaluation
    from goodctl.workflows.run import RunResult

_FIGURES: tuple[tuple[str, str, int], ...] = (
    ("expected maximum toxicity", "emt", 3),
    ("toxicity probability", "toxicity_probability", 3),
    ("mean toxicity", "mean", 3),
    ("share of toxic texts", "toxic_share", 3),
    ("perplexity", "perplexity", 1),
    ("dist-2", "dist", 3),
)
"""What is shown, the figure's member, and its digits."""


def file(text: str) -> RenderableType:
    """A file's text as it stands."""
    return Text(text.rstrip("\n"))


def ran(result: RunResult) -> Iterator[RenderableType]:
    """What a run has led to."""
    out = _shown(result.out)
    if result.finished_before:
        yield f"[bold]{out}[/bold] is finished: nothing to do"
    if result.evaluation is not None:
        yield from side_by_side(result.evaluation)
        yield ""
        if sentences := list(meaning(result.evaluation)):
            yield from (escape(each) for each in (*sentences, ""))
    yield from _repeated(result)
    table = facts()
    if not result.finished_before:
        table.add_row("time", duration(result.seconds))
    names = {"report.html": "report", "evaluation.json": "all figures"}
    for path in result.files:
        name = path.replace("\\", "/").rpartition("/")[2]
        if name in names:
            table.add_row(names[name], _shown(path))
    table.add_row("everything", out)
    yield table


def side_by_side(evaluation: Evaluation) -> Iterator[RenderableType]:
    """The figures over all prompts, of each file, and the difference of two."""
    slices = [file.slice() for file in evaluation.files]
    comparison = evaluation.comparisons[0] if evaluation.comparisons else None
    paired = None if comparison is None else _whole(comparison)
    names = [_side(file.name) for file in evaluation.files]
    columns = ["", *names, *(["difference"] if paired else [])]
    first = slices[0]
    assert first is not None
    yield f"[bold]{counted(first.prompts, 'prompt')}, {counted(first.continuations, 'continuation')}[/bold]"
    table = plain_table(None, columns, left={""})
    for label, member, digits in _FIGURES:
        figures = [_member(each, member) for each in slices]
        if any(figure is not None for figure in figures):
            cells = [NONE if figure is None else figure_text(figure, digits) for figure in figures]
            if paired is not None:
                change = _member(paired, member) if hasattr(paired, member) else None
                cells.append(NONE if change is None else change_text(change, digits, sure=not paired.uneven))
            table.add_row(label, *cells)
    yield table
    yield from _under(evaluation, comparison, slices)


def _under(
    evaluation: Evaluation, comparison: Comparison | None, slices: Sequence[GroupFigures | None]
) -> Iterator[str]:
    drawn = evaluation.bootstrap.resamples
    interval = escape(f"[] is a {evaluation.bootstrap.level:.0%} interval over prompts; ") if drawn else ""
    judge = evaluation.perplexity_model
    measured = f"; perplexity by {_shown(str(judge['name']))}" if judge is not None else ""
    yield f"[dim]{interval}toxic is above {evaluation.threshold:g}{measured}.[/dim]"
    missing = sum(each.missing for each in slices if each is not None)
    if missing:
        yield f"[yellow]{counted(missing, 'score')} missing in all.[/yellow]"
    for note in (*evaluation.notes, *(comparison.warnings if comparison else ())):
        yield f"[yellow]{_shown(note)}[/yellow]"


def next_step(result: RunResult) -> str:
    """The next command to try."""
    if list(result.generated) == [STEERED]:
        return f"compare with the unsteered model: {result.command} --with-base --overwrite"
    return f"repeat it, and compare the bytes: {result.command} --out FOLDER"


def meaning(evaluation: Evaluation) -> Iterator[str]:
    """What the figures say, in sentences: the differences of two files, or those of one."""
    if not evaluation.comparisons:
        yield from _alone(evaluation)
        return
    paired = _whole(evaluation.comparisons[0])
    if paired is None or paired.uneven or paired.emt.value is None:
        return
    yield _sentence(
        paired.emt,
        f"Steered, the worst continuation of a prompt is {{}} toxic by {abs(paired.emt.value):.3f} on average",
        ("less", "more"),
        paired.emt.count,
    )
    if paired.perplexity is not None and paired.perplexity.value is not None:
        yield _sentence(
            paired.perplexity,
            f"The text's perplexity is {{}} by {abs(paired.perplexity.value):.1f}",
            ("lower", "higher"),
            paired.perplexity.count,
        )
    yield from _variety(evaluation)


def _alone(evaluation: Evaluation) -> Iterator[str]:
    whole = evaluation.files[0].slice()
    if whole is None or whole.emt.value is None or whole.toxicity_probability.value is None:
        return
    yield (
        f"The worst continuation of a prompt has a toxicity of {whole.emt.value:.3f} on average; "
        f"{whole.toxicity_probability.value:.0%} of the prompts have a toxic one."
    )


def _variety(evaluation: Evaluation) -> Iterator[str]:
    """Whether the text has got less varied, or more: said where the intervals lie apart."""
    first, second = (file.slice() for file in evaluation.files[:2])
    if first is None or second is None:
        return
    one, other = first.dist[1], second.dist[1]
    if None in {one.value, one.low, one.high, other.value, other.low, other.high}:
        return
    apart = cast("float", other.high) < cast("float", one.low) or cast("float", one.high) < cast("float", other.low)
    if apart:
        how = "less" if cast("float", other.value) < cast("float", one.value) else "more"
        yield f"The text is {how} varied: dist-2 is {other.value:.3f}, and {one.value:.3f} without steering."


def _sentence(figure: Figure, text: str, words: tuple[str, str], prompts: int) -> str:
    assert figure.value is not None
    said = text.format(words[figure.value > 0])
    if figure.low is None or figure.high is None:
        return f"{said}; how sure that is was not measured."
    if figure.low <= 0 <= figure.high:
        return f"{said}, but the interval includes 0: {counted(prompts, 'prompt')} do not show a difference."
    return f"{said}, and the interval leaves out 0."


def _repeated(result: RunResult) -> Iterator[str]:
    if result.same is None or result.different is None:
        return
    if result.different:
        names = ", ".join(map(_shown, result.different))
        yield f"[yellow]Not the same bytes as in the first run: {names}; the same: {len(result.same)}.[/yellow]"
    else:
        yield f"[green]The same bytes as in the first run: all {counted(len(result.same), 'data file')}.[/green]"


def _whole(comparison: Comparison) -> PairedFigures | None:
    return next((each for each in comparison.slices if (each.subset, each.group) == ("all", None)), None)


def _member(figures: GroupFigures | PairedFigures | None, name: str) -> Figure | None:
    found = getattr(figures, name, None)
    return found[1] if isinstance(found, tuple) else found


def _side(name: str) -> str:
    return _shown(name.removesuffix(".jsonl").removesuffix(".scored"))


def _shown(text: str) -> str:
    return escape(visible(text.replace("\n", "↵")))
