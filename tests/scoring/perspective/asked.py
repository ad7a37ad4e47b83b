"""A scorer whose requests a function answers, in a time that costs nothing."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import httpx

from goodctl.scoring.perspective import PerspectiveScorer, Surroundings
from goodctl.scoring.perspective.backoff import Backoff
from goodctl.scoring.protocol import Outcome, Request, ScorerOptions
from tests.fakes import perspective_protocol as protocol
from tests.fakes.clock import Clock

URL = "http://127.0.0.1:1"
KEY = "AIzaSy-a-key-that-nobody-may-see"
Handler = Callable[[httpx.Request], httpx.Response] | Callable[[httpx.Request], Awaitable[httpx.Response]]


def analyzed(request: httpx.Request) -> httpx.Response:
    """What the service answers when all is well."""
    status, answer = protocol.analyzed(request.content)
    return httpx.Response(status, json=answer)


def refused(answer: tuple[int, dict[str, Any]], **headers: str) -> httpx.Response:
    return httpx.Response(answer[0], json=answer[1], headers=headers)


class Answering:
    """A scorer and what it has asked.

    Args:
        handler: Answers requests.
        key: Of the API.
        deadline_s: Of a request, in real time.
        options: Of the scorer; 100 queries a second unless they say otherwise.
    """

    def __init__(
        self, handler: Handler = analyzed, key: str | None = KEY, deadline_s: float = 90.0, **options: Any
    ) -> None:
        self.clock, self.requests = Clock(), list[httpx.Request]()
        self.moments: list[float] = []
        self._handler = handler
        around = Surroundings(
            httpx.MockTransport(self._answer),
            self.clock.monotonic,
            self.clock.wall,
            self.clock.sleep,
            Backoff(uniform=random.Random(0).uniform),
            deadline_s,
        )
        self.scorer = PerspectiveScorer(ScorerOptions(**{"base_url": URL, "rate": 100, **options}), key, around)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.moments.append(self.clock.now)
        answer = self._handler(request)
        return answer if isinstance(answer, httpx.Response) else await answer

    def outcomes(self, requests: Iterable[Request]) -> dict[str, Outcome]:
        """Texts with their outcomes; the scorer is closed."""
        try:
            return {request.text: outcome for request, outcome in self.scorer.outcomes(requests)}
        finally:
            self.scorer.close()

    def outcome(self, text: str = "some text", language: str | None = "en") -> Outcome:
        return self.outcomes([Request(text, language)])[text]


class InTurn:
    """Answers one after another, whoever asks; then all is well."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self._answers = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if not self._answers:
            return analyzed(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def texts(count: int, language: str | None = "en") -> list[Request]:
    return [Request(f"text {number}", language) for number in range(count)]
