"""The bootstrap of a table of texts: how a figure moves when as many texts are drawn again with replacement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

RESAMPLES = 1000
FEWEST_RESAMPLES = 200
FEWEST_TEXTS = 10
"""Below this many texts a resampled interval is narrower than the truth, and none is given."""
CONFIDENCE = 0.95
_DRAWS = 20_000_000
_USABLE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval.

    Attributes:
        value: The figure, or None where it does not exist.
        low: Where its 95 % interval begins, or None.
        high: Where it ends, or None.
        reason: Why the figure or its interval is missing; None where both are there.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def resamples_for(texts: int) -> int:
    """How many resamples are drawn: 1000, and fewer where intervals of so many texts are narrow anyway."""
    return min(RESAMPLES, max(FEWEST_RESAMPLES, _DRAWS // max(texts, 1)))


def drawn_counts(texts: int, resamples: int, seed: int = 0) -> Iterator[Whole]:
    """How often each text is in each resample.

    Args:
        texts: Of the table.
        resamples: How many are drawn.
        seed: Two tables of one length get the same resamples from the same seed.

    Yields:
        Counts (texts,), which add up to ``texts``.
    """
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(generator.integers(0, texts, texts), minlength=texts).astype(np.int64)


def estimate(value: float | None, resampled: Floats, texts: int, reason: str | None = None) -> Estimate:
    """A figure with its percentile interval.

    Args:
        value: Over all texts, or None.
        resampled: The figure in each resample (resamples,), NaN where it does not exist.
        texts: How many there are.
        reason: Why ``value`` is None.
    """
    if value is None:
        return Estimate(None, reason=reason)
    if texts < FEWEST_TEXTS:
        return Estimate(value, reason=f"no interval: fewer than {FEWEST_TEXTS} texts")
    usable = resampled[np.isfinite(resampled)]
    if not len(usable) or len(usable) < _USABLE * len(resampled):
        return Estimate(value, reason="no interval: the figure does not exist in many resamples")
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(usable, [tail, 1 - tail])
    return Estimate(value, float(low), float(high))
