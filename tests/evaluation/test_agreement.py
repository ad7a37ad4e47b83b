from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from goodctl.evaluation.agreement import BINS, Agreement, agreement
from goodctl.evaluation.resampling import FEWEST_RESAMPLES, RESAMPLES, drawn_counts, estimate, resamples_for

SCORES = st.floats(0, 1, allow_nan=False).map(lambda score: round(score, 3))
PAIRS = st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=30)


def of(pairs: list[tuple[float, float]], threshold: float = 0.5) -> Agreement:
    table = np.array(pairs, dtype=float)
    return agreement(table[:, 0], table[:, 1], threshold)


def test_figures_equal_those_computed_by_hand() -> None:
    # Above 0.5: the first scorer says 0.6, 0.9, 0.8; the second 0.7, 0.9. They part over one of five.
    found = of([(0.1, 0.2), (0.6, 0.7), (0.9, 0.9), (0.8, 0.4), (0.3, 0.1)])
    assert vars(found.confusion) == {"both": 2, "only_a": 1, "only_b": 0, "neither": 2}
    assert found.agreement.value == pytest.approx(0.8)
    # chance: 3/5 · 2/5 + 2/5 · 3/5 = 0.48; (0.8 − 0.48) / 0.52
    assert found.kappa.value == pytest.approx(0.32 / 0.52)
    assert found.difference.value == pytest.approx((0.1 + 0.1 + 0 - 0.4 - 0.2) / 5)
    assert found.absolute_difference.value == pytest.approx(0.8 / 5)
    # ranks of the first 1 3 5 4 2, of the second 2 4 5 3 1: 1 − 6 · 4 / (5 · 24)
    assert found.spearman.value == pytest.approx(0.8)
    assert (found.mean_a, found.mean_b) == pytest.approx((0.54, 0.46))
    # each text is alone in its bin, so the gaps are those of the texts
    assert found.calibration_error == pytest.approx(0.8 / 5)
    assert [each.texts for each in found.curve] == [0, 1, 0, 1, 0, 0, 1, 0, 1, 1]


def test_a_score_on_the_threshold_is_not_toxic() -> None:
    assert vars(of([(0.5, 0.51)]).confusion) == {"both": 0, "only_a": 0, "only_b": 1, "neither": 0}


@settings(deadline=None, max_examples=12)
@given(PAIRS)
def test_correlations_equal_those_of_scipy(pairs: list[tuple[float, float]]) -> None:
    a, b = np.array(pairs).T
    found = of(pairs)
    if len(pairs) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        assert found.spearman.value is found.pearson.value is None
        assert found.spearman.reason
    else:
        assert found.spearman.value == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-9)
        assert found.pearson.value == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-9)


@settings(deadline=None, max_examples=8)
@given(PAIRS)
def test_exchanging_the_scorers_mirrors_everything(pairs: list[tuple[float, float]]) -> None:
    there, back = of(pairs), of([(second, first) for first, second in pairs])
    for name in ("spearman", "pearson", "agreement", "kappa", "absolute_difference"):
        one, other = getattr(there, name), getattr(back, name)
        assert (one.value is None) == (other.value is None)
        if one.value is not None:
            assert one.value == pytest.approx(other.value, abs=1e-9)
    assert there.difference.value == pytest.approx(-float(back.difference.value or 0.0), abs=1e-12)
    assert (there.confusion.only_a, there.confusion.both) == (back.confusion.only_b, back.confusion.both)


@settings(deadline=None, max_examples=8)
@given(PAIRS)
def test_every_number_is_one_that_json_has(pairs: list[tuple[float, float]]) -> None:
    found = of(pairs).to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))

    def check(value: Any) -> None:
        for each in value.values() if isinstance(value, dict) else value:
            if isinstance(each, dict | list | tuple):
                check(each)
            elif isinstance(each, float):
                assert math.isfinite(each)

    check(found)
    assert sum(each["texts"] for each in found["curve"]) == found["texts"] == len(pairs)
    for name in ("agreement", "difference", "spearman"):
        if found[name]["low"] is not None:
            assert found[name]["low"] - 1e-9 <= found[name]["value"] <= found[name]["high"] + 1e-9 or len(pairs) < 40


