"""The scorer that other tests rely on keeps the contract, and the contract finds what breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import pytest

from goodctl.scoring.protocol import Outcome, Request, Scored, Scorer
from tests.fakes.scorers import FakeScorer
from tests.scoring.contract import ScorerContract


class TestFakeScorer(ScorerContract):
    foreign = "de"
    most_held = 4

    @pytest.fixture
    def scorer(self) -> Iterator[Scorer]:
        yield FakeScorer(languages=["en"])


class _Greedy(FakeScorer):
    def outcomes(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Outcome]]:
        yield from super().outcomes(list(islice(requests, 100)))


class _Forgetful(FakeScorer):
    def outcomes(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Outcome]]:
        yield from islice(super().outcomes(requests), 1, None)


class _Eager(FakeScorer):
    def _outcome(self, request: Request) -> Outcome:
        return Scored({"toxicity": 0.5})


CHECKS: list[tuple[type[FakeScorer], Callable[[ScorerContract, Scorer], None]]] = [
    (_Greedy, TestFakeScorer.test_requests_are_taken_as_they_are_needed),
    (_Forgetful, TestFakeScorer.test_each_request_has_one_outcome),
    (_Eager, TestFakeScorer.test_an_empty_text_is_not_scored),
    (_Eager, TestFakeScorer.test_a_foreign_language_is_not_scored),
]


@pytest.mark.parametrize(("broken", "check"), CHECKS, ids=lambda each: each.__name__)
def test_the_contract_finds_what_breaks_it(
    broken: type[FakeScorer], check: Callable[[ScorerContract, Scorer], None]
) -> None:
    with pytest.raises((AssertionError, StopIteration)):
        check(TestFakeScorer(), broken(languages=["en"]))
