"""Each method, in both of its forms, against the pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from goodctl.errors import UsageError
from goodctl.steering.logits import discourage, ensemble, interpolate, knn_log_probs, nucleus_mask
from goodctl.steering.methods import Base, DExperts, Ensemble, Inputs, KnnLm, Method, Steered
from goodctl.steering.search import Side
from tests.steering.definitions import Problem, problems
from tests.steering.searching import Scripted, numbered

NAMES = ("toxic", "nontoxic")
SIDES = [(True, True), (True, False), (False, True)]
TOP_PS = [0.2, 0.9, 1.0]

check = settings(max_examples=120, deadline=None, derandomize=True, database=None)


def searchers(problem: Problem) -> list[Scripted]:
    return [Scripted(*found) for found in zip(problem.distances, problem.values, strict=True)]


def ensemble_of(
    problem: Problem,
    asked: Sequence[Scripted],
    alpha: float = 1.0,
    filter_p: float = 0.9,
    present: Sequence[bool] = (True, True),
) -> Ensemble:
    toxic, nontoxic = (
        Side(name, searcher, 7, problem.temperature) if there else None
        for name, searcher, there in zip(NAMES, asked, present, strict=True)
    )
    return Ensemble(toxic, nontoxic, alpha, filter_p)


def knn(problem: Problem, side: int) -> torch.Tensor:
    return knn_log_probs(problem.distances[side], problem.values[side], problem.vocabulary, problem.temperature)


def inputs(problem: Problem, companions: tuple[torch.Tensor, ...] = ()) -> Inputs:
    return Inputs(problem.logits, numbered(len(problem.logits)), companions)


def spread(steered: Steered, values: torch.Tensor, vocabulary: int) -> torch.Tensor:
    """What belongs to a few tokens as a tensor over the vocabulary, 0 for the others; columns of no weight add none."""
    return torch.zeros(len(values), vocabulary, dtype=torch.float64).scatter_add(1, steered.tokens, values.double())


def assert_steers(method: Method, given_: Inputs, expected: torch.Tensor, top_p: float) -> None:
    """Both forms give the expected log weights, and what is sampled is their nucleus."""
    whole = method.whole(given_)
    assert (whole.shape, whole.dtype) == (expected.shape, torch.float32)
    torch.testing.assert_close(whole, expected, rtol=1e-5, atol=1e-5)
    steered = method.steer(given_, top_p)
    vocabulary = expected.shape[1]
    probabilities = expected.double().softmax(1)
    weights = spread(steered, steered.weights, vocabulary)
    sampled = weights > 0
    # What is left out is less probable than what is in, and what is in was needed.
    assert bool((torch.where(sampled, probabilities, 0).sum(1) >= min(top_p, 1) - 1e-5).all())
    least = torch.where(sampled, probabilities, 1).amin(1)
    assert bool((torch.where(sampled, 0, probabilities).amax(1) <= least + 1e-6).all())
    assert bool((torch.where(sampled, probabilities, 0).sum(1) - least < top_p + 1e-5).all())
    shares = weights / weights.sum(1, keepdim=True)
    wanted = torch.where(sampled, probabilities, 0)
    torch.testing.assert_close(shares, wanted / wanted.sum(1, keepdim=True), rtol=1e-4, atol=1e-5)
    # The log probabilities are those of the distribution before it is cut.
    stated = spread(steered, steered.log_probs.exp(), vocabulary)
    kept = stated > 0
    torch.testing.assert_close(stated[kept], probabilities[kept], rtol=1e-4, atol=1e-5)


@check
@given(
    problem=problems(),
    present=st.sampled_from(SIDES),
    alpha=st.sampled_from([0.0, 0.5, 2.0, -1.0]),
    filter_p=st.sampled_from([0.3, 0.9, 1.0]),
    top_p=st.sampled_from(TOP_PS),
)
def test_ensemble(problem: Problem, present: tuple[bool, bool], alpha: float, filter_p: float, top_p: float) -> None:
    found = [knn(problem, side) if there else None for side, there in enumerate(present)]
    expected = ensemble(problem.logits, found[0], found[1], alpha, filter_p)
    assert_steers(ensemble_of(problem, searchers(problem), alpha, filter_p, present), inputs(problem), expected, top_p)


@check
@given(problem=problems(), away=st.booleans(), lam=st.sampled_from([0.0, 0.25, 1.0]), top_p=st.sampled_from(TOP_PS))
def test_knn_lm(problem: Problem, away: bool, lam: float, top_p: float) -> None:
    (searcher, _) = searchers(problem)
    method = KnnLm(Side("store", searcher, 7, problem.temperature), lam, away=away)
    expected = (discourage if away else interpolate)(problem.logits, knn(problem, 0), lam)
    assert_steers(method, inputs(problem), expected, top_p)
    assert searcher.asked == [list(range(len(problem.logits)))] * 2


@check
@given(
    problem=problems(),
    present=st.sampled_from(SIDES),
    alpha=st.sampled_from([0.0, 2.0, -1.0]),
    filter_p=st.sampled_from([0.3, 0.9, 1.0]),
    top_p=st.sampled_from(TOP_PS),
    seed=st.integers(0, 1000),
)
def test_dexperts(
    problem: Problem, present: tuple[bool, bool], alpha: float, filter_p: float, top_p: float, seed: int
) -> None:
    """softmax(z + alpha (z_expert - z_antiexpert)) over the nucleus of z; z itself in place of a missing model."""
    generator = torch.Generator().manual_seed(seed)
    names = [name for name, there in zip(("expert", "antiexpert"), present, strict=True) if there]
    companions = tuple(3 * torch.randn(problem.logits.shape, generator=generator) for _ in names)
    z = problem.logits.float()
    at = dict(zip(names, companions, strict=True))
    outside = ~nucleus_mask(problem.logits, filter_p)
    known = z.masked_fill(outside, 0.0)
    combined = known + alpha * (at.get("expert", known) - at.get("antiexpert", known))
    expected = combined.masked_fill(outside, -math.inf).log_softmax(1)
    assert_steers(DExperts(names, alpha, filter_p), inputs(problem, companions), expected, top_p)


@check
@given(problem=problems(), top_p=st.sampled_from(TOP_PS))
def test_base(problem: Problem, top_p: float) -> None:
    assert_steers(Base(), Inputs(problem.logits), problem.logits.float().log_softmax(1), top_p)


def one_choice() -> Problem:
    """Of five rows three leave a choice."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 20, generator=generator)
    logits[[1, 4], [3, 8]] = 50.0
    found = [100 * torch.rand(5, 6, generator=generator) for _ in range(2)]
    values = [torch.randint(0, 20, (5, 6), generator=generator) for _ in range(2)]
    return Problem(logits, found, values, 20.0)


