from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from goodctl.evaluation import intervals
from goodctl.evaluation.intervals import Floats, Ratio, deviation, differences, figures
from goodctl.evaluation.results import Bootstrap


def mean_of(values: Floats) -> Ratio:
    return Ratio(values, np.ones(len(values)), len(values), 0, deviation(values))


def test_intervals_are_those_of_scipy_but_for_the_draws() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 5, 200).astype(float)
    sums = sizes * rng.random(200)
    (found,) = figures([Ratio(sums, sizes, int(sizes.sum()), 0)], Bootstrap(10_000))
    wanted = scipy.stats.bootstrap(
        (sums, sizes),
        lambda above, below, axis: above.sum(axis) / below.sum(axis),
        paired=True,
        n_resamples=10_000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert found.value == pytest.approx(sums.sum() / sizes.sum())
    assert found.low == pytest.approx(wanted.low, abs=2e-3)
    assert found.high == pytest.approx(wanted.high, abs=2e-3)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        (found,) = figures([mean_of(rng.exponential(1.0, 100))], Bootstrap(400))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 1.0 <= found.high
    assert 0.90 <= held / 300 <= 0.98


def test_paired_intervals_hold_the_truth_and_are_narrower_than_unpaired_ones() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        before = rng.exponential(1.0, 80)
        after = before - 0.1 + 0.05 * rng.standard_normal(80)
        (found,) = differences([mean_of(before)], [mean_of(after)], Bootstrap(400))
        (alone,) = figures([mean_of(after)], Bootstrap(400))
        assert found.low is not None and found.high is not None and alone.low is not None and alone.high is not None
        held += found.low <= -0.1 <= found.high
        assert found.high - found.low < alone.high - alone.low
    assert 0.90 <= held / 200 <= 0.99


def test_the_seed_decides_and_blocks_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    ratio = mean_of(np.random.default_rng(0).random(50))
    first = figures([ratio], Bootstrap(300, seed=1))
    assert figures([ratio], Bootstrap(300, seed=1)) == first
    assert figures([ratio], Bootstrap(300, seed=2)) != first
    monkeypatch.setattr(intervals, "BLOCK_BYTES", 7 * 8 * 50)
    assert figures([ratio], Bootstrap(300, seed=1)) == first


def test_what_has_no_interval() -> None:
    nothing = Ratio(np.zeros(3), np.zeros(3), 0, 3)
    single = Ratio(np.array([0.5, 0, 0]), np.array([1.0, 0, 0]), 1, 0)
    none, one = figures([nothing, single], Bootstrap(100))
    assert (none.value, none.low, none.high, none.missing) == (None, None, None, 3)
    assert (one.value, one.low, one.high) == (0.5, None, None)
    (unasked,) = figures([mean_of(np.array([1.0, 2.0]))], Bootstrap(0))
    assert (unasked.value, unasked.low) == (1.5, None)
    empty = Ratio(np.zeros(0), np.zeros(0), 0, 0)
    assert figures([empty], Bootstrap(100))[0].value is None
    assert differences([empty], [empty], Bootstrap(100))[0].value is None
