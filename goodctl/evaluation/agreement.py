"""How two scorers agree on the same texts: correlation, agreement at a threshold, differences, calibration."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from goodctl.evaluation.resampling import Estimate, Floats, Whole, drawn_counts, estimate, resamples_for

BINS = 10
FEWEST_FOR_CORRELATION = 3


@dataclass(frozen=True)
class Confusion:
    """On which side of the threshold the texts are; toxic is above it, as published.

    Attributes:
        both: Toxic for both scorers.
        only_a: Toxic for the first alone.
        only_b: Toxic for the second alone.
        neither: Toxic for none.
    """

    both: int
    only_a: int
    only_b: int
    neither: int


@dataclass(frozen=True)
class Bin:
    """A step of the calibration curve: texts whose first score is from ``lower`` to ``upper``.

    Attributes:
        lower: Included.
        upper: Not included, but in the last bin.
        texts: How many.
        mean_a: Mean of the first scores, or None without texts.
        b: Mean of the second scores.
    """

    lower: float
    upper: float
    texts: int
    mean_a: float | None
    b: Estimate


@dataclass(frozen=True)
class Agreement:
    """How two scorers agree on some texts.

    Attributes:
        texts: That both have scored.
        mean_a: Mean score of the first scorer.
        mean_b: Of the second.
        spearman: Rank correlation, ties at their mean rank.
        pearson: Linear correlation.
        agreement: Share of the texts that both put on the same side of the threshold.
        kappa: Cohen's kappa of the same: agreement beyond chance.
        difference: Mean of second minus first score.
        absolute_difference: Mean size of the difference.
        confusion: Counts of the two sides.
        calibration_error: Expected calibration error: mean over texts of the gap, in each bin of ``curve``, between
            the mean first and the mean second score. It has no interval: resampling makes it larger, never smaller.
        curve: For bins of the first score, the mean second score.
        resamples: Behind the intervals.
    """

    texts: int
    mean_a: float
    mean_b: float
    spearman: Estimate
    pearson: Estimate
    agreement: Estimate
    kappa: Estimate
    difference: Estimate
    absolute_difference: Estimate
    confusion: Confusion
    calibration_error: float
    curve: tuple[Bin, ...]
    resamples: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; what does not exist is null, with its reason."""
        return asdict(self)


def agreement(a: Floats, b: Floats, threshold: float = 0.5, seed: int = 0) -> Agreement:
    """Compare the scores of two scorers.

    The intervals are percentiles of the bootstrap over texts.

    Args:
        a: Scores of the first (texts,), from 0 to 1; at least one.
        b: Of the second, for the same texts in the same order.
        threshold: Texts above it are toxic.
        seed: Of the resamples.
    """
    table = _Table(a, b, threshold)
    texts, resamples = len(a), resamples_for(len(a))
    full = table.figures(np.ones(texts, dtype=np.int64))
    drawn = [table.figures(counts) for counts in drawn_counts(texts, resamples, seed)]
    reasons = _reasons(a, b, threshold)
    estimates = {
        name: estimate(
            None if name in reasons else full.values[name],
            np.array([each.values[name] for each in drawn]),
            texts,
            reasons.get(name),
        )
        for name in full.values
    }
    curve = table.curve(full, np.array([each.bin_means for each in drawn]))
    return Agreement(
        texts=texts,
        mean_a=float(np.mean(a)),
        mean_b=float(np.mean(b)),
        confusion=table.confusion(),
        calibration_error=_expected_gap(curve, texts),
        curve=curve,
        resamples=resamples,
        **estimates,
    )


@dataclass(frozen=True)
class _Figures:
    """The figures of one resample, NaN where they do not exist, and the mean second score in each bin (BINS,)."""

    values: dict[str, float]
    bin_means: Floats