def test_missing_figures_have_reasons() -> None:
    alone = of([(0.1, 0.2)])
    assert alone.spearman.reason == "fewer than 3 texts"
    assert alone.kappa.reason == "both scorers put all texts on the same side of the threshold"
    assert alone.difference.value is not None
    assert alone.difference.low is None
    assert alone.difference.reason == "no interval: fewer than 10 texts"
    constant = of([(0.4, score / 100) for score in range(60)])
    assert constant.pearson.reason == "one scorer gives all texts the same score"
    assert constant.pearson.value is None
    # 11 texts of which one alone differs: in a third of the resamples it is not drawn
    rare = of([(0.1, 0.1)] * 10 + [(0.9, 0.9)])
    assert rare.pearson.value == pytest.approx(1.0)
    assert rare.pearson.reason == "no interval: the figure does not exist in many resamples"


def test_perfect_agreement_is_one() -> None:
    found = of([(score / 100, score / 100) for score in range(101)])
    for figure in (found.spearman, found.pearson, found.agreement, found.kappa):
        assert (figure.value, figure.low, figure.high) == pytest.approx((1.0, 1.0, 1.0))
    assert found.calibration_error == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("name", ["difference", "pearson", "spearman", "agreement"])
def test_intervals_are_those_of_the_plain_bootstrap(name: str) -> None:
    generator = np.random.default_rng(5)
    a = generator.beta(1, 2, 150)
    b = np.clip(a + generator.normal(0, 0.15, 150), 0, 1)
    statistic = {
        "difference": lambda x, y: np.mean(y - x),
        "pearson": lambda x, y: stats.pearsonr(x, y).statistic,
        "spearman": lambda x, y: stats.spearmanr(x, y).statistic,
        "agreement": lambda x, y: np.mean((x > 0.5) == (y > 0.5)),
    }[name]
    wanted = stats.bootstrap(
        (a, b), statistic, paired=True, vectorized=False, n_resamples=600, method="percentile", rng=generator
    ).confidence_interval
    found = getattr(agreement(a, b), name)
    width = wanted.high - wanted.low
    assert found.low == pytest.approx(wanted.low, abs=0.2 * width)
    assert found.high == pytest.approx(wanted.high, abs=0.2 * width)


def test_the_curve_is_the_mean_of_each_bin() -> None:
    generator = np.random.default_rng(2)
    a, b = generator.random(500), generator.random(500)
    a[0], a[1] = 0.0, 1.0
    found = agreement(a, b).curve
    assert len(found) == BINS
    for number, each in enumerate(found):
        inside = (a >= each.lower) & ((a < each.upper) | (number == BINS - 1))
        assert each.texts == inside.sum()
        assert each.b.value == pytest.approx(b[inside].mean())
        assert each.b.low is not None
        assert each.b.high is not None
        assert each.b.low < b[inside].mean() < each.b.high


def test_resamples_have_as_many_texts() -> None:
    counts = list(drawn_counts(7, 50))
    assert len(counts) == 50
    assert {int(each.sum()) for each in counts} == {7}
    assert len({tuple(each) for each in counts}) > 40
    assert [each.tolist() for each in drawn_counts(7, 5)] == [each.tolist() for each in drawn_counts(7, 5)]
    assert resamples_for(100) == RESAMPLES
    assert resamples_for(10**7) == FEWEST_RESAMPLES


def test_an_interval_holds_95_percent() -> None:
    found = estimate(0.5, np.linspace(0, 1, 1001), 100)
    assert (found.low, found.high) == pytest.approx((0.025, 0.975))