class TestSearching:
    """Stores are asked where the answer can matter, and nowhere else."""

    def test_not_where_the_nucleus_is_one_token(self) -> None:
        problem = one_choice()
        asked = searchers(problem)
        method = ensemble_of(problem, asked, 1.0, 0.9)
        steered = method.steer(inputs(problem), 0.9)
        assert [searcher.asked for searcher in asked] == [[[0, 2, 3]]] * 2
        assert steered.searched is not None
        assert steered.searched.tolist() == [True, False, True, True, False]
        assert {name: len(found.distances) for name, found in steered.found.items()} == {"toxic": 3, "nontoxic": 3}
        for row, token in ((1, 3), (4, 8)):
            assert int(steered.tokens[row, 0]) == token
            assert steered.log_probs[row].exp().tolist() == [1.0] + [0.0] * (steered.tokens.shape[1] - 1)
        method.whole(inputs(problem))
        assert [searcher.asked for searcher in asked] == [[[0, 2, 3]] * 2] * 2

    def test_not_where_no_row_leaves_a_choice(self) -> None:
        problem = one_choice()
        asked = searchers(problem)
        method = ensemble_of(problem, asked, 1.0, 1e-6)
        steered = method.steer(inputs(problem), 0.9)
        assert [searcher.asked for searcher in asked] == [[], []]
        assert steered.tokens[:, 0].tolist() == problem.logits.argmax(1).tolist()
        assert (steered.found, steered.searched is not None and steered.searched.any()) == ({}, False)

    def test_not_without_strength(self) -> None:
        problem = one_choice()
        asked = searchers(problem)
        steered = ensemble_of(problem, asked, 0.0, 0.9).steer(inputs(problem), 0.9)
        assert [searcher.asked for searcher in asked] == [[], []]
        assert steered.searched is not None
        assert not steered.searched.any()

    def test_a_side_is_asked_for_its_own_k(self) -> None:
        seen: list[int] = []

        class Counting(Scripted):
            def search(self, queries, k):  # type: ignore[no-untyped-def]
                seen.append(k)
                return super().search(queries, k)

        problem = one_choice()
        toxic, nontoxic = (Counting(*found) for found in zip(problem.distances, problem.values, strict=True))
        Ensemble(Side("toxic", toxic, 3, 20.0), Side("nontoxic", nontoxic, 5, 20.0), 1.0, 0.9).whole(inputs(problem))
        assert seen == [3, 5]


