"""Time that passes only when everybody waits."""

from __future__ import annotations

import asyncio
import heapq

_ROUNDS = 20
"""So often has everybody else the chance to do something before time goes on."""


class Clock:
    """Seconds for both the monotonic and the wall clock of one event loop.

    Attributes:
        now: The monotonic clock.
        wall_offset: What the wall clock shows beyond it; tests set that clock by this.
    """

    def __init__(self, now: float = 1000.0, wall_offset: float = 1.7e9) -> None:
        self.now, self.wall_offset = now, wall_offset
        self.slept: list[float] = []
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._is_passing = False

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + self.wall_offset

    async def sleep(self, seconds: float) -> None:
        """Wait, in no time; who has the shortest wait wakes first."""
        self.slept.append(seconds)
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, len(self.slept), woken))
        if not self._is_passing:
            self._is_passing = True
            self._pass(_ROUNDS)
        await woken

    def _pass(self, rounds: int) -> None:
        if rounds:
            asyncio.get_running_loop().call_soon(self._pass, rounds - 1)
            return
        while self._sleepers:
            at, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():  # nor cancelled
                self.now = max(self.now, at)
                woken.set_result(None)
                self._pass(_ROUNDS)
                return
        self._is_passing = False
