"""Requests that fail are sent again, for as long as that makes sense."""

from __future__ import annotations

import email.utils
import itertools
import json
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from goodctl.errors import ServiceError, UsageError
from goodctl.scoring.perspective.rounds import PATIENCE_S
from goodctl.scoring.protocol import Failed, NotScored, Outcome, Request, Scored
from tests.fakes import perspective_protocol as protocol
from tests.scoring.perspective.asked import Answering, InTurn, analyzed, refused, texts

BROKEN = [
    refused(protocol.BROKEN),
    httpx.Response(503),
    refused(protocol.RATE_LIMITED),
    httpx.ReadTimeout("slow"),
    httpx.ConnectTimeout("slow"),
    httpx.ReadError("gone"),
    httpx.RemoteProtocolError("Server disconnected without sending a response."),
    httpx.ConnectError("refused"),
]


@pytest.mark.parametrize("fault", BROKEN, ids=lambda fault: getattr(fault, "status_code", type(fault).__name__))
def test_a_fault_that_passes_leaves_a_score(fault: httpx.Response | Exception) -> None:
    answering = Answering(InTurn(fault, fault))
    assert answering.outcome("x") == Scored({"toxicity": protocol.score("x")})
    assert len(answering.requests) == 3


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (refused(protocol.BROKEN), "server"),
        (refused(protocol.RATE_LIMITED), "rate_limited"),
        (httpx.ReadTimeout("slow"), "timeout"),
        (httpx.RemoteProtocolError("gone"), "connection"),
    ],
)
def test_tries_come_to_an_end(fault: httpx.Response | Exception, reason: str) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if b"bad" not in request.content:
            return analyzed(request)
        return InTurn(fault)(request)

    answering = Answering(handler, rate=5)
    # The others come first, so that the service is known to be there.
    found = answering.outcomes([*texts(10), Request("bad", "en")])
    bad = found.pop("bad")
    assert isinstance(bad, Failed)
    assert bad.reason == reason
    assert all(isinstance(outcome, Scored) for outcome in found.values())
    assert sum(b"bad" in request.content for request in answering.requests) == 8


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_obeyed(as_date: bool) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if len(answering.requests) > 1:
            return analyzed(request)
        date = email.utils.formatdate(answering.clock.wall() + 40, usegmt=True)
        return refused(protocol.RATE_LIMITED, **{"Retry-After": date if as_date else "40"})

    answering = Answering(handler)
    assert isinstance(answering.outcome(), Scored)
    first, second = answering.moments
    assert 39 <= second - first <= 41


def test_waits_grow() -> None:
    answering = Answering(InTurn(*[httpx.Response(500)] * 7))
    assert isinstance(answering.outcome(), Scored)
    waits = [later - earlier for earlier, later in zip(answering.moments, answering.moments[1:], strict=False)]
    assert len(waits) == 7
    assert all(wait <= 0.5 * 2**number + 0.1 for number, wait in enumerate(waits))
    assert max(waits) > 2, "the last ones are long"


def test_a_long_pause_is_left_to_the_user() -> None:
    with pytest.raises(ServiceError, match="120 minutes"):
        Answering(InTurn(refused(protocol.RATE_LIMITED, **{"Retry-After": "7200"}))).outcome()


def test_refusals_slow_all_requests_down() -> None:
    answering = Answering(InTurn(*[refused(protocol.RATE_LIMITED, **{"Retry-After": "30"})] * 3), rate=10)
    found = answering.outcomes(texts(30))
    assert all(isinstance(outcome, Scored) for outcome in found.values())
    gaps = [later - earlier for earlier, later in zip(answering.moments, answering.moments[1:], strict=False)]
    assert max(gaps) > 25, "three refusals without an answer hold everything"
    assert len(answering.requests) == 33


@pytest.mark.parametrize("error", [httpx.ConnectError("[Errno 111] Connection refused"), httpx.ConnectTimeout("")])
def test_a_host_that_is_not_there_is_an_error_and_no_failure_of_each_text(error: Exception) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise error

    answering = Answering(handler, rate=10)
    with pytest.raises(ServiceError, match="cannot be reached") as caught:
        answering.outcomes(texts(1000))
    assert "127.0.0.1:1" in caught.value.message
    assert len(answering.requests) < 1000


def test_a_service_that_goes_down_ends_it() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return analyzed(request) if len(answering.requests) <= 20 else httpx.Response(503)

    answering = Answering(handler, rate=5)
    found = []
    with pytest.raises(ServiceError, match="10 texts in a row"):
        for _, outcome in answering.scorer.outcomes(texts(5000)):
            found.append(outcome)
    answering.scorer.close()
    assert sum(isinstance(outcome, Scored) for outcome in found) == 20, "what was scored before is there"
    assert sum(isinstance(outcome, Failed) for outcome in found) == 9


