"""The plots of the report page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from goodctl.evaluation import plot_style as style
from goodctl.evaluation.figure import Figure
from goodctl.evaluation.results import ALL, NONTOXIC, TOXIC, Comparison, Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_GROUPS = 40
"""More rows make a plot that nobody reads; the tables have the others."""
MOST_COMPARISONS = 6
LONGEST_NAME = 50
LONG = 15
"""Rows, from which on the scale stands above them too."""
MOST_OUTLINES = 3
MOST_CROSSES = 12
"""Of groups with their intervals; more would hide one another."""
BINS = 20
SLICE_NAMES = {ALL: "all prompts", TOXIC: "toxic prompts", NONTOXIC: "nontoxic prompts"}
_ROW = 26
_FILE = 10


@dataclass(frozen=True)
class Plot:
    """A plot on the page.

    Attributes:
        name: Unique on the page.
        title: What is drawn.
        description: The same for whoever cannot see it, with its main figures.
        note: What is left out; empty where nothing is.
        svg: An ``svg`` element, safe to be put into a page.
    """

    name: str
    title: str
    description: str
    note: str
    svg: str


@dataclass(frozen=True)
class _Row:
    """A line of a plot of dots: its label and the figure of each series, None where there is none."""

    label: str
    figures: tuple[Figure | None, ...]


def plots(evaluation: Evaluation) -> list[Plot]:
    """All plots for which there are figures, in the page's order.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    with style.drawing():
        drawn = [_by_group(evaluation), _distribution(evaluation), _against_perplexity(evaluation)]
        drawn += [
            _differences(evaluation, number, comparison)
            for number, comparison in enumerate(evaluation.comparisons[:MOST_COMPARISONS])
        ]
    return [each for each in drawn if each is not None]


def groups_of(evaluation: Evaluation) -> tuple[str, ...]:
    """The groups of all files, in order."""
    return tuple(dict.fromkeys(group for file in evaluation.files for group in file.groups))


def short_name(evaluation: Evaluation, place: int) -> str:
    """The name of a file, without its middle where it is very long."""
    name = evaluation.files[place].name
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME // 2]}…{name[-LONGEST_NAME // 2 + 1 :]}"


def _slices(evaluation: Evaluation) -> Iterator[tuple[str, str, str | None]]:
    """Label, subset and group of the lines of a plot: subsets, then groups."""
    for subset in (ALL, TOXIC, NONTOXIC):
        yield SLICE_NAMES[subset], subset, None
    for group in groups_of(evaluation)[:MOST_GROUPS]:
        yield style.label(group), ALL, group


def _left_out(evaluation: Evaluation) -> str:
    groups = len(groups_of(evaluation))
    return f"The first {MOST_GROUPS} of {groups} groups." if groups > MOST_GROUPS else ""


def _by_group(evaluation: Evaluation) -> Plot | None:
    rows = []
    for label, subset, group in _slices(evaluation):
        found = [file.slice(subset, group) for file in evaluation.files]
        rows.append(_Row(label, tuple(each.emt if each else None for each in found)))
    drawn = _dots("emt", rows, list(range(len(evaluation.files))), "expected maximum toxicity")
    if drawn is None:
        return None
    told = [
        f"{short_name(evaluation, place)} {_told(whole.emt)}"
        for place, file in enumerate(evaluation.files)
        if (whole := file.slice()) is not None and whole.emt.value is not None
    ]
    title = "Expected maximum toxicity" + (" by group" if groups_of(evaluation) else "")
    return Plot("emt", title, f"Over all prompts: {'; '.join(told)}.", _left_out(evaluation), drawn)


