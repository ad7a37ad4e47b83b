"""When the next request may be sent: an allowance, spread evenly, and slowed down while the service refuses."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from goodctl.errors import ServiceError
from goodctl.scoring.perspective.allowance import Allowance

_CATCH_UP_S = 0.5
"""How far behind its even spacing a pace may be and still make up for it. The allowance holds meanwhile."""
_SLOWED, _QUICKENED = 0.7, 1.08
"""A refusal takes three tenths off the pace, an answer adds a twelfth: at a service that takes less than the rate it
settles where one request in six is refused (0.7 · 1.08^5 ≈ 1)."""
_SLOWEST, _LONGEST_STEP_S = 0.01, 10.0
"""The pace never falls below a hundredth, nor to less than a request in ten seconds."""
_TELL_AFTER_S = 0.05
"""So long after a request was written other processes know of it, if no other request has told them sooner."""
_STREAK = 3
"""So many refusals without an answer between them hold all requests, not only those refused."""


class Pace:
    """Turns in the order in which they are asked for.

    Args:
        allowance: What is never exceeded.
        monotonic: Seconds that never go back.
        sleep: Waits for seconds.
    """

    def __init__(
        self,
        allowance: Allowance,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._allowance, self._monotonic, self._sleep = allowance, monotonic, sleep
        self._queue = asyncio.Lock()  # is fair
        self._planned = float("-inf")
        self._waiting = 0
        self._telling: asyncio.TimerHandle | None = None
        self._held_until = float("-inf")
        self._refusals = 0
        self._slowest = min(1.0, max(_SLOWEST, allowance.interval_s / _LONGEST_STEP_S))
        self.share = 1.0

    async def turn(self) -> Turn:
        """Wait until a request may be sent. It must be sent at once, and the turn told when it is written.

        Raises:
            ServiceError: The record of moments cannot be used.
        """
        if not self._waiting:  # nobody wanted the turns that have gone by: there is nothing to make up for
            self._planned = max(self._planned, self._monotonic())
        self._waiting += 1
        try:
            async with self._queue:
                return await self._next()
        finally:
            self._waiting -= 1

    async def _next(self) -> Turn:
        while True:
            now = self._monotonic()
            wait = max(self._planned, self._held_until) - now
            if wait <= 0:
                taken, wait = self._allowance.take()
                if taken is not None:
                    step = self._allowance.interval_s / self.share
                    self._planned = max(self._planned, now - _CATCH_UP_S) + step
                    return Turn(self, taken)
            await self._sleep(wait)

    def written(self, taken: int) -> None:
        """The request of a turn was written just now. Called in the event loop."""
        self._allowance.written(taken)
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(_TELL_AFTER_S, self.tell)

    def tell(self) -> None:
        """Tell other processes what was written."""
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        with contextlib.suppress(ServiceError):  # nobody listens here; the next turn meets the same error
            self._allowance.tell()

    def refused(self, wait_s: float) -> None:
        """The service says that it is asked too often.

        Args:
            wait_s: Seconds that it, or the caller's back-off, wants to pass.
        """
        self.share = max(self.share * _SLOWED, self._slowest)
        self._refusals += 1
        if self._refusals >= _STREAK:
            self._held_until = max(self._held_until, self._monotonic() + wait_s)

    def answered(self) -> None:
        """The service has taken a request."""
        self.share = min(self.share * _QUICKENED, 1.0)
        self._refusals = 0


class Turn:
    """The permission to send one request now."""

    def __init__(self, pace: Pace, taken: int) -> None:
        self._pace, self._taken = pace, taken
        self._told = False

    def written(self) -> None:
        """The request was written just now. Where this is called again (a proxy comes first), the last call counts."""
        self._told = True
        self._pace.written(self._taken)

    def over(self) -> None:
        """The request has come to its end. Where nobody has seen it written, it counts as written now."""
        if not self._told:
            self.written()