def test_nothing_of_an_earlier_call_is_left() -> None:
    """Not even where the vocabulary changes in between, and changes back."""
    small = one_choice()
    logits = torch.randn(5, 700, generator=torch.Generator().manual_seed(1))
    large = Problem(logits, small.distances, small.values, small.temperature)
    method = ensemble_of(small, searchers(small), 1.0, 0.9)
    for problem in (small, large, small):
        fresh = ensemble_of(problem, searchers(problem), 1.0, 0.9)
        torch.testing.assert_close(method.whole(inputs(problem)), fresh.whole(inputs(problem)), rtol=0, atol=0)


def test_queries_of_any_dtype() -> None:
    problem = one_choice()
    method = ensemble_of(problem, searchers(problem), 1.0, 0.9)
    half = Inputs(problem.logits, numbered(5).bfloat16())
    torch.testing.assert_close(method.whole(half), method.whole(inputs(problem)), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("alpha", "filter_p", "name"),
    [(math.nan, 0.9, "alpha"), (math.inf, 0.9, "alpha"), (1.0, 0.0, "filter-p"), (1.0, 1.5, "filter-p")],
)
def test_settings_that_make_no_sense(alpha: float, filter_p: float, name: str) -> None:
    problem = one_choice()
    with pytest.raises(UsageError, match=f"--{name}"):
        ensemble_of(problem, searchers(problem), alpha, filter_p)
    with pytest.raises(UsageError, match=f"--{name}"):
        DExperts(("expert",), alpha, filter_p)


def test_an_ensemble_needs_a_side() -> None:
    with pytest.raises(UsageError, match="No datastore"):
        Ensemble(None, None, 1.0, 0.9)


@pytest.mark.parametrize(
    ("lam", "away"), [(-0.1, False), (1.1, False), (-0.1, True), (math.inf, True), (math.nan, True)]
)
def test_shares_that_make_no_sense(lam: float, away: bool) -> None:
    with pytest.raises(UsageError, match="--lam"):
        KnnLm(Side("store", searchers(one_choice())[0], 7, 20.0), lam, away=away)


@pytest.mark.parametrize("sides", [("expert",), ("antiexpert",), ("expert", "antiexpert")])
@pytest.mark.parametrize("alpha", [0.0, 1.0, 1e30])
def test_tokens_that_an_expert_rules_out_leave_numbers(sides: tuple[str, ...], alpha: float) -> None:
    base = torch.tensor([[2.0, 1.0, 0.5, -1.0]])
    companion = torch.tensor([[-math.inf, 1.0, 0.0, -math.inf]])
    steered = DExperts(sides, alpha, 1.0).steer(Inputs(base, None, (companion,) * len(sides)), 1.0)
    assert torch.isfinite(steered.weights).all()
    assert float(steered.weights.sum()) > 0
    if alpha == 0.0:
        order = steered.tokens[0].argsort()
        torch.testing.assert_close(steered.log_probs[0][order], base[0].log_softmax(-1))
    elif sides == ("expert",):
        assert int(steered.tokens[0][steered.weights[0].argmax()]) == 1
