"""What every scorer must do. The tests of a scorer subclass ``ScorerContract`` and give it a scorer."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest

from goodctl.scoring.protocol import Failed, NotScored, Request, Scored, Scorer

TEXTS = ("You are a kind person.", "You are a stupid idiot.", "The tea is ready.", "What a nice day it is!", "Shut up.")
ODD_TEXTS = (
    "a",
    "\x00",
    "🤬🤬",
    "line\nline\r\n\ttab",
    "İ̇",
    "ｆｕｌｌ ｗｉｄｔｈ",
    "<b>&amp;</b>",
    "word " * 3000,
    "{}",
    "'\"\\",
)


class Source:
    """Requests one after another, with the count of those that were taken."""

    def __init__(self, requests: Iterable[Request]) -> None:
        self._requests = iter(requests)
        self.taken = 0
        self.given: list[Request] = []

    def __iter__(self) -> Iterator[Request]:
        return self

    def __next__(self) -> Request:
        request = next(self._requests)
        self.taken += 1
        self.given.append(request)
        return request


class ScorerContract:
    """Subclass it as ``TestNAME`` and override the fixture ``scorer``; the attributes say what is special.

    Attributes:
        language: One that is scored.
        foreign: One that is not scored, or None where all are.
        most_held: Requests that the scorer may have taken and not yet answered.
        tolerance: By how much two scores of one text may differ, as batches differ.
    """

    language: str | None = "en"
    foreign: str | None = None
    most_held = 1024
    tolerance = 1e-3

    @pytest.fixture
    def scorer(self) -> Iterator[Scorer]:
        raise NotImplementedError

    def endless(self) -> Iterator[Request]:
        for number in itertools.count():
            yield Request(f"{TEXTS[number % len(TEXTS)]} {number}", self.language)

    def test_each_request_has_one_outcome(self, scorer: Scorer) -> None:
        requests = [*itertools.islice(self.endless(), 60), *itertools.islice(self.endless(), 5)]  # five of them twice
        found = list(scorer.outcomes(iter(requests)))
        assert Counter(request for request, _ in found) == Counter(requests)
        wanted = set(scorer.attributes_for(self.language))
        assert wanted
        for _, outcome in found:
            assert isinstance(outcome, Scored)
            assert set(outcome.scores) == wanted
            assert all(0 <= value <= 1 for value in outcome.scores.values())

    def test_a_text_has_the_same_score_whoever_is_beside_it(self, scorer: Scorer) -> None:
        many = list(itertools.islice(self.endless(), 40))
        together = dict(scorer.outcomes(many))
        for request in many[:4]:
            ((_, alone),) = scorer.outcomes([request])
            beside = together[request]
            assert isinstance(alone, Scored)
            assert isinstance(beside, Scored)
            assert dict(alone.scores) == pytest.approx(dict(beside.scores), abs=self.tolerance)

    def test_no_requests_give_nothing(self, scorer: Scorer) -> None:
        assert list(scorer.outcomes([])) == []

    def test_odd_texts_have_outcomes(self, scorer: Scorer) -> None:
        requests = [Request(text, self.language) for text in ODD_TEXTS]
        found = list(scorer.outcomes(requests))
        assert Counter(request for request, _ in found) == Counter(requests)
        assert not [outcome for _, outcome in found if isinstance(outcome, Failed)]

    def test_an_empty_text_is_not_scored(self, scorer: Scorer) -> None:
        blank = ("", " \n\u3000")
        found = dict(scorer.outcomes([Request(text, self.language) for text in (*blank, TEXTS[0])]))
        for text in blank:
            empty = found[Request(text, self.language)]
            assert isinstance(empty, NotScored)
            assert empty.reason == "empty"
            assert empty.message
        assert isinstance(found[Request(TEXTS[0], self.language)], Scored)

    def test_an_unknown_language_is_scored_or_said_to_be_none_of_its_own(self, scorer: Scorer) -> None:
        self._check_language(scorer, None)

    def test_a_foreign_language_is_not_scored(self, scorer: Scorer) -> None:
        if self.foreign is None:
            assert scorer.attributes_for("tlh")
            return
        assert scorer.attributes_for(self.foreign) == ()
        self._check_language(scorer, self.foreign)

    def _check_language(self, scorer: Scorer, language: str | None) -> None:
        request = Request(TEXTS[0], language)
        ((answered, outcome),) = scorer.outcomes([request])
        assert answered == request
        if scorer.attributes_for(language):
            assert isinstance(outcome, Scored)
            assert set(outcome.scores) == set(scorer.attributes_for(language))
        else:
            assert isinstance(outcome, NotScored)
            assert outcome.reason == "language"
            assert outcome.message

    def test_requests_are_taken_as_they_are_needed(self, scorer: Scorer) -> None:
        source = Source(self.endless())
        outcomes = scorer.outcomes(source)
        for answered in range(1, 2 * self.most_held + 2):
            next(outcomes)
            assert source.taken - answered <= self.most_held
        outcomes.close()  # type: ignore[attr-defined]  # iterators of scorers are generators

    def test_closing_early_ends_it_and_the_scorer_goes_on(self, scorer: Scorer) -> None:
        source = Source(self.endless())
        outcomes = scorer.outcomes(source)
        first, _ = next(outcomes)
        assert first in source.given
        outcomes.close()  # type: ignore[attr-defined]
        taken = source.taken
        assert next(outcomes, None) is None
        assert len(list(scorer.outcomes([Request(TEXTS[0], self.language)]))) == 1
        assert source.taken == taken

    def test_an_error_of_the_source_comes_through(self, scorer: Scorer) -> None:
        class Broken(Exception):
            pass

        def breaking() -> Iterator[Request]:
            yield from itertools.islice(self.endless(), 3)
            raise Broken

        with pytest.raises(Broken):
            list(scorer.outcomes(breaking()))
        assert len(list(scorer.outcomes([Request(TEXTS[0], self.language)]))) == 1

    def test_the_identity_is_json_and_stays(self, scorer: Scorer) -> None:
        before = scorer.identity
        list(scorer.outcomes([Request(TEXTS[0], self.language)]))
        assert scorer.identity == before
        assert before.scorer
        assert before.version
        assert json.loads(json.dumps(before.to_dict())) == before.to_dict()

    def test_closing_twice_does_no_harm(self, scorer: Scorer) -> None:
        list(scorer.outcomes([Request(TEXTS[0], self.language)]))
        scorer.close()
        scorer.close()