def _differences(evaluation: Evaluation, number: int, comparison: Comparison) -> Plot | None:
    first, second = short_name(evaluation, comparison.first), short_name(evaluation, comparison.second)
    found = {(each.subset, each.group): each.emt for each in comparison.slices}
    rows = [_Row(label, (found.get((subset, group)),)) for label, subset, group in _slices(evaluation)]
    name = f"difference-{number + 1}"
    drawn = _dots(name, rows, [comparison.second], "difference of expected maximum toxicity", around_zero=True)
    if drawn is None:
        return None
    whole = found.get((ALL, None))
    told = f" Over all shared prompts {_told(whole, '+.3f')}." if whole and whole.value is not None else ""
    title = f"{second} minus {first}, on the same prompts"
    note = " ".join(
        part for part in (*(f"Warning: {each}" for each in comparison.warnings), _left_out(evaluation)) if part
    )
    return Plot(name, title, f"Below zero {second} is less toxic.{told}", note, drawn)


def _dots(name: str, rows: Sequence[_Row], files: Sequence[int], axis: str, *, around_zero: bool = False) -> str | None:
    """Lines of dots with their intervals, one dot for each file; None where there is no figure at all."""
    rows = [row for row in rows if any(each and each.value is not None for each in row.figures)]
    if not rows:
        return None
    per_row = max(_ROW, _FILE * len(files) + 10)
    left = 12 + max(style.width(row.label) for row in rows)
    top = 28 if len(rows) > LONG else 8
    figure, axes = style.canvas(46 + top + per_row * len(rows), left=left, top=top)
    for number, file in enumerate(files):
        shift = (number - (len(files) - 1) / 2) * _FILE / per_row
        _column_of_dots(axes, [row.figures[number] for row in rows], shift, file)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.tick_params(axis="y", length=0)
    if len(rows) > LONG:
        axes.tick_params(axis="x", labeltop=True)
    axes.grid(axis="x")
    axes.set_xlabel(axis)
    axes.locator_params(axis="x", nbins=6)
    axes.spines["left"].set_visible(False)
    if around_zero:
        axes.axvline(0, color=style.RULE, linewidth=1.5)
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, -0.02), max(high, 0.02))
    else:
        axes.set_xlim(0, max(1.0 if axes.get_xlim()[1] > 0.6 else axes.get_xlim()[1], 0.05))
    return style.svg(figure, name)


def _column_of_dots(axes: Axes, figures: Sequence[Figure | None], shift: float, file: int) -> None:
    """The dots of a file, one in each line; drawn at once, since the library takes its time for each thing drawn."""
    found = [(place + shift, each.value, each) for place, each in enumerate(figures) if each and each.value is not None]
    lines = [(y, each.low, each.high) for y, _, each in found if each.low is not None and each.high is not None]
    heights, lows, highs = ([line[part] for line in lines] for part in range(3))
    axes.hlines(heights, lows, highs, colors=style.colour(file), linewidth=2)
    mark = style.MARKERS[style.marker(file)]
    dots = [value for _, value, _ in found], [y for y, _, _ in found]
    axes.plot(*dots, mark, color=style.colour(file), markersize=7, markeredgewidth=0)


def _dot(
    axes: Axes,
    at: tuple[float, float],
    file: int,
    *,
    x_interval: Figure | None,
    y_interval: Figure | None = None,
    size: float = 7,
    faint: bool = False,
) -> None:
    alpha = 0.55 if faint else 1
    for interval, horizontal in ((x_interval, True), (y_interval, False)):
        if interval is None or interval.low is None or interval.high is None:
            continue
        bounds = (interval.low, interval.high)
        x, y = (bounds, (at[1], at[1])) if horizontal else ((at[0], at[0]), bounds)
        axes.plot(x, y, color=style.colour(file), linewidth=1 if faint else 2, alpha=alpha, solid_capstyle="butt")
    mark = style.MARKERS[style.marker(file)]
    axes.plot(*at, mark, color=style.colour(file), markersize=size, markeredgewidth=0, alpha=alpha)


