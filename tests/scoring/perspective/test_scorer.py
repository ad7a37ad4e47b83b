"""What the scorer sends, what it leaves out, and what it tells."""

from __future__ import annotations

import datetime
import gc
import itertools
import json
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from goodctl.errors import UsageError
from goodctl.scoring.perspective import PerspectiveScorer, Surroundings
from goodctl.scoring.protocol import NotScored, Request, Scored, ScorerOptions
from goodctl.scoring.registry import open_scorer
from tests.fakes import perspective_protocol as protocol
from tests.scoring.perspective.asked import KEY, URL, Answering, analyzed, texts


def test_what_is_sent() -> None:
    answering = Answering(attributes=("toxicity", "flirtation"))
    assert answering.outcome("Good day", "en-GB") == Scored(
        {"toxicity": protocol.score("Good day"), "flirtation": protocol.score("Good day", "FLIRTATION")}
    )
    (request,) = answering.requests
    assert (request.method, str(request.url)) == ("POST", f"{URL}/v1alpha1/comments:analyze")
    assert request.headers["X-Goog-Api-Key"] == KEY
    assert json.loads(request.content) == {
        "comment": {"text": "Good day"},
        "requestedAttributes": {"TOXICITY": {}, "FLIRTATION": {}},
        "languages": ["en"],
        "doNotStore": True,
        "spanAnnotations": False,
    }


def test_attributes_that_a_language_lacks_are_left_out() -> None:
    answering = Answering(attributes=("toxicity", "flirtation"))
    assert answering.scorer.attributes_for("es") == ("toxicity",)
    assert answering.scorer.attributes_for(None) == ("toxicity", "flirtation")
    outcome = answering.outcome("Buenos días", "es")
    assert isinstance(outcome, Scored)
    assert set(outcome.scores) == {"toxicity"}


def test_a_found_language_may_lack_attributes() -> None:
    outcome = Answering(attributes=("toxicity", "flirtation")).outcome("déjà vu", None)
    assert isinstance(outcome, Scored)
    assert set(outcome.scores) == {"toxicity"}


@pytest.mark.parametrize(
    ("text", "language", "attributes", "reason"),
    [
        ("", "en", ("toxicity",), "empty"),
        (" \n\t\N{NO-BREAK SPACE}", "en", ("toxicity",), "empty"),
        ("Merhaba", "tr", ("toxicity",), "language"),
        ("Hola", "es", ("flirtation",), "language"),
    ],
)
def test_what_is_not_asked(text: str, language: str, attributes: tuple[str, ...], reason: str) -> None:
    answering = Answering(attributes=attributes)
    outcome = answering.outcome(text, language)
    assert isinstance(outcome, NotScored)
    assert outcome.reason == reason
    assert not answering.requests


def test_an_unknown_language_has_no_attributes() -> None:
    assert Answering().scorer.attributes_for("tr") == ()


def test_raw_answers() -> None:
    outcome = Answering(raw=True).outcome()
    assert isinstance(outcome, Scored)
    assert outcome.raw is not None
    assert outcome.raw["detectedLanguages"] == ["en"]


def test_long_texts_are_cut_and_that_is_said() -> None:
    answering = Answering()
    before = answering.scorer.warnings
    assert isinstance(answering.outcome("日" * 10_000), Scored)
    sent = json.loads(answering.requests[0].content)["comment"]["text"]
    assert len(sent.encode()) == 20_478
    assert set(answering.scorer.warnings) - set(before) == {
        "A text is longer than 20,480 bytes: only the beginning was scored."
    }


@pytest.mark.parametrize("rate", [0.5, 1, 10, 50])
def test_the_rate_holds_for_all_requests(rate: float) -> None:
    answering = Answering(rate=rate)
    answering.outcomes(texts(30))
    turns, second = max(1, int(rate)), max(1.0, 1 / rate)
    moments = answering.moments
    assert all(later - earlier > second for earlier, later in zip(moments, moments[turns:], strict=False))
    assert len(moments) - 1 > 0.97 * rate * (moments[-1] - moments[0])


def test_requests_are_taken_as_they_are_needed() -> None:
    answering, taken = Answering(rate=1), 0

    def endless() -> Iterator[Request]:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield Request(f"text {number}", "en")

    outcomes = answering.scorer.outcomes(endless())
    for answered in range(1, 30):
        next(outcomes)
        assert taken - answered <= 8
    outcomes.close()  # type: ignore[attr-defined]
    answering.scorer.close()


