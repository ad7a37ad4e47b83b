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
        self._targets: list[tuple[float, int]] = []

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + self.wall_offset

    async def sleep(self, seconds: float) -> None:
        """Wait, in no time; who has the shortest wait wakes first."""
        self.slept.append(seconds)
        mine = (self.now + seconds, len(self.slept))
        heapq.heappush(self._targets, mine)
        try:
            rounds = 0
            while True:
                await asyncio.sleep(0)
                rounds = rounds + 1 if self._targets[0] == mine else 0
                if rounds > _ROUNDS:
                    self.now = max(self.now, mine[0])
                    return
        finally:
            self._targets.remove(mine)
            heapq.heapify(self._targets)
