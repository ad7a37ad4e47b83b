"""Scorers whose scores anybody can compute, with faults on demand."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from goodctl.scoring.protocol import (
    TOXICITY,
    Failed,
    Identity,
    NotScored,
    Outcome,
    Request,
    Scored,
    ScorerOptions,
)

Fault = Callable[[Request, int], Outcome | None]
"""What happens instead of scoring, given a request and how often its text was asked before; None: nothing does."""


def expected(text: str, attribute: str = TOXICITY) -> float:
    """The score that a ``FakeScorer`` gives."""
    return int.from_bytes(hashlib.sha256(f"{attribute}:{text}".encode()).digest()[:4], "big") / (2**32 - 1)


class FakeScorer:
    """Scores by a hash of the text.

    Args:
        attributes: Those that are asked for.
        languages: Those that are scored; None scores all, and texts of unknown language.
        version: For its identity.
        details: For its identity.
        fault: What goes wrong.
        batch: Requests that it holds at once; they are answered last first.
        raw: Whether it has raw answers.
        lacking: Language to the attributes that it lacks.
    """

    def __init__(
        self,
        attributes: tuple[str, ...] = (TOXICITY,),
        *,
        languages: Iterable[str] | None = None,
        version: str = "1",
        details: dict[str, object] | None = None,
        fault: Fault | None = None,
        batch: int = 4,
        raw: bool = False,
        lacking: dict[str, tuple[str, ...]] | None = None,
    ) -> None:
        self._attributes = attributes
        self._languages = None if languages is None else frozenset(languages)
        self._fault = fault
        self._batch = batch
        self._raw = raw
        self._lacking = lacking or {}
        self.identity = Identity("fake", version, details or {})
        self.asked: list[Request] = []
        self.closed = 0

    def attributes_for(self, language: str | None) -> tuple[str, ...]:
        if self._languages is not None and language not in self._languages:
            return ()
        lacking = self._lacking.get(language or "", ())
        return tuple(attribute for attribute in self._attributes if attribute not in lacking)

    def outcomes(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Outcome]]:
        source = iter(requests)
        while batch := list(islice(source, self._batch)):
            for request in reversed(batch):
                yield request, self._outcome(request)

    def _outcome(self, request: Request) -> Outcome:
        if not request.text.strip():
            return NotScored("empty", "The text is empty.")
        attributes = self.attributes_for(request.language)
        if not attributes:
            return NotScored("language", f"Texts in {request.language or 'an unknown language'} are not scored.")
        before = sum(request.text == asked.text for asked in self.asked) if self._fault else 0
        self.asked.append(request)
        fault = self._fault(request, before) if self._fault else None
        if fault is not None:
            return fault
        scores = {attribute: expected(request.text, attribute) for attribute in attributes}
        return Scored(scores, {"attributeScores": {"text": request.text}} if self._raw else None)

    def close(self) -> None:
        self.closed += 1


class LoggingScorer(FakeScorer):
    """Writes down what it is asked and what it has answered before it yields it, in a file that outlives a kill.

    ``GOODCTL_FAKE_LOG`` names the file; ``GOODCTL_FAKE_SECONDS`` is how long an answer takes; one text in
    ``GOODCTL_FAKE_FAILS`` fails when it is asked for the first time.
    """

    def __init__(self, options: ScorerOptions) -> None:
        super().__init__(options.attributes, fault=self._fails, batch=8, raw=options.raw)
        self._log = os.open(os.environ["GOODCTL_FAKE_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._seconds = float(os.environ.get("GOODCTL_FAKE_SECONDS", "0"))
        self._failing = int(os.environ.get("GOODCTL_FAKE_FAILS", "0"))

    def outcomes(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Outcome]]:
        source = iter(requests)
        while batch := list(islice(source, self._batch)):
            os.write(self._log, "".join(f"asked\t{request.text}\n" for request in batch).encode())
            for request in reversed(batch):
                if self._seconds:
                    time.sleep(self._seconds)
                outcome = self._outcome(request)
                os.write(self._log, f"answered\t{request.text}\t{type(outcome).__name__}\n".encode())
                yield request, outcome

    def _fails(self, request: Request, before: int) -> Outcome | None:
        if not self._failing or before or int(expected(request.text) * 1e6) % self._failing:
            return None
        with open(os.environ["GOODCTL_FAKE_LOG"], encoding="utf-8") as log:  # asked by an earlier run?
            if f"answered\t{request.text}\tFailed\n" in log:
                return None
        return Failed("server", "500 Internal Server Error")


def open_scorer(argument: str, options: ScorerOptions) -> FakeScorer:
    """The entry point ``fake``: it logs where it is told to."""
    if "GOODCTL_FAKE_LOG" in os.environ:
        return LoggingScorer(options)
    languages = argument.split(",") if argument else None
    return FakeScorer(options.attributes, languages=languages, raw=options.raw)
