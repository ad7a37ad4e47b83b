"""The tables of the report page: every figure of an evaluation with its interval, its number and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from goodctl.evaluation.figure import Figure, GroupFigures
from goodctl.evaluation.plots import SLICE_NAMES, groups_of, number, short_name
from goodctl.evaluation.results import ALL, NONTOXIC, TOXIC, Comparison, Evaluation

MOST_GROUPS = 200
FEWEST_GROUPS = 20
_MOST_BODIES = 400
NOTHING = "–"
SCORE = ".3f"
PERPLEXITY = ",.1f"


@dataclass(frozen=True)
class Cell:
    """A figure in a table.

    Attributes:
        value: As it is shown.
        interval: The same, empty where there is none.
        deviation: The same.
        count: How many are averaged; empty where the cell is a count itself.
        missing: How many are left out, and why; empty where none is.
    """

    value: str
    interval: str = ""
    deviation: str = ""
    count: str = ""
    missing: str = ""


@dataclass(frozen=True)
class Line:
    """A row: of which file (its place, None where the table is about no single one), and its cells."""

    file: int | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Body:
    """The rows of a slice.

    Attributes:
        subset: ``all prompts``, ``toxic prompts``, ``nontoxic prompts``.
        group: The group, or None for all groups together.
        lines: At least one.
    """

    subset: str
    group: str | None
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        title: Of the table.
        explanation: What its columns mean.
        columns: Names, without those of slice and file.
        bodies: All, toxic and nontoxic prompts, and each group.
        inner: The groups within toxic and within nontoxic prompts.
        warnings: Sentences without which its figures mislead.
    """

    title: str
    explanation: str
    columns: tuple[str, ...]
    bodies: tuple[Body, ...]
    inner: tuple[Body, ...] = ()
    warnings: tuple[str, ...] = ()


def shown_groups(evaluation: Evaluation) -> tuple[str, ...]:
    """The groups that the tables have: fewer of them for more files, so that a browser opens the page."""
    most = _MOST_BODIES // (len(evaluation.files) + len(evaluation.comparisons))
    return groups_of(evaluation)[: max(FEWEST_GROUPS, min(MOST_GROUPS, most))]


def tables(evaluation: Evaluation) -> list[Table]:
    """The tables about files."""
    found = [_toxicity(evaluation)]
    if any(each.perplexity for file in evaluation.files for each in file.slices):
        found.append(_perplexity(evaluation))
    return [*found, _diversity(evaluation), _counts(evaluation)]


def differences(evaluation: Evaluation, comparison: Comparison) -> Table:
    """The table of a comparison."""
    first, second = short_name(evaluation, comparison.first), short_name(evaluation, comparison.second)
    has_perplexity = any(each.perplexity for each in comparison.slices)
    columns = ("prompts", "EMT", "toxicity probability", "mean toxicity")
    by_slice = {(each.subset, each.group): each for each in comparison.slices}

    def lines(subset: str, group: str | None) -> Iterator[Line]:
        each = by_slice.get((subset, group))
        if each is None:
            return
        cells = [Cell(f"{each.prompts:,}")]
        cells += [_cell(figure, f"+{SCORE}") for figure in (each.emt, each.toxicity_probability, each.mean)]
        if has_perplexity:
            cells.append(_cell(each.perplexity, f"+{PERPLEXITY}"))
        yield Line(None, tuple(cells))

    left = [
        f"{count:,} in {name} alone"
        for count, name in ((comparison.only_first, first), (comparison.only_second, second))
        if count
    ]
    repeated = f"{comparison.repeated:,} of them are repeated within a file, and matched by the order of their texts. "
    repeated = repeated if comparison.repeated else ""
    found = _table(
        evaluation,
        f"{second} minus {first}",
        f"Over the {comparison.shared:,} prompts that both have{', without ' + ' and '.join(left) if left else ''}. "
        f"{repeated}A negative number means that {second} has less. Where an interval holds zero, "
        "the two may not differ.",
        (*columns, "perplexity") if has_perplexity else columns,
        lines,
    )
    return replace(found, warnings=comparison.warnings)


def _toxicity(evaluation: Evaluation) -> Table:
    return _of_files(
        evaluation,
        "Toxicity",
        "EMT: expected maximum toxicity, the mean over prompts of the most toxic continuation's score, ± standard "
        f"deviation. Toxicity probability: share of prompts with a continuation above {evaluation.threshold:g}. Mean "
        "toxicity and toxic share: over continuations.",
        {
            "EMT": lambda each: _cell(each.emt),
            "toxicity probability": lambda each: _cell(each.toxicity_probability),
            "mean toxicity": lambda each: _cell(each.mean),
            "toxic share": lambda each: _cell(each.toxic_share),
        },
    )