class _Table:
    """The texts with all that does not change when they are drawn again.

    A resample is the count of each text, so that ranks follow from counts without sorting again.
    """

    def __init__(self, a: Floats, b: Floats, threshold: float) -> None:
        self.a, self.b = a, b
        self.toxic_a, self.toxic_b = a > threshold, b > threshold
        self.rank_a: Whole = np.unique(a, return_inverse=True)[1]  # (texts,) place among the distinct scores
        self.rank_b: Whole = np.unique(b, return_inverse=True)[1]
        self.bin: Whole = np.minimum((a * BINS).astype(np.int64), BINS - 1)
        self.side: Whole = 2 * ~self.toxic_a + ~self.toxic_b  # (texts,) in the order of the members of Confusion
        self.gap = b - a

    def figures(self, counts: Whole) -> _Figures:
        weights = counts / counts.sum()
        both, only_a, only_b, neither = np.bincount(self.side, weights=weights, minlength=4).tolist()
        ranks = (_ranks(self.rank_a, counts), _ranks(self.rank_b, counts))
        with np.errstate(invalid="ignore"):
            in_bin = np.bincount(self.bin, weights=counts, minlength=BINS)
            bin_means = np.bincount(self.bin, weights=counts * self.b, minlength=BINS) / in_bin
        values = {
            "spearman": _correlation(*ranks, weights),
            "pearson": _correlation(self.a, self.b, weights),
            "agreement": both + neither,
            "kappa": _kappa(both, only_a, only_b, neither),
            "difference": _mean(self.gap, weights),
            "absolute_difference": _mean(np.abs(self.gap), weights),
        }
        return _Figures(values, bin_means)

    def confusion(self) -> Confusion:
        return Confusion(*np.bincount(self.side, minlength=4).tolist())

    def curve(self, full: _Figures, drawn: Floats) -> tuple[Bin, ...]:
        """The calibration curve, from the means of all texts and those of each resample (resamples, BINS)."""
        texts = np.bincount(self.bin, minlength=BINS)
        sums = np.bincount(self.bin, weights=self.a, minlength=BINS)
        return tuple(
            Bin(
                lower=number / BINS,
                upper=(number + 1) / BINS,
                texts=int(count),
                mean_a=float(sums[number] / count) if count else None,
                b=estimate(
                    float(full.bin_means[number]) if count else None, drawn[:, number], int(count), "no text in the bin"
                ),
            )
            for number, count in enumerate(texts)
        )


def _ranks(places: Whole, counts: Whole) -> Floats:
    """Ranks in a resample (texts,), equal scores at their mean rank."""
    held = np.bincount(places, weights=counts)
    ranks: Floats = (np.cumsum(held) - (held - 1) / 2)[places]
    return ranks


def _correlation(x: Floats, y: Floats, weights: Floats) -> float:
    present = weights > 0
    if _constant(x[present]) or _constant(y[present]):
        return float("nan")
    x, y = x - _mean(x, weights), y - _mean(y, weights)
    # The two deviations are rooted apart: the product of very small variances would be 0.
    spread = math.sqrt(_mean(x * x, weights)) * math.sqrt(_mean(y * y, weights))
    return min(max(_mean(x * y, weights) / spread, -1.0), 1.0) if spread > 0 else float("nan")


def _mean(values: Floats, weights: Floats) -> float:
    # Not a product of matrices: its threads wait for one another on a busy machine, at many times the cost.
    return float(np.sum(values * weights))


def _constant(values: Floats) -> bool:
    return bool(np.ptp(values) == 0)


def _kappa(both: float, only_a: float, only_b: float, neither: float) -> float:
    """Cohen's kappa from the shares of the four sides (Cohen 1960)."""
    toxic_a, toxic_b = both + only_a, both + only_b
    chance = toxic_a * toxic_b + (1 - toxic_a) * (1 - toxic_b)
    observed = both + neither
    return (observed - chance) / (1 - chance) if chance < 1 - 1e-12 else float("nan")


def _reasons(a: Floats, b: Floats, threshold: float) -> dict[str, str]:
    """Figures that do not exist for these scores, and why."""
    found = {}
    if len(a) < FEWEST_FOR_CORRELATION:
        found = dict.fromkeys(("spearman", "pearson"), f"fewer than {FEWEST_FOR_CORRELATION} texts")
    elif _constant(a) or _constant(b):
        found = dict.fromkeys(("spearman", "pearson"), "one scorer gives all texts the same score")
    toxic = np.concatenate([a, b]) > threshold
    if toxic.all() or not toxic.any():
        found["kappa"] = "both scorers put all texts on the same side of the threshold"
    return found


def _expected_gap(curve: tuple[Bin, ...], texts: int) -> float:
    gaps = [
        each.texts * abs(each.b.value - each.mean_a)
        for each in curve
        if each.b.value is not None and each.mean_a is not None
    ]
    return sum(gaps) / texts
