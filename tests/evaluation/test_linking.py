from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodctl.evaluation.linking import FOLDS, MOST_POINTS, WHOLE, fit, held_out
from goodctl.evaluation.resampling import Floats

GRID = np.linspace(0, 1, 201)
SCORES = st.floats(0, 1, allow_nan=False)


def scorers(texts: int, seed: int = 0, noise: float = 0.05) -> tuple[Floats, Floats]:
    """Two scorers of which the second gives about the square of what the first gives."""
    generator = np.random.default_rng(seed)
    a = generator.random(texts)
    return a, np.clip(a**2 + generator.normal(0, noise, texts), 0, 1)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(SCORES, SCORES), min_size=2, max_size=60))
def test_a_map_is_nondecreasing_within_0_and_1_and_has_few_points(pairs: list[tuple[float, float]]) -> None:
    a, b = np.array(pairs).T
    if np.ptp(a) == 0:
        with pytest.raises(ValueError, match="different scores"):
            fit(a, b)
        return
    found = fit(a, b)
    assert 2 <= len(found.x) == len(found.y) <= MOST_POINTS
    assert np.all(np.diff(found.x) > 0)
    assert np.all(np.diff(found.y) >= 0)
    assert b.min() - 1e-9 <= min(found.y) <= max(found.y) <= b.max() + 1e-9
    mapped = found(GRID)
    assert np.all(np.diff(mapped) >= 0)
    assert found.texts == len(pairs)


def test_a_known_relation_is_found() -> None:
    a, b = scorers(5000)
    assert np.abs(fit(a, b)(GRID[10:-10]) - GRID[10:-10] ** 2).max() < 0.03


def test_the_order_of_the_texts_does_not_matter() -> None:
    a, b = scorers(400)
    order = np.random.default_rng(1).permutation(400)
    assert fit(a[order], b[order]).x == pytest.approx(fit(a, b).x)


def test_a_step_stays_a_step_and_a_falling_relation_becomes_constant() -> None:
    a = np.linspace(0, 1, 1000)
    step = fit(a, (a > 0.5).astype(float))
    assert step(np.array([0.45, 0.55])) == pytest.approx([0, 1])
    assert np.ptp(fit(a, 1 - a).y) == pytest.approx(0, abs=1e-12)


def test_a_single_extreme_text_is_not_followed() -> None:
    a, b = scorers(500, noise=0.0)
    b[np.argmax(a)] = 0.0
    assert fit(a, b)(np.array([1.0]))[0] > 0.7


def test_few_points_stay_near_the_many() -> None:
    a, b = scorers(20_000, noise=0.2)
    few = fit(a, b)
    assert len(few.x) <= MOST_POINTS
    error = np.sqrt(np.mean((few(a) - b) ** 2))
    assert error <= 1.01 * np.sqrt(np.mean((a**2 - b) ** 2))


def test_no_text_is_mapped_by_a_map_that_has_seen_it() -> None:
    """Where the second scores are noise, a map that had seen them would look better than a constant."""
    generator = np.random.default_rng(3)
    a, b = generator.random(300), generator.random(300)
    folds = np.arange(300) % FOLDS
    found = held_out(a, b, np.zeros(300, dtype=np.int64), folds, {}, 0.5)[WHOLE]
    assert found.after.root_mean_square > np.std(b) * 0.99
    seen = np.sqrt(np.mean((fit(a, b)(a) - b) ** 2))
    assert found.after.root_mean_square > seen


def test_each_language_is_served_by_its_own_map_or_by_the_common_one() -> None:
    a, b = scorers(2000)
    languages = (np.arange(2000) % 4 == 0).astype(np.int64)
    b[languages == 1] = 1 - np.sqrt(1 - a[languages == 1])
    folds = np.arange(2000) // 4 % FOLDS
    own = held_out(a, b, languages, folds, {0: 0, 1: 1}, 0.5)
    common = held_out(a, b, languages, folds, {0: 0, 1: None}, 0.5)
    other = held_out(a, b, languages, folds, {0: 0, 1: 0}, 0.5)
    assert common[1].after.root_mean_square < other[1].after.root_mean_square
    assert own[1].after.root_mean_square < common[1].after.root_mean_square
    assert own[WHOLE].texts == own[0].texts + own[1].texts == 2000
    assert own[0].better
    assert own[0].after.absolute < own[0].before.absolute / 3
    assert own[0].before.bias == pytest.approx(np.mean((a - b)[languages == 0]))
    assert own[0].before.toxic == pytest.approx(np.mean(a[languages == 0] > 0.5))
    assert own[0].after.agreement > own[0].before.agreement