def _perplexity(evaluation: Evaluation) -> Table:
    return _of_files(
        evaluation,
        "Perplexity",
        "Of a continuation given its prompt; lower is more fluent. The mean over continuations, as published, and "
        "pooled over all tokens, which long and rare texts sway less.",
        {
            "mean over continuations": lambda each: _cell(each.perplexity, PERPLEXITY),
            "pooled over tokens": lambda each: _cell(each.perplexity_pooled, PERPLEXITY),
            "infinite": lambda each: Cell(f"{each.infinite:,}"),
        },
    )


def _diversity(evaluation: Evaluation) -> Table:
    return _of_files(
        evaluation,
        "Diversity",
        "dist-n: distinct n-grams of all continuations of a prompt by their number of words, with words that suit the "
        "language. Published form: split on single spaces, which means nothing where a language writes none.",
        {
            "dist-1": lambda each: _cell(each.dist[0]),
            "dist-2": lambda each: _cell(each.dist[1]),
            "dist-3": lambda each: _cell(each.dist[2]),
            "dist-1, published form": lambda each: _cell(each.dist_published[0]),
            "dist-2, published form": lambda each: _cell(each.dist_published[1]),
            "dist-3, published form": lambda each: _cell(each.dist_published[2]),
        },
    )


def _counts(evaluation: Evaluation) -> Table:
    return _of_files(
        evaluation,
        "Counts",
        "Empty: continuations that have no score since they have no text. Missing: continuations with text and no "
        "score. Unscored prompts have no continuation with a score; failed prompts have no continuation at all. "
        "Neither is in a figure of toxicity: scored prompts are.",
        {
            "prompts": lambda each: Cell(f"{each.prompts:,}"),
            "scored prompts": lambda each: Cell(f"{each.emt.count:,}"),
            "continuations": lambda each: Cell(f"{each.continuations:,}"),
            "empty": lambda each: Cell(f"{each.empty:,}"),
            "missing": lambda each: Cell(f"{each.missing:,}"),
            "unscored prompts": lambda each: Cell(f"{each.unscored_prompts:,}"),
            "failed prompts": lambda each: Cell(f"{each.failed_prompts:,}"),
        },
    )


_Column = Callable[[GroupFigures], Cell]


def _of_files(
    evaluation: Evaluation, title: str, explanation: str, columns: dict[str, Callable[[GroupFigures], Cell]]
) -> Table:
    def lines(subset: str, group: str | None) -> Iterator[Line]:
        for place, file in enumerate(evaluation.files):
            each = file.slice(subset, group)
            if each is not None:
                yield Line(place, tuple(column(each) for column in columns.values()))

    return _table(evaluation, title, explanation, tuple(columns), lines)


def _table(
    evaluation: Evaluation,
    title: str,
    explanation: str,
    columns: tuple[str, ...],
    lines: Callable[[str, str | None], Iterator[Line]],
) -> Table:
    groups = shown_groups(evaluation)
    outer = [(subset, None) for subset in (ALL, TOXIC, NONTOXIC)]
    inner = [(subset, group) for group in groups for subset in (TOXIC, NONTOXIC)]

    def bodies(slices: Sequence[tuple[str, str | None]]) -> Iterator[Body]:
        for subset, group in slices:
            found = tuple(lines(subset, group))
            if found:
                yield Body(SLICE_NAMES[subset], group, found)

    shown = tuple(bodies([*outer, *((ALL, group) for group in groups)]))
    return Table(title, explanation, columns, shown, tuple(bodies(inner)))


def _cell(figure: Figure | None, form: str = SCORE) -> Cell:
    if figure is None:
        return Cell(NOTHING)
    interval = ""
    if figure.low is not None and figure.high is not None:
        interval = f"{number(figure.low, form)} to {number(figure.high, form)}"
    return Cell(
        value=NOTHING if figure.value is None else number(figure.value, form),
        interval=interval,
        deviation="" if figure.deviation is None else f"± {number(figure.deviation, form.lstrip('+'))}",
        count=f"n {figure.count:,}",
        missing=", ".join(
            f"{count:,} {what}" for count, what in ((figure.missing, "missing"), (figure.empty, "empty")) if count
        ),
    )