@pytest.mark.parametrize("answer", [protocol.BAD_KEY, protocol.DISABLED])
def test_a_key_that_is_not_accepted_ends_it_at_once(answer: tuple[int, dict[str, object]]) -> None:
    answering = Answering(lambda request: refused(answer), rate=10)
    with pytest.raises(UsageError, match="does not accept the key"):
        answering.outcomes(texts(1000))
    assert len(answering.requests) <= 40, "no more than were held"


WRONG = refused(protocol.refused("INVALID_REQUEST", "Something is wrong."))


def odd(request: httpx.Request) -> bool:
    return "odd" in json.loads(request.content)["comment"]["text"]


@pytest.mark.parametrize("place", [0, 4, 29])
@pytest.mark.parametrize("rate", [1, 100])
def test_an_odd_text_is_rejected_alone(place: int, rate: int) -> None:
    answering = Answering(lambda request: WRONG if odd(request) else analyzed(request), rate=rate)
    asked = texts(30)
    asked[place] = Request("odd", "en")
    found = answering.outcomes(asked)
    rejected = found.pop("odd")
    assert isinstance(rejected, NotScored)
    assert (rejected.reason, "Something is wrong" in rejected.message) == ("rejected", True)
    assert len(found) == 29
    assert all(isinstance(outcome, Scored) for outcome in found.values())


def test_many_odd_texts_are_rejected_once_one_was_scored() -> None:
    answering = Answering(lambda request: WRONG if odd(request) else analyzed(request), rate=1)
    odd_ones = [Request(f"odd {number}", "en") for number in range(15)]
    found = answering.outcomes([*odd_ones[:9], *texts(1), *odd_ones[9:]])
    assert sum(isinstance(outcome, NotScored) for outcome in found.values()) == 15


@pytest.mark.parametrize("count", [1, 9])
def test_a_few_wrong_requests_alone_are_failures(count: int) -> None:
    """Nobody knows whether the texts are odd, or all requests are wrong: they are asked again in the next run."""
    found = Answering(lambda request: WRONG).outcomes(texts(count))
    assert [outcome.reason for outcome in found.values() if isinstance(outcome, Failed)] == ["rejected"] * count


@pytest.mark.parametrize("rate", [1, 10])
def test_requests_that_are_all_wrong_end_it(rate: int) -> None:
    answering = Answering(lambda request: WRONG, rate=rate)
    found: list[Outcome] = []
    with pytest.raises(ServiceError, match=r"INVALID_REQUEST.*Something is wrong"):
        found += [outcome for _, outcome in answering.scorer.outcomes(texts(1000))]
    answering.scorer.close()
    assert not found
    assert len(answering.requests) <= 50


class Slow:
    """Answers the first text with an error once the others are under way; each other one takes longer than the last."""

    def __init__(self, step_s: float) -> None:
        self.answering = Answering(self, rate=10)
        self._step_s, self._numbers = step_s, itertools.count()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        number = next(self._numbers)
        await self.answering.clock.sleep(1.0 + number * self._step_s)
        return refused(protocol.BAD_KEY) if number == 0 else analyzed(request)

    def run(self) -> list[Outcome]:
        """What came before the error."""
        found: list[Outcome] = []
        with pytest.raises(UsageError, match="does not accept the key"):
            for _, outcome in self.answering.scorer.outcomes(texts(1000)):
                found.append(outcome)
        self.answering.scorer.close()
        return found


def test_an_error_waits_for_the_answers_that_are_under_way() -> None:
    slow = Slow(0.1)
    found = slow.run()
    assert len(found) == len(slow.answering.requests) - 1 > 5
    assert all(isinstance(outcome, Scored) for outcome in found)


def test_an_error_does_not_wait_for_long_nor_is_anything_sent_after_it() -> None:
    slow = Slow(1.0)
    found = slow.run()
    assert len(found) == 2 < len(slow.answering.requests) - 1
    first = slow.answering.moments[0]
    assert max(slow.answering.moments) <= first + 1.1
    assert slow.answering.clock.now <= first + 1.0 + PATIENCE_S + 0.2


def test_an_error_of_the_source_loses_no_answer() -> None:
    def source() -> Iterator[Request]:
        yield from texts(5)
        raise ServiceError("The disk is gone.")

    found = []
    answering = Answering(rate=10)
    with pytest.raises(ServiceError, match="disk"):
        for request, _ in answering.scorer.outcomes(source()):
            found.append(request)
    answering.scorer.close()
    assert len(found) == len(answering.requests)


def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 2**16
            yield b" " * 2**16

    outcome = Answering(lambda request: httpx.Response(200, content=endless())).outcome()
    assert isinstance(outcome, Failed)
    assert outcome.reason == "answer"
    assert read < 2**21


def test_an_answer_in_drips_has_a_deadline() -> None:
    async def handler(request: httpx.Request) -> httpx.Response:
        while len(answering.requests) == 1:
            await answering.clock.sleep(0.1)
        return analyzed(request)

    answering = Answering(handler, deadline_s=0.05)
    assert isinstance(answering.outcome(), Scored)
    assert len(answering.requests) == 2
