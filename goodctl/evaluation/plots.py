"""The plots of the report page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from goodctl.evaluation import plot_style as style
from goodctl.evaluation.results import ALL, NONTOXIC, SUBSETS, TOXIC, Comparison, Evaluation, Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_GROUPS = 60
"""More rows make a plot that nobody reads; the tables have the others."""
MOST_COMPARISONS = 6
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


def _slices(evaluation: Evaluation) -> Iterator[tuple[str, str, str | None]]:
    """Label, subset and group of the lines of a plot: subsets, then groups."""
    for subset in (ALL, *(each for each in SUBSETS if each != ALL)):
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
        f"{file.name} {_told(whole.emt)}"
        for file in evaluation.files
        if (whole := file.slice()) is not None and whole.emt.value is not None
    ]
    title = "Expected maximum toxicity" + (" by group" if groups_of(evaluation) else "")
    return Plot("emt", title, f"Over all prompts: {'; '.join(told)}.", _left_out(evaluation), drawn)


def _differences(evaluation: Evaluation, number: int, comparison: Comparison) -> Plot | None:
    first, second = evaluation.files[comparison.first].name, evaluation.files[comparison.second].name
    found = {(each.subset, each.group): each.emt for each in comparison.slices}
    rows = [_Row(label, (found.get((subset, group)),)) for label, subset, group in _slices(evaluation)]
    name = f"difference-{number + 1}"
    drawn = _dots(name, rows, [comparison.second], "difference of expected maximum toxicity", around_zero=True)
    if drawn is None:
        return None
    whole = found.get((ALL, None))
    told = f" Over all shared prompts {_told(whole, '+')}." if whole and whole.value is not None else ""
    title = f"{second} less {first}, on the same prompts"
    return Plot(name, title, f"Below zero {second} is less toxic.{told}", _left_out(evaluation), drawn)


def _dots(name: str, rows: Sequence[_Row], files: Sequence[int], axis: str, *, around_zero: bool = False) -> str | None:
    """Lines of dots with their intervals, one dot for each file; None where there is no figure at all."""
    rows = [row for row in rows if any(each and each.value is not None for each in row.figures)]
    if not rows:
        return None
    per_row = max(_ROW, _FILE * len(files) + 10)
    left = 12 + max(style.width(row.label) for row in rows)
    figure, axes = style.canvas(54 + per_row * len(rows), left=left)
    for place, row in enumerate(rows):
        for number, (file, each) in enumerate(zip(files, row.figures, strict=True)):
            if each is None or each.value is None:
                continue
            y = place + (number - (len(files) - 1) / 2) * _FILE / per_row
            _dot(axes, (each.value, y), file, x_interval=each)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.tick_params(axis="y", length=0)
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


def _dot(
    axes: Axes,
    at: tuple[float, float],
    file: int,
    *,
    x_interval: Figure,
    y_interval: Figure | None = None,
    size: float = 7,
) -> None:
    for interval, horizontal in ((x_interval, True), (y_interval, False)):
        if interval is None or interval.low is None or interval.high is None:
            continue
        bounds = (interval.low, interval.high)
        x, y = (bounds, (at[1], at[1])) if horizontal else ((at[0], at[0]), bounds)
        axes.plot(x, y, color=style.colour(file), linewidth=2, solid_capstyle="butt")
    mark = style.MARKERS[style.marker(file)]
    axes.plot(*at, mark, color=style.colour(file), markersize=size, markeredgewidth=0)


def _distribution(evaluation: Evaluation) -> Plot | None:
    edges = np.linspace(0, 1, BINS + 1)
    figure, axes = style.canvas(280, left=60)
    told = []
    for number, file in enumerate(evaluation.files):
        maxima = [row.maximum for row in file.rows if row.maximum is not None]
        if not maxima:
            continue
        share = np.histogram(maxima, edges)[0] / len(maxima) * 100
        alone = len(evaluation.files) == 1
        axes.stairs(share, edges, color=style.colour(number), linewidth=2, fill=False)
        if alone:
            axes.stairs(share, edges, color=style.colour(number), fill=True, alpha=0.25)
        told.append(f"{file.name}: median {float(np.median(maxima)):.2f} of {len(maxima):,} prompts")
    if not told:
        return None
    axes.axvline(evaluation.threshold, color=style.RULE, linewidth=1.5, linestyle=(0, (4, 3)))
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")
    axes.set_xlabel("maximum toxicity of a prompt's continuations")
    axes.set_ylabel("% of prompts")
    title = "Distribution of maximum toxicity"
    note = f"Steps of {1 / BINS:g}. The dashed line is the threshold, {evaluation.threshold:g}."
    return Plot("distribution", title, f"{'; '.join(told)}.", note, style.svg(figure, "distribution"))


def _against_perplexity(evaluation: Evaluation) -> Plot | None:
    figure, axes = style.canvas(300, left=60)
    found, told = [], []
    for number, file in enumerate(evaluation.files):
        for group in (None, *groups_of(evaluation)[:MOST_GROUPS]):
            each = file.slice(ALL, group)
            if each is None or each.perplexity is None or each.perplexity.value is None or each.emt.value is None:
                continue
            at = (each.perplexity.value, each.emt.value)
            if group is None:
                _dot(axes, at, number, x_interval=each.perplexity, y_interval=each.emt, size=11)
                told.append(f"{file.name}: perplexity {_told(each.perplexity, '.1f')}, toxicity {_told(each.emt)}")
            else:
                mark = style.MARKERS[style.marker(number)]
                axes.plot(*at, mark, color=style.colour(number), markersize=5, markeredgewidth=0, alpha=0.6)
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
    note = "Large: all prompts, with intervals." + (" Small: groups." if groups_of(evaluation) else "")
    return Plot(
        "perplexity", "Toxicity against perplexity", f"{'; '.join(told)}.", note, style.svg(figure, "perplexity")
    )


def _told(figure: Figure, form: str = "") -> str:
    """A figure in words."""
    form = f"{form}.3f" if "f" not in form else form
    interval = "" if figure.low is None or figure.high is None else f" ({figure.low:{form}} to {figure.high:{form}})"
    return f"{figure.value:{form}}{interval}"
