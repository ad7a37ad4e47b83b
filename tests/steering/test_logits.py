"""The methods' distributions against their definitions in numpy, and what holds for all of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from goodctl.errors import UsageError
from goodctl.steering.logits import discourage, ensemble, interpolate, knn_log_probs, nucleus_mask
from tests.steering import definitions
from tests.steering.definitions import Floats, Problem, Row, problems

NOTHING = -math.inf
SIDES = [(0, 1), (0, None), (None, 1)]
Function = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Of base logits and two sides' log probabilities."""

check = settings(max_examples=150, deadline=None, derandomize=True, database=None)


def found(problem: Problem, side: int | None) -> torch.Tensor | None:
    if side is None:
        return None
    return knn_log_probs(problem.distances[side], problem.values[side], problem.vocabulary, problem.temperature)


def both(problem: Problem) -> tuple[torch.Tensor, torch.Tensor]:
    sides = found(problem, 0), found(problem, 1)
    assert sides[0] is not None
    assert sides[1] is not None
    return sides[0], sides[1]


def numpy(tensor: torch.Tensor) -> Floats:
    array: Floats = tensor.float().numpy()
    return array


def assert_log_close(actual: torch.Tensor, expected: Row, tolerance: float = 1e-5) -> None:
    """Equal where float32 has the numbers: below exp(-80) it runs out of them."""
    row = numpy(actual)
    assert not np.isnan(row).any()
    small = expected < -80
    np.testing.assert_allclose(row[~small], expected[~small], rtol=tolerance, atol=tolerance)
    assert (row[small] < -79).all()


@check
@given(problem=problems())
def test_knn_sums_the_weights_of_neighbours(problem: Problem) -> None:
    for side, log_probs in enumerate(both(problem)):
        assert (log_probs.shape, log_probs.dtype) == (problem.logits.shape, torch.float32)
        for row in range(len(log_probs)):
            assert_log_close(log_probs[row], problem.defined(side, row))
        some = torch.isfinite(problem.distances[side]).any(1)
        torch.testing.assert_close(log_probs.exp().sum(1), some.float(), rtol=1e-5, atol=1e-5)


@check
@given(
    problem=problems(),
    sides=st.sampled_from(SIDES),
    alpha=st.sampled_from([0.0, 0.5, 2.0, -1.5, 40.0]),
    filter_p=st.sampled_from([1e-9, 0.3, 0.9, 1.0]),
)
def test_ensemble_weighs_two_sides(
    problem: Problem, sides: tuple[int | None, int | None], alpha: float, filter_p: float
) -> None:
    log_probs = ensemble(problem.logits, found(problem, sides[0]), found(problem, sides[1]), alpha, filter_p)
    mask = nucleus_mask(problem.logits, filter_p)
    assert log_probs.dtype == torch.float32
    assert bool(torch.isneginf(log_probs[~mask]).all())
    for row in range(len(log_probs)):
        toxic, nontoxic = (None if side is None else problem.defined(side, row) for side in sides)
        kept = torch.nonzero(mask[row])[:, 0].tolist()
        expected = definitions.ensemble(numpy(problem.logits[row]), kept, toxic, nontoxic, alpha)
        assert_log_close(log_probs[row], expected, 2e-5 * (1 + abs(alpha)))
    torch.testing.assert_close(log_probs.exp().sum(1), torch.ones(len(log_probs)), rtol=1e-4, atol=1e-4)


@check
@given(problem=problems(), lam=st.sampled_from([0.0, 0.25, 0.9, 1.0]))
def test_interpolate_mixes(problem: Problem, lam: float) -> None:
    neighbors, _ = both(problem)
    mixed = interpolate(problem.logits, neighbors, lam)
    for row in range(len(mixed)):
        base = np.exp(definitions.log_softmax(numpy(problem.logits[row])))
        other = np.exp(problem.defined(0, row))
        with np.errstate(divide="ignore"):
            assert_log_close(mixed[row], np.log((1 - lam) * base + lam * (other if other.any() else base)))
    torch.testing.assert_close(mixed.exp().sum(1), torch.ones(len(mixed)), rtol=1e-5, atol=1e-5)