def test_closing_ends_what_is_under_way(caplog: pytest.LogCaptureFixture) -> None:
    entered, ended = threading.Event(), threading.Event()

    async def hanging(request: httpx.Request) -> httpx.Response:
        if b"text 0" in request.content:
            return analyzed(request)
        entered.set()
        try:
            while True:
                await answering.clock.sleep(1)
        finally:
            ended.set()

    answering = Answering(hanging)
    before = {each.name for each in threading.enumerate()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outcomes = answering.scorer.outcomes(texts(5))
        request, outcome = next(outcomes)
        assert request.text == "text 0"
        assert isinstance(outcome, Scored)
        assert entered.wait(10)
        outcomes.close()  # type: ignore[attr-defined]
        assert ended.is_set()
        answering.scorer.close()
        answering.scorer.close()
        gc.collect()
    assert not caplog.records
    assert {each.name for each in threading.enumerate()} - before == set()


def test_it_can_be_used_again_after_closing() -> None:
    answering = Answering()
    assert isinstance(answering.outcome("one"), Scored)
    assert isinstance(answering.outcome("two"), Scored)


def test_two_rounds_at_once_share_the_pace() -> None:
    answering = Answering(rate=5)
    one, other = answering.scorer.outcomes(texts(12)), answering.scorer.outcomes(texts(12))
    found = [each for pair in zip(one, other, strict=True) for each in pair]
    answering.scorer.close()
    assert len(found) == 24
    assert all(later - earlier > 1 for earlier, later in zip(answering.moments, answering.moments[5:], strict=False))


def test_the_identity() -> None:
    assert Answering().scorer.identity.to_dict() == {
        "scorer": "perspective",
        "version": "v1alpha1",
        "details": {"service": URL, "most_bytes": 20_480},
    }


def at(date: str) -> Surroundings:
    moment = datetime.datetime.fromisoformat(f"{date}T12:00:00+00:00").timestamp()
    return Surroundings(wall=lambda: moment)


def test_the_end_of_service_is_said() -> None:
    (before,) = PerspectiveScorer(ScorerOptions(), KEY, at("2026-12-31")).warnings
    (after,) = PerspectiveScorer(ScorerOptions(), KEY, at("2027-01-01")).warnings
    assert "will no longer be in service after 2026" in before
    assert "is no longer in service after 2026" in after
    assert "hf:MODEL" in before
    assert "hf:MODEL" in after


def test_another_service_does_not_end() -> None:
    assert Answering().scorer.warnings == ()


def test_other_warnings() -> None:
    options = ScorerOptions(base_url="http://example.org", rate=2.5)
    unencrypted, rounded = PerspectiveScorer(options, KEY).warnings
    assert "unencrypted" in unencrypted
    assert "2 whole queries" in rounded
    assert len(PerspectiveScorer(options, None).warnings) == 1, "there is no key to be read"


@pytest.mark.parametrize("key", [None, "", "  "])
def test_google_wants_a_key(key: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        PerspectiveScorer(ScorerOptions(), key)
    assert "export PERSPECTIVE_API_KEY=KEY" in str(caught.value.hint)
    assert PerspectiveScorer(ScorerOptions(base_url=URL), key).warnings == ()


def test_without_a_key_none_is_sent() -> None:
    answering = Answering(key=None)
    assert isinstance(answering.outcome(), Scored)
    assert "X-Goog-Api-Key" not in answering.requests[0].headers


def test_the_registry_opens_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERSPECTIVE_API_KEY", raising=False)
    with pytest.raises(UsageError, match="wants a key"):
        open_scorer("perspective", ScorerOptions())
    monkeypatch.setenv("PERSPECTIVE_API_KEY", f" {KEY}\n")
    scorer = open_scorer("perspective", ScorerOptions(attributes=("INSULT", "insult")))
    assert scorer.attributes_for("en") == ("insult",)
    scorer.close()


@pytest.mark.parametrize("options", [{"attributes": ("toxcity",)}, {"rate": 0}, {"base_url": "nowhere"}])
def test_wrong_options_are_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Answering(**options)
