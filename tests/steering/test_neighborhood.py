"""The neighbours' distribution at a few tokens, against the one over the whole vocabulary."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from goodctl.errors import UsageError
from goodctl.steering import neighborhood as module
from goodctl.steering.logits import floored, knn_log_probs
from goodctl.steering.neighborhood import Neighborhood
from tests.steering.definitions import SEEDS, Problem, problems


def some_tokens(problem: Problem, count: int, seed: int) -> torch.Tensor:
    """(B, N) ids, in any order and some of them twice."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, problem.vocabulary, (len(problem.logits), count), generator=generator)


def whole(problem: Problem, side: int) -> torch.Tensor:
    return floored(
        knn_log_probs(problem.distances[side], problem.values[side], problem.vocabulary, problem.temperature)
    )


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    problem=problems(),
    count=st.integers(1, 30),
    seed=SEEDS,
    block=st.sampled_from([1, 1000, 2**23]),
)
def test_equals_the_whole_vocabulary(problem: Problem, count: int, seed: int, block: int) -> None:
    tokens = some_tokens(problem, count, seed % 2**31)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_BYTES", block)
        neighborhood = Neighborhood(problem.vocabulary)
        for side in (0, 1, 0):  # one buffer for all of them
            found = neighborhood.log_probs(
                problem.distances[side], problem.values[side].int(), problem.temperature, tokens
            )
            expected = whole(problem, side).gather(1, tokens)
            assert found.dtype == torch.float32
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def calls() -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Distances, values and tokens of searches of different sizes."""
    generator = torch.Generator().manual_seed(0)
    return [
        (
            100 * torch.rand(batch, k, generator=generator),
            torch.randint(0, 50, (batch, k), generator=generator),
            torch.randint(0, 50, (batch, 9), generator=generator),
        )
        for batch, k in ((3, 20), (1, 4), (6, 1), (2, 0), (5, 60), (0, 7), (3, 20))
    ]


def test_nothing_is_left_for_the_next_call() -> None:
    used = Neighborhood(50)
    for distances, values, tokens in calls():
        found = used.log_probs(distances, values, 30.0, tokens)
        alone = Neighborhood(50).log_probs(distances, values, 30.0, tokens)
        torch.testing.assert_close(found, alone, rtol=0, atol=0)


def test_a_call_that_fails_leaves_nothing_either() -> None:
    used = Neighborhood(50)
    distances, values, tokens = calls()[0]
    used.log_probs(distances, values, 30.0, tokens)
    with pytest.raises((RuntimeError, IndexError)):
        used.log_probs(distances, values, 30.0, tokens + 50)
    expected = Neighborhood(50).log_probs(distances, values.flip(0), 30.0, tokens)
    torch.testing.assert_close(used.log_probs(distances, values.flip(0), 30.0, tokens), expected, rtol=0, atol=0)


def test_in_and_outside_of_inference_mode() -> None:
    used = Neighborhood(50)
    for inference, (distances, values, tokens) in zip([True, False, True, True, False], calls(), strict=False):
        with torch.inference_mode(inference):
            found = used.log_probs(distances, values, 30.0, tokens)
        alone = Neighborhood(50).log_probs(distances, values, 30.0, tokens)
        torch.testing.assert_close(found.clone(), alone, rtol=0, atol=0)


def test_rows_do_not_depend_on_each_other() -> None:
    distances, values, tokens = calls()[4]
    together = Neighborhood(50).log_probs(distances, values, 30.0, tokens)
    for row in range(len(together)):
        one = slice(row, row + 1)
        alone = Neighborhood(50).log_probs(distances[one], values[one], 30.0, tokens[one])
        torch.testing.assert_close(alone, together[one], rtol=0, atol=0)


def test_missing_neighbours_have_no_weight() -> None:
    distances = torch.tensor([[1.0, 2.0, math.inf], [math.inf, math.inf, math.inf]])
    values = torch.tensor([[4, 5, 10**6], [-1, -1, -1]], dtype=torch.int32)
    found = Neighborhood(9).log_probs(distances, values, 1.0, torch.tensor([[4, 5, 0], [0, 4, 8]]))
    fewer = Neighborhood(9).log_probs(distances[:1, :2], values[:1, :2], 1.0, torch.tensor([[4, 5, 0]]))
    torch.testing.assert_close(found[:1], fewer)
    torch.testing.assert_close(found[1], torch.zeros(3))


def test_a_temperature_is_above_zero() -> None:
    with pytest.raises(UsageError, match="temperature"):
        Neighborhood(9).log_probs(torch.ones(1, 2), torch.zeros(1, 2), 0.0, torch.zeros(1, 1, dtype=torch.int64))