@check
@given(problem=problems(), lam=st.sampled_from([0.0, 0.25, 1.0, 3.0]))
def test_discourage_takes_the_neighbours_away(problem: Problem, lam: float) -> None:
    neighbors, _ = both(problem)
    weights = discourage(problem.logits, neighbors, lam)
    assert not bool(torch.isnan(weights).any())
    for row in range(len(weights)):
        base = np.exp(definitions.log_softmax(numpy(problem.logits[row])))
        other = np.exp(problem.defined(0, row))
        expected = np.maximum((1 + lam) * base - lam * (other if other.any() else base), 0.0)
        np.testing.assert_allclose(numpy(weights[row].exp()), expected, rtol=1e-5, atol=2e-6 * (1 + lam))
        assert expected.sum() > 0.99


@pytest.mark.parametrize("lam", [0.0, 0.25, 1e3, 1e9])
def test_discouraging_without_neighbours_changes_nothing(lam: float) -> None:
    logits = 5 * torch.randn(2, 30, generator=torch.Generator().manual_seed(0))
    nobody = torch.full((2, 30), NOTHING)
    torch.testing.assert_close(discourage(logits, nobody, lam), logits.log_softmax(1), rtol=1e-5, atol=1e-5)


FUNCTIONS: dict[str, Function] = {
    "ensemble": lambda logits, toxic, nontoxic: ensemble(logits, toxic, nontoxic, 2.0, 0.9),
    "toxic": lambda logits, toxic, _: ensemble(logits, toxic, None, 2.0, 0.9),
    "nontoxic": lambda logits, _, nontoxic: ensemble(logits, None, nontoxic, 2.0, 0.9),
    "neither": lambda logits, _toxic, _nontoxic: ensemble(logits, None, None, 2.0, 0.9),
    "interpolate": lambda logits, neighbors, _: interpolate(logits, neighbors, 0.25),
    "discourage": lambda logits, neighbors, _: discourage(logits, neighbors, 0.25),
    "nucleus_mask": lambda logits, _toxic, _nontoxic: nucleus_mask(logits, 0.9).float(),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(problem=problems(), seed=definitions.SEEDS)
def test_rows_are_independent_and_arguments_unchanged(function: Function, problem: Problem, seed: int) -> None:
    arguments = (problem.logits, *both(problem))
    before = [argument.clone() for argument in arguments]
    whole = function(*arguments)
    for argument, kept in zip(arguments, before, strict=True):
        torch.testing.assert_close(argument, kept, rtol=0, atol=0)
    some = np.random.default_rng(seed).permutation(len(whole))[: max(1, len(whole) - 1)]
    torch.testing.assert_close(function(*(each[some] for each in arguments)), whole[some], rtol=1e-6, atol=1e-6)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(problem=problems(), seed=definitions.SEEDS)
def test_neighbours_of_other_rows_do_not_matter(problem: Problem, seed: int) -> None:
    distances, values = problem.distances[0], problem.values[0]
    kept = distances.clone(), values.clone()
    whole = knn_log_probs(distances, values, problem.vocabulary, problem.temperature)
    torch.testing.assert_close((distances, values), kept, rtol=0, atol=0)
    some = np.random.default_rng(seed).permutation(len(whole))[:1]
    alone = knn_log_probs(distances[some], values[some], problem.vocabulary, problem.temperature)
    torch.testing.assert_close(alone, whole[some], rtol=1e-6, atol=1e-6)


class TestFloor:
    """What stands for a token that no neighbour proposes."""

    def test_it_is_the_rows_own(self) -> None:
        side = torch.tensor([[-1.0, -2.0, NOTHING, NOTHING], [-1.0, -40.0, NOTHING, -0.5]])
        rows = ensemble(torch.zeros(2, 4), side, None, 1.0, 1.0)
        # log p_LM is the same for all tokens: what is left is the side with its sign turned.
        torch.testing.assert_close(rows[0], torch.tensor([1.0, 2.0, 2.0, 2.0]).log_softmax(0))
        torch.testing.assert_close(rows[1], torch.tensor([1.0, 40.0, 40.0, 0.5]).log_softmax(0))

    @pytest.mark.parametrize("hardly", [-50.0, -60.0, -10000.0, NOTHING])
    def test_what_is_hardly_retrieved_is_not(self, hardly: float) -> None:
        side = torch.tensor([[-0.1, -3.0, hardly]])
        steered = ensemble(torch.zeros(1, 3), None, side, 1.0, 1.0)
        torch.testing.assert_close(steered, torch.tensor([[-0.1, -3.0, -3.0]]).log_softmax(1))

    def test_just_above_it_is(self) -> None:
        side = torch.tensor([[-0.1, -49.9, NOTHING]])
        steered = ensemble(torch.zeros(1, 3), None, side, 1.0, 1.0)
        torch.testing.assert_close(steered, torch.tensor([[-0.1, -49.9, -49.9]]).log_softmax(1))

    def test_it_is_taken_over_the_whole_vocabulary(self) -> None:
        """Also where what is retrieved lies outside of the nucleus."""
        logits = torch.tensor([[5.0, 4.9, -20.0]])
        steered = ensemble(logits, torch.tensor([[-0.1, NOTHING, -7.0]]), None, 1.0, 0.9)
        expected = 2 * logits.log_softmax(1)[:, :2] - torch.tensor([[-0.1, -7.0]])
        torch.testing.assert_close(steered[:, :2], expected.log_softmax(1))
        assert float(steered[0, 2]) == NOTHING


class TestNothingFound:
    """A side that found nothing in a row says nothing there."""

    @pytest.mark.parametrize("side", [0, 1])
    @pytest.mark.parametrize("filter_p", [0.5, 1.0])
    def test_in_one_row(self, side: int, filter_p: float) -> None:
        generator = torch.Generator().manual_seed(1)
        logits = torch.randn(3, 12, generator=generator)
        sides = [torch.randn(3, 12, generator=generator).log_softmax(1) for _ in range(2)]
        other = 1 - side
        sides[side][1] = NOTHING
        steered = ensemble(logits, sides[0], sides[1], 1.5, filter_p)
        sign = 1.5 if other == 1 else -1.5
        alone = logits[1].log_softmax(0) + sign * sides[other][1]
        kept = nucleus_mask(logits, filter_p)[1]
        torch.testing.assert_close(steered[1], alone.masked_fill(~kept, NOTHING).log_softmax(0), rtol=1e-5, atol=1e-5)
        assert not bool(torch.isnan(steered).any())

    @pytest.mark.parametrize("method", [ensemble, interpolate, discourage])
    def test_anywhere(self, method: Callable[..., torch.Tensor]) -> None:
        logits = torch.randn(2, 9, generator=torch.Generator().manual_seed(2))
        nobody = torch.full((2, 9), NOTHING)
        result = ensemble(logits, nobody, nobody, 2.0, 1.0) if method is ensemble else method(logits, nobody, 0.5)
        torch.testing.assert_close(result, logits.log_softmax(1), rtol=1e-5, atol=1e-5)

    def test_no_columns_at_all(self) -> None:
        empty = knn_log_probs(torch.zeros(2, 0), torch.zeros(2, 0, dtype=torch.int64), 4, 10.0)
        torch.testing.assert_close(empty, torch.full((2, 4), NOTHING))

    def test_values_beside_missing_neighbours_are_not_looked_at(self) -> None:
        distances = torch.tensor([[1.0, math.inf], [math.inf, math.inf]])
        values = torch.tensor([[2, 10**6], [-1, -7]], dtype=torch.int32)
        log_probs = knn_log_probs(distances, values, 4, 10.0)
        torch.testing.assert_close(log_probs[0], torch.tensor([NOTHING, NOTHING, 0.0, NOTHING]))
        assert bool(torch.isneginf(log_probs[1]).all())


class TestEnds:
    """The ends of the ranges of arguments."""

    @pytest.mark.parametrize("alpha", [0.0, -3.0, 1e4, 1e30, 1e300])
    @pytest.mark.parametrize("which", SIDES)
    def test_any_strength(self, alpha: float, which: tuple[int | None, int | None]) -> None:
        generator = torch.Generator().manual_seed(3)
        logits = 3 * torch.randn(4, 40, generator=generator)
        sides = [torch.randn(4, 40, generator=generator).log_softmax(1) for _ in range(2)]
        toxic, nontoxic = (None if each is None else sides[each] for each in which)
        steered = ensemble(logits, toxic, nontoxic, alpha, 0.9)
        assert not bool(torch.isnan(steered).any())
        torch.testing.assert_close(steered.exp().sum(1), torch.ones(4))
        outside = ~nucleus_mask(logits, 0.9)
        assert bool(torch.isneginf(steered[outside]).all())

    def test_a_great_strength_leaves_what_the_sides_favour_most(self) -> None:
        steered = ensemble(torch.tensor([[3.0, 2.0, 1.0]]), None, torch.tensor([[-3.0, -0.2, -2.0]]), 1e30, 1.0)
        torch.testing.assert_close(steered.exp(), torch.tensor([[0.0, 1.0, 0.0]]))

    def test_strength_zero_is_the_nucleus_of_the_base(self) -> None:
        logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
        side = torch.tensor([[-9.0, -0.1, -4.0, -4.0]])
        expected = torch.tensor([[2.0, 1.0, NOTHING, NOTHING]]).log_softmax(1)
        torch.testing.assert_close(ensemble(logits, side, side, 0.0, 0.8), expected)

    def test_a_nucleus_of_one_token_is_certain(self) -> None:
        logits = torch.tensor([[9.0, 0.0, 1.0]])
        steered = ensemble(logits, torch.tensor([[-0.1, NOTHING, -3.0]]), None, 5.0, 0.5)
        torch.testing.assert_close(steered, torch.tensor([[0.0, NOTHING, NOTHING]]))

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_precision_is_computed_in_float32(self, dtype: torch.dtype) -> None:
        generator = torch.Generator().manual_seed(4)
        logits = (4 * torch.randn(3, 200, generator=generator)).to(dtype)
        side = torch.randn(3, 200, generator=generator).log_softmax(1)
        for function in FUNCTIONS.values():
            half, full = function(logits, side, side), function(logits.float(), side, side)
            assert half.dtype == torch.float32
            torch.testing.assert_close(half, full, rtol=0, atol=0)

    @pytest.mark.parametrize("temperature", [1e-6, 1e-38, 1e-300])
    def test_a_low_temperature_leaves_the_nearest(self, temperature: float) -> None:
        distances = torch.tensor([[3.0, 3.0, 9.0, math.inf], [1e6, math.inf, math.inf, math.inf]])
        values = torch.tensor([[1, 2, 0, 0], [2, 0, 0, 0]])
        found = knn_log_probs(distances, values, 3, temperature).exp()
        torch.testing.assert_close(found, torch.tensor([[0.0, 0.5, 0.5], [0.0, 0.0, 1.0]]))

    @pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
    def test_a_temperature_is_above_zero(self, temperature: float) -> None:
        with pytest.raises(UsageError, match="temperature"):
            knn_log_probs(torch.ones(1, 2), torch.zeros(1, 2, dtype=torch.int64), 3, temperature)

    @pytest.mark.parametrize("p", [0.0, -0.1, 1.1, math.nan])
    def test_a_share_is_above_zero_and_at_most_one(self, p: float) -> None:
        with pytest.raises(UsageError, match="must be above 0 and at most 1"):
            nucleus_mask(torch.zeros(1, 3), p)
        with pytest.raises(UsageError, match="must be above 0 and at most 1"):
            ensemble(torch.zeros(1, 3), None, None, 1.0, p)
