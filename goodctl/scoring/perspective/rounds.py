"""One pass over texts: which are being asked about, what has come back, and how it ends early."""

from __future__ import annotations

import queue
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future

from goodctl.errors import ServiceError
from goodctl.scoring.perspective.answers import Asked, Rejected
from goodctl.scoring.perspective.background import Background, Group
from goodctl.scoring.protocol import Failed, Outcome, Request, Scored

PATIENCE_S = 3.0
"""So long a pass that ends by an error waits for the answers to requests that are under way: they count against the
quota whether they are read or not."""
_MOST_REJECTED, _MOST_REJECTED_LATER = 10, 50
"""So many requests in a row that are called wrong mean that all are: before the first score, and after it."""

Sent = tuple[dict[str, object], Asked]
Ask = Callable[[dict[str, object], Asked, Group], Awaitable[Outcome | Rejected]]


class Round:
    """The texts of one pass. Used in the caller's thread.

    Args:
        background: Where requests are made.
        ask: Makes one.
        sleep: Waits for seconds, there.
    """

    def __init__(self, background: Background, ask: Ask, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._background, self._ask = background, ask
        self._group = Group(PATIENCE_S, sleep)
        self._asked: dict[Future[Outcome | Rejected], Request] = {}
        self._done: queue.SimpleQueue[Future[Outcome | Rejected]] = queue.SimpleQueue()

    def __len__(self) -> int:
        """How many texts are being asked about."""
        return len(self._asked)

    @property
    def is_answered(self) -> bool:
        """Whether ``next`` would not wait."""
        return not self._done.empty()

    def start(self, request: Request, sent: Sent) -> None:
        """Begin to ask about a text."""
        future = self._background.start(self._group, self._ask, *sent, self._group)
        self._asked[future] = request
        future.add_done_callback(self._done.put)

    def next(self) -> tuple[Request, Outcome | Rejected]:
        """What has come back, or comes next.

        Raises:
            GoodctlError: What the request ended with.
        """
        while True:
            future = self._done.get()
            request = self._asked.pop(future)
            if not future.cancelled():  # else another one has failed, and comes
                return request, future.result()

    def rest(self) -> Iterator[tuple[Request, Outcome | Rejected]]:
        """After an error: what has come back, then what comes within a short time. Nothing more is sent."""
        yield from self._answered()
        self._background.settle(self._group)
        yield from self._answered()

    def end(self) -> None:
        """End what is under way."""
        self._background.end(self._group)

    def _answered(self) -> Iterator[tuple[Request, Outcome | Rejected]]:
        for future in [each for each in self._asked if each.done()]:
            request = self._asked.pop(future)
            if not future.cancelled() and future.exception() is None:
                yield request, future.result()


class Doubts:
    """Decides what rejected requests mean: that these texts are odd is known when another one is scored after them."""

    def __init__(self) -> None:
        self._has_scored = False
        self._in_a_row = 0

    def decided(
        self, held: list[tuple[Request, Rejected]], request: Request, found: Outcome | Rejected
    ) -> Iterator[tuple[Request, Outcome]]:
        """What is known once an answer has come.

        Args:
            held: Of one pass, the texts whose outcome is open yet; changed.
            request: A text.
            found: What came back.
        """
        if isinstance(found, Rejected):
            self._in_a_row += 1
            held.append((request, found))
            return
        if isinstance(found, Scored):
            self._has_scored, self._in_a_row = True, 0
            yield from _not_scored(held)
        yield request, found

    def error(self, held: list[tuple[Request, Rejected]]) -> ServiceError | None:
        """What ends the pass, where all requests seem to be wrong."""
        most = _MOST_REJECTED_LATER if self._has_scored else _MOST_REJECTED
        return held[0][1].error if held and self._in_a_row >= most else None

    def ended(self, held: list[tuple[Request, Rejected]]) -> Iterator[tuple[Request, Outcome]]:
        """The texts that are open at the end of a pass: failures, which are asked again, unless others were scored."""
        if self._has_scored:
            yield from _not_scored(held)
        while held:
            request, rejected = held.pop(0)
            yield request, Failed(rejected.not_scored.reason, rejected.not_scored.message)


def _not_scored(held: list[tuple[Request, Rejected]]) -> Iterator[tuple[Request, Outcome]]:
    while held:
        request, rejected = held.pop(0)
        yield request, rejected.not_scored
