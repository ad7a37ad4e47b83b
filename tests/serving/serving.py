"""A scorer that can be held, and servers that run in a thread while a test asks them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from goodctl.progress import Report, silent
from goodctl.scoring.protocol import Failed, Identity, NotScored, Outcome, Request, Scored
from goodctl.serving.choice import ServeChoice
from goodctl.serving.running import PerspectiveServer, listen

PATH = "/v1alpha1/comments:analyze"


class HeldScorer:
    """Scores a text by its length, English and French; waits before a batch while it is held.

    Attributes:
        go: Cleared, the scorer waits in its next batch.
        busy: Set while it waits there.
        batches: What it was asked, batch by batch.
        outcome: Given in the place of a score where the text is its key; an exception is raised.
    """

    def __init__(self, outcome: dict[str, Outcome | BaseException] | None = None) -> None:
        self.go, self.busy = threading.Event(), threading.Event()
        self.go.set()
        self.batches: list[list[Request]] = []
        self.outcome = outcome or {}
        self.closed = False

    @property
    def identity(self) -> Identity:
        return Identity("held", "1")

    def attributes_for(self, language: str | None) -> tuple[str, ...]:
        if language == "fr":
            return ("toxicity",)
        return ("toxicity", "insult") if language in {None, "en"} else ()

    def outcomes(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Outcome]]:
        batch = list(requests)
        self.batches.append(batch)
        self.busy.set()
        assert self.go.wait(30)
        self.busy.clear()
        for request in reversed(batch):
            special = self.outcome.get(request.text)
            if isinstance(special, BaseException):
                raise special
            yield request, special or Scored({name: score(request.text) for name in ("toxicity", "insult")})

    def close(self) -> None:
        self.closed = True


def score(text: str) -> float:
    return min(1.0, len(text) / 100)


@contextlib.contextmanager
def running(
    scorer: Any, report: Report = silent, *, stopped_by_test: bool = False, **choice: Any
) -> Iterator[PerspectiveServer]:
    """A server on a free port that has begun to answer; stopped when the test leaves."""
    chosen = ServeChoice(port=0, **{"wait_s": 0.0, **choice})
    server = PerspectiveServer(scorer, listen(chosen), chosen, report)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        if isinstance(scorer, HeldScorer) and not stopped_by_test:
            scorer.go.set()
        server.stop()
        thread.join(30)
        assert not thread.is_alive()


def asking(text: str, *attributes: str, **fields: Any) -> dict[str, Any]:
    """A request's body."""
    wanted: dict[str, Any] = {name: {} for name in attributes or ("TOXICITY",)}
    return {"comment": {"text": text}, "requestedAttributes": wanted, "languages": ["en"], **fields}


REFUSALS: dict[str, Outcome | BaseException] = {
    "is rejected": NotScored("rejected", "It was rejected."),
    "is too long": NotScored("too_long", "It is too long."),
    "is in Latin": NotScored("language", "No Latin."),
    "is in time": Failed("timeout", "It took too long."),
    "is at the limit": Failed("rate_limited", "Too fast."),
    "breaks": RuntimeError("breaks"),
}
