"""A nondecreasing map from one scorer's scores to another's, and its error on texts that it has not seen.

The map is an isotonic regression, the nondecreasing function of least squared error, of means of a few texts each, so
that it follows no single text; linear between them, and reduced to few points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from goodctl.evaluation.resampling import Floats, Whole

FEWEST_TEXTS = 50
"""With fewer texts nothing is fitted."""
FEWEST_OF_LANGUAGE = 200
"""With fewer texts a language has no map of its own."""
FOLDS = 5
WHOLE = -1
MOST_POINTS = 32
_CELL = 5
_TOLERANCE = 0.002


@dataclass(frozen=True)
class MonotoneMap:
    """A nondecreasing function: linear between its points, constant outside.

    Attributes:
        x: Scores of the first scorer, increasing.
        y: What they become, not decreasing, from 0 to 1.
        texts: It was fitted on.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    texts: int

    def __call__(self, scores: Floats) -> Floats:
        """Scores of the first scorer (N,) in the terms of the second (N,)."""
        return np.interp(scores, self.x, self.y)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, as they stand in a calibration file."""
        return {"x": list(self.x), "y": list(self.y), "texts": self.texts}


@dataclass(frozen=True)
class Error:
    """How far the first scorer's scores are from the second's.

    Attributes:
        root_mean_square: Of the differences; what the map makes least.
        absolute: Mean size of the differences.
        bias: Mean of first minus second.
        agreement: Share of the texts on the same side of the threshold.
        toxic: Share of the texts above the threshold by the first scorer.
    """

    root_mean_square: float
    absolute: float
    bias: float
    agreement: float
    toxic: float

    @classmethod
    def of(cls, scores: Floats, wanted: Floats, threshold: float) -> Error:
        """Compare scores (N,) with those that were wanted (N,)."""
        gap = scores - wanted
        return cls(
            root_mean_square=float(np.sqrt(np.mean(gap * gap))),
            absolute=float(np.mean(np.abs(gap))),
            bias=float(np.mean(gap)),
            agreement=float(np.mean((scores > threshold) == (wanted > threshold))),
            toxic=float(np.mean(scores > threshold)),
        )


@dataclass(frozen=True)
class HeldOut:
    """What a map does to texts that it has not seen.

    Attributes:
        texts: How many.
        toxic: Share above the threshold by the second scorer.
        before: Of the first scorer's scores as they are.
        after: Of the same, mapped.
    """

    texts: int
    toxic: float
    before: Error
    after: Error

    @property
    def better(self) -> bool:
        """Whether the map brings the scores nearer."""
        return self.after.root_mean_square < self.before.root_mean_square

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "better": self.better}


def fit(a: Floats, b: Floats) -> MonotoneMap:
    """Fit the map from first scores (N,) to second scores (N,).

    Raises:
        ValueError: The first scores are all the same, or there are none.
    """
    from scipy.optimize import isotonic_regression

    if not len(a) or np.ptp(a) == 0:
        raise ValueError("a map needs different scores")
    x, y, weights = _cells(a, b)
    heights = np.clip(isotonic_regression(y, weights=weights).x, 0.0, 1.0)
    if len(x) == 1:  # so few different scores that all fell together
        x, heights = np.array([a.min(), a.max()]), np.repeat(heights, 2)
    # Equal heights may differ in their last digit.
    heights = np.maximum.accumulate(heights)
    kept = _reduced(x, heights)
    return MonotoneMap(tuple(x[kept].tolist()), tuple(heights[kept].tolist()), len(a))


def held_out(
    a: Floats, b: Floats, languages: Whole, folds: Whole, served: Mapping[int, int | None], threshold: float
) -> dict[int, HeldOut]:
    """The error before and after, each text mapped by a map that was fitted without its fold.

    Args:
        a: Scores of the first scorer (N,).
        b: Of the second (N,).
        languages: Number of each text's language (N,).
        folds: Of each text (N,), from 0 to ``FOLDS`` - 1.
        served: Each language to the language whose texts its map is fitted on; None where that is all texts.
        threshold: Texts above it are toxic.

    Returns:
        Language to its error; ``WHOLE`` stands for all texts.

    Raises:
        ValueError: The first scores are all the same but for one fold.
    """
    mapped = np.empty_like(a)
    for fold in range(FOLDS):
        out = folds == fold
        common = fit(a[~out], b[~out])
        mapped[out] = common(a[out])
        for language, source in served.items():
            if source is None:
                continue
            seen, wanted = ~out & (languages == source), out & (languages == language)
            try:
                mapped[wanted] = fit(a[seen], b[seen])(a[wanted])
            except ValueError:  # a single score outside of the fold
                continue
    found = {}
    for language in (WHOLE, *np.unique(languages).tolist()):
        of_it = languages == language if language >= 0 else np.ones(len(a), dtype=bool)
        found[language] = HeldOut(
            texts=int(of_it.sum()),
            toxic=float(np.mean(b[of_it] > threshold)),
            before=Error.of(a[of_it], b[of_it], threshold),
            after=Error.of(mapped[of_it], b[of_it], threshold),
        )
    return found


def _cells(a: Floats, b: Floats) -> tuple[Floats, Floats, Floats]:
    """Texts in the order of their first score, some together, so that no step rests on a single text.

    Equal scores are never parted. Gives mean first score, increasing, mean second score, and number of texts (cells,).
    """
    distinct, places, counts = np.unique(a, return_inverse=True, return_counts=True)
    before = np.cumsum(counts) - counts  # texts in front of a score
    size = min(_CELL, max(1, len(a) // 10))
    number = np.minimum(before // size, len(a) // size - 1)  # what is left over joins the last one
    cell = np.unique(number, return_inverse=True)[1][places]
    weights = np.bincount(cell).astype(np.float64)
    x = np.bincount(cell, weights=distinct[places]) / weights
    return x, np.bincount(cell, weights=b) / weights, weights


def _reduced(x: Floats, y: Floats) -> Whole:
    """Which points suffice (few,): the line through them is nowhere farther from the others than it has to be."""
    tolerance = _TOLERANCE
    while len(kept := _within(x, y, tolerance)) > MOST_POINTS:
        tolerance *= 1.5
    return kept


def _within(x: Floats, y: Floats, tolerance: float) -> Whole:
    """Points through which a line stays within a vertical distance of all (Douglas-Peucker)."""
    kept, open_spans = {0, len(x) - 1}, [(0, len(x) - 1)]
    while open_spans:
        first, last = open_spans.pop()
        if last - first < 2:
            continue
        inner = slice(first + 1, last)
        gaps = np.abs(np.interp(x[inner], [x[first], x[last]], [y[first], y[last]]) - y[inner])
        farthest = int(np.argmax(gaps))
        if gaps[farthest] > tolerance:
            middle = first + 1 + farthest
            kept.add(middle)
            open_spans += [(first, middle), (middle, last)]
    return np.array(sorted(kept), dtype=np.int64)
