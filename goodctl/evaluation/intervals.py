"""Figures over prompts and their bootstrap intervals.

Every figure of an evaluation is a sum over prompts divided by another sum over prompts: a mean over prompts has ones
below, a mean over continuations has their number below. So one weighted sum gives a figure of a resampled set of
prompts, and all figures of all resamples are one product of matrices. ``scipy.stats.bootstrap`` gives the same
intervals from gathered copies of the data, which takes ten times as long here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from goodctl.evaluation.figure import Figure
from goodctl.evaluation.results import Bootstrap

Floats = npt.NDArray[np.float64]

BLOCK_BYTES = 4 * 2**20
"""Weights of resampled prompts in memory at a time."""


@dataclass(frozen=True)
class Ratio:
    """A figure before it has an interval. N is the number of prompts.

    Attributes:
        numerators: (N,) what each prompt adds above; infinite where the figure has no value.
        denominators: (N,) what each prompt adds below; 0 where it is left out.
        count: As in ``Figure``.
        missing: As in ``Figure``.
        deviation: As in ``Figure``.
        exponential: Whether the figure is exp of the ratio.
        empty: As in ``Figure``.
    """

    numerators: Floats
    denominators: Floats
    count: int
    missing: int
    deviation: float | None = None
    exponential: bool = False
    empty: int = 0


def deviation(values: Floats) -> float | None:
    """Standard deviation with n - 1, or None for fewer than two values or infinite ones."""
    return float(np.std(values, ddof=1)) if len(values) > 1 and np.isfinite(values).all() else None


def figures(ratios: Sequence[Ratio], bootstrap: Bootstrap) -> tuple[Figure, ...]:
    """Figures over the same prompts, each with its percentile interval.

    The prompts' order does not matter, to the last digit: they are resampled in the order of what they add.

    Args:
        ratios: All of the same N.
        bootstrap: How often, and with which seed.
    """
    above, below = _matrices(ratios)
    order = np.lexsort(np.concatenate([above, below], axis=1).T)
    above, below = above[order], below[order]
    values = _figures(above.sum(0), below.sum(0), ratios)
    low, high = _bounds(_resampled(above, below, ratios, bootstrap), bootstrap.level)
    prompts = (below > 0).sum(0)
    return tuple(
        _figure(values[number], (low[number], high[number]), int(prompts[number]), ratio)
        for number, ratio in enumerate(ratios)
    )


def differences(firsts: Sequence[Ratio], seconds: Sequence[Ratio], bootstrap: Bootstrap) -> tuple[Figure, ...]:
    """Differences between figures over the same prompts, second less first: each prompt is drawn with both its sides.

    Args:
        firsts: Of the first file, all of the same N.
        seconds: Of the second file: as many, of the same prompts in the same order.
        bootstrap: How often, and with which seed.

    Returns:
        ``count`` is the number of prompts that both files have something of; the others are left out of both sides.
        ``missing`` and ``empty`` are those of both files together.
    """
    above, below = _matrices([*firsts, *seconds])
    half = len(firsts)
    usable = (below[:, :half] > 0) & (below[:, half:] > 0)  # (N, F)
    both = np.concatenate([usable, usable], axis=1)
    above, below = np.where(both, above, 0.0), np.where(both, below, 0.0)
    sides = [*firsts, *seconds]
    values = _figures(above.sum(0), below.sum(0), sides)
    drawn = _resampled(above, below, sides, bootstrap)
    low, high = _bounds(drawn[:, half:] - drawn[:, :half], bootstrap.level)
    counts = usable.sum(0)
    return tuple(
        _figure(
            values[half + number] - values[number],
            (low[number], high[number]),
            int(counts[number]),
            Ratio(
                one.numerators,
                one.denominators,
                int(counts[number]),
                one.missing + other.missing,
                empty=one.empty + other.empty,
            ),
        )
        for number, (one, other) in enumerate(zip(firsts, seconds, strict=True))
    )


def _figure(value: float, bounds: tuple[float, float], prompts: int, ratio: Ratio) -> Figure:
    """A figure; without an interval where it has no value, or where a single prompt is drawn again and again."""
    low, high = (_finite(bound) if prompts > 1 and math.isfinite(value) else None for bound in bounds)
    return Figure(_finite(value), low, high, ratio.deviation, ratio.count, ratio.missing, ratio.empty)


def _matrices(ratios: Sequence[Ratio]) -> tuple[Floats, Floats]:
    """Numerators and denominators, each (N, F)."""
    return (
        np.stack([ratio.numerators for ratio in ratios], axis=1),
        np.stack([ratio.denominators for ratio in ratios], axis=1),
    )


def _figures(above: Floats, below: Floats, ratios: Sequence[Ratio]) -> Floats:
    """Sums (..., F) to figures (..., F); NaN where nothing stands below."""
    with np.errstate(all="ignore"):
        found = above / below
        exponential = np.array([ratio.exponential for ratio in ratios])
        found = np.where(exponential, np.exp(found), found)
    return np.where(below > 0, found, np.nan)


def _resampled(above: Floats, below: Floats, ratios: Sequence[Ratio], bootstrap: Bootstrap) -> Floats:
    """Figures (B, F) of B resamples of the N prompts. The same N and seed give the same resamples."""
    prompts = len(above)
    if not prompts or not bootstrap.resamples:
        return np.empty((0, len(ratios)))
    rng = np.random.default_rng(bootstrap.seed)
    finite = np.isfinite(above).all(0)
    above = np.where(finite, above, 0.0)  # a column without a value gets no interval, and must not spoil the others
    block = max(1, BLOCK_BYTES // (8 * prompts))
    found = []
    for start in range(0, bootstrap.resamples, block):
        weights = _weights(rng, min(block, bootstrap.resamples - start), prompts)
        found.append(_figures(weights @ above, weights @ below, ratios))
    return np.concatenate(found)


def _weights(rng: np.random.Generator, resamples: int, prompts: int) -> Floats:
    """(B, N) how often each prompt is drawn in each resample."""
    drawn = rng.integers(prompts, size=(resamples, prompts))
    drawn += prompts * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * prompts).reshape(resamples, prompts).astype(np.float64)


def _bounds(drawn: Floats, level: float) -> tuple[Floats, Floats]:
    """The middle share of each column of (B, F): its bounds, each (F,).

    Resamples without anything to average are left out; NaN where nothing is left.
    """
    bounds = np.full((2, drawn.shape[1]), np.nan)
    outside = (1 - level) / 2
    for number, column in enumerate(drawn.T):
        known = column[np.isfinite(column)]
        if len(known):
            bounds[:, number] = np.quantile(known, [outside, 1 - outside])
    return bounds[0], bounds[1]


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
