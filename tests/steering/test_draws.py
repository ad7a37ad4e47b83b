from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from goodctl.steering.draws import drawn, narrowed, uniforms
from tests.steering import definitions
from tests.steering.definitions import SEEDS

BELOW_ONE = float(np.nextafter(1.0, 0.0))
NOTHING = -math.inf


def column(weights: list[float], number: float) -> int:
    return int(drawn(torch.tensor([weights], dtype=torch.float64), torch.tensor([number], dtype=torch.float64))[0])


class TestUniforms:
    """Every continuation has random numbers of its own."""

    def test_they_do_not_depend_on_the_batch(self) -> None:
        whole = uniforms(7, [0, 1, 5, 9], 4, 30).reshape(4, 4, 30)
        for place, prompt in enumerate([0, 1, 5, 9]):
            np.testing.assert_array_equal(uniforms(7, [prompt], 4, 30), whole[place])
        np.testing.assert_array_equal(uniforms(7, [9, 5], 4, 30).reshape(2, 4, 30), whole[[3, 2]])

    def test_nor_on_how_many_there_are(self) -> None:
        few, many = uniforms(7, [3], 2, 10), uniforms(7, [3], 6, 25)
        np.testing.assert_array_equal(few, many[:2, :10])

    def test_seed_prompt_and_continuation_make_them_differ(self) -> None:
        numbers = np.concatenate([uniforms(seed, [0, 1, 2**40], 3, 8) for seed in (0, 1, 2**40)])
        assert len(np.unique(numbers)) == numbers.size == 3 * 3 * 3 * 8

    def test_they_are_uniform(self) -> None:
        numbers = uniforms(0, range(200), 5, 20)
        assert numbers.shape == (1000, 20)
        assert numbers.dtype == np.float64
        assert ((numbers >= 0) & (numbers < 1)).all()
        counts = np.bincount((numbers * 50).astype(int).ravel(), minlength=50)
        # 49 degrees of freedom: a larger value has a probability of one in ten thousand.
        assert ((counts - 400) ** 2 / 400).sum() < 94
        assert abs(np.corrcoef(numbers[:, 0], numbers[:, 1])[0, 1]) < 0.1
        assert abs(np.corrcoef(numbers[:-1, 0], numbers[1:, 0])[0, 1]) < 0.1

    def test_they_stay_what_they_are(self) -> None:
        """Or a run that was begun before an update would not go on with the same text."""
        expected = [[0.539178654717507, 0.6034751276402357], [0.4358544983275624, 0.14192656889526012]]
        assert uniforms(42, [3], 2, 2).tolist() == expected