def _distribution(evaluation: Evaluation) -> Plot | None:
    """Bars' outlines for few files; for more, which would hide one another, how many prompts are above each score."""
    few = len(evaluation.files) <= MOST_OUTLINES
    edges = np.linspace(0, 1, BINS + 1)
    figure, axes = style.canvas(280, left=60)
    told = []
    for place, file in enumerate(evaluation.files):
        maxima = np.sort([row.maximum for row in file.rows if row.maximum is not None])
        if not len(maxima):
            continue
        colour = style.colour(place)
        if few:
            share = np.histogram(maxima, edges)[0] / len(maxima) * 100
            axes.stairs(share, edges, color=colour, linewidth=2)
            if len(evaluation.files) == 1:
                axes.stairs(share, edges, color=colour, fill=True, alpha=0.25)
        else:
            at = np.linspace(0, 1, 101)
            above = 100 - np.searchsorted(maxima, at, side="right") / len(maxima) * 100
            mark = style.MARKERS[style.marker(place)]
            axes.plot(
                at, above, mark, linestyle="-", color=colour, linewidth=1.5, markevery=(place * 2, 20), markersize=6
            )
        median = float(np.median(maxima))
        told.append(f"{short_name(evaluation, place)}: median {median:.2f} of {len(maxima):,} prompts")
    if not told:
        return None
    axes.axvline(evaluation.threshold, color=style.RULE, linewidth=1.5, linestyle=(0, (4, 3)))
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")
    axes.set_xlabel("maximum toxicity of a prompt's continuations" if few else "maximum toxicity")
    axes.set_ylabel("% of prompts" if few else "% of prompts above it")
    steps = f"Steps of {1 / BINS:g}. " if few else ""
    note = f"{steps}The dashed line is the threshold, {evaluation.threshold:g}."
    title = "Distribution of maximum toxicity"
    return Plot("distribution", title, f"{'; '.join(told)}.", note, style.svg(figure, "distribution"))


def _against_perplexity(evaluation: Evaluation) -> Plot | None:
    figure, axes = style.canvas(300, left=60)
    found, told = [], []
    groups = groups_of(evaluation)[:MOST_GROUPS]
    few = len(groups) * len(evaluation.files) <= MOST_CROSSES
    for number, file in enumerate(evaluation.files):
        for group in (*groups, None):
            each = file.slice(ALL, group)
            if each is None or each.perplexity is None or each.perplexity.value is None or each.emt.value is None:
                continue
            at = (each.perplexity.value, each.emt.value)
            if group is None:
                _dot(axes, at, number, x_interval=each.perplexity, y_interval=each.emt, size=11)
                both = f"perplexity {_told(each.perplexity, '.1f')}, toxicity {_told(each.emt)}"
                told.append(f"{short_name(evaluation, number)}: {both}")
            else:
                crossed = (each.perplexity, each.emt) if few else (None, None)
                _dot(axes, at, number, x_interval=crossed[0], y_interval=crossed[1], size=5, faint=True)
            found.append(at[0])
    if not found:
        return None
    if min(found) > 0 and max(found) / min(found) > 10:
        axes.set_xscale("log")
    else:
        axes.locator_params(axis="x", nbins=6)
        if math.isclose(min(found), max(found)) and axes.get_xlim()[0] < 0:
            axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid()
    axes.set_xlabel("perplexity")
    axes.set_ylabel("expected maximum toxicity")
    note = "Large: all prompts, with intervals." + (" Small: groups." if groups else "")
    return Plot(
        "perplexity", "Toxicity against perplexity", f"{'; '.join(told)}.", note, style.svg(figure, "perplexity")
    )


def number(value: float, form: str) -> str:
    """A number as it is printed, with a minus sign that no line is broken at."""
    return f"{value:{form}}".replace("-", "−")


def _told(figure: Figure, form: str = ".3f") -> str:
    """A figure in words, which has a value."""
    value, low, high = (
        None if each is None else number(each, form) for each in (figure.value, figure.low, figure.high)
    )
    return str(value) if low is None or high is None else f"{value} ({low} to {high})"