class TestDrawn:
    """A number falls on the token whose part of the line it lies in."""

    @pytest.mark.parametrize(
        ("number", "expected"),
        [(0.0, 0), (0.2499, 0), (0.25, 1), (0.7499, 1), (0.75, 2), (0.999, 2), (BELOW_ONE, 2)],
    )
    def test_side_by_side(self, number: float, expected: int) -> None:
        assert column([0.25, 0.5, 0.25], number) == expected
        assert column([1.0, 2.0, 1.0], number) == expected

    @pytest.mark.parametrize("number", [0.0, 1e-300, 0.3, 0.5, 0.9, BELOW_ONE])
    def test_nothing_without_weight(self, number: float) -> None:
        assert column([0.0, 0.0, 1.0, 0.0], number) == 2
        assert column([0.0, 0.5, 0.0, 0.0, 0.5, 0.0], number) == (1 if number < 0.5 else 4)

    @settings(max_examples=200, deadline=None, derandomize=True, database=None)
    @given(seed=SEEDS, size=st.integers(1, 60), zeros=st.floats(0, 0.9), spread=st.sampled_from([0.0, 5.0, 80.0]))
    def test_what_is_drawn_has_weight(self, seed: int, size: int, zeros: float, spread: float) -> None:
        rng = np.random.default_rng(seed)
        weights = np.exp(spread * rng.standard_normal((6, size)))
        weights[rng.random(weights.shape) < zeros] = 0
        weights[np.arange(6), rng.integers(0, size, 6)] = 1
        numbers = np.array([0.0, 1e-17, rng.random(), rng.random(), 1 - 1e-12, BELOW_ONE])
        chosen = drawn(torch.from_numpy(weights), torch.from_numpy(numbers)).numpy()
        assert (weights[np.arange(6), chosen] > 0).all()
        ends = np.concatenate([np.zeros((6, 1)), weights.cumsum(1)], axis=1)
        ends /= ends[:, -1:]
        assert (ends[np.arange(6), chosen] <= numbers + 1e-12).all()
        assert (ends[np.arange(6), chosen + 1] >= numbers - 1e-12).all()

    def test_as_often_as_the_weights_say(self) -> None:
        weights = np.array([0.4, 0.0, 0.3, 0.15, 0.1, 0.04, 0.01])
        numbers = uniforms(1, range(100), 10, 20).ravel()
        repeated = torch.from_numpy(weights).expand(len(numbers), -1)
        counts = np.bincount(drawn(repeated, torch.from_numpy(numbers)).numpy(), minlength=7)
        assert counts[1] == 0
        there = weights > 0
        expected = weights[there] * len(numbers)
        # Five degrees of freedom, one in ten thousand.
        assert ((counts[there] - expected) ** 2 / expected).sum() < 25.7

    def test_rows_have_their_own_numbers(self) -> None:
        weights = torch.tensor([[1.0, 1.0], [1.0, 1.0], [9.0, 1.0]], dtype=torch.float64)
        numbers = torch.tensor([0.7, 0.2, 0.7], dtype=torch.float64)
        assert drawn(weights, numbers).tolist() == [1, 0, 0]


class TestNarrowed:
    """A distribution over tokens in any order, cut to its nucleus."""

    @settings(max_examples=150, deadline=None, derandomize=True, database=None)
    @given(
        seed=SEEDS,
        size=st.integers(1, 80),
        spread=st.sampled_from([0.0, 1.0, 20.0]),
        ties=st.booleans(),
        impossible=st.booleans(),
        top_p=st.sampled_from([1e-9, 0.3, 0.9, 0.999, 1.0]),
    )
    def test_equals_a_full_sort(
        self, seed: int, size: int, spread: float, ties: bool, impossible: bool, top_p: float
    ) -> None:
        rng = np.random.default_rng(seed)
        logits = spread * rng.standard_normal((3, size))
        if ties:
            logits = np.round(logits)
        if impossible:
            logits[:, 1:][rng.random((3, size - 1)) < 0.5] = -np.inf
        logits = logits.astype(np.float32)
        weights = narrowed(torch.from_numpy(logits), top_p).numpy()
        for row, each in enumerate(logits):
            kept = np.flatnonzero(weights[row])
            most = definitions.nucleus(each, 1.0 if top_p == 1 else top_p + 1e-12)
            fewest = definitions.nucleus(each, 1.0 if top_p == 1 else top_p - 1e-12)
            assert set(fewest) <= set(kept.tolist()) <= set(most)
            np.testing.assert_allclose(weights[row, kept], np.exp(definitions.log_softmax(each))[kept], rtol=1e-12)

    def test_of_equals_the_first_are_kept(self) -> None:
        assert narrowed(torch.zeros(1, 10), 0.35).tolist() == [[0.1] * 4 + [0.0] * 6]

    def test_at_least_one_is_kept(self) -> None:
        weights = narrowed(torch.tensor([[NOTHING, -1.0, -0.5, NOTHING]]), 1e-12)
        assert (weights > 0).tolist() == [[False, False, True, False]]

    def test_the_order_stays(self) -> None:
        """The same number falls on the same token, whether or not steering moves some probability."""
        base = torch.tensor([[0.0, -0.1, -3.0]])
        steered = torch.tensor([[-0.1, 0.0, -3.0]])
        number = torch.tensor([0.2], dtype=torch.float64)
        assert int(drawn(narrowed(base, 0.9), number)) == int(drawn(narrowed(steered, 0.9), number)) == 0
