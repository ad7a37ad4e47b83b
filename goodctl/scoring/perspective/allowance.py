"""How many requests may be sent when: never more than the rate in any second, whoever else on the machine sends.

The rate is a number of turns. A request takes one, and gives it back a second and a margin after it was *written*, give
or take half the margin, and not after it was handed over: a connection may have to be opened first, and while that
takes its time, requests pile up that leave in one moment. Two uses of one turn are so always more than a second apart,
as they are handed over and at the socket; hence no second sees more requests than there are turns. ``MARGIN_S`` is what
the way to the service may vary by before a second there does.

All of it is kept in the monotonic clock of this process. The shared file holds moments of the wall clock; each is
translated when it is first seen, and a moment that seems to lie in the future counts as now, so that a clock that is
set back costs a second and a clock that is set forward cannot free what this process has seen.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from goodctl.errors import UsageError
from goodctl.scoring.perspective.moments import DamagedRecordError, Moment, Moments

MOST_QUERIES_PER_SECOND = 1000.0
MARGIN_S = 0.012
"""Seconds. A pace of 0.98 of the rate allows for 20 ms: the most of them is for the way to the service, which takes now
longer and now shorter; some are left to timers, by which every turn begins a little later than it could."""
_WRITING_S = MARGIN_S / 2
"""So much of the time from handing over to writing is left to the margin: otherwise every turn would lose it again. Two
writes of one turn are still a second and half a margin apart."""
_UNWRITTEN_S = 12.0
"""After so long nobody waits for another process, which may be dead, to say that its request was written. Opening a
connection takes at most 10 s."""
_LOOK_AGAIN_S = 0.02
"""How long to wait for a request that is not written yet."""


@dataclass
class _Seen:
    """A moment in this process's clock.

    Attributes:
        at: When the request was handed over, or written.
        written: Whether it counts as written.
        certain: Whether that is known, so that nothing can change it.
    """

    at: float
    written: bool
    certain: bool


class Allowance:
    """The turns of a rate.

    Args:
        rate: Queries a second at most. Above 1 it is rounded down, since a second holds whole queries; below 1 there is
            one query in each ``1 / rate`` seconds.
        moments: The file that processes share.
        monotonic: Seconds that never go back.
        wall: Seconds since 1970.

    Raises:
        UsageError: The rate is not above 0, or is too high.
    """

    def __init__(
        self,
        rate: float,
        moments: Moments,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        if not 0 < rate <= MOST_QUERIES_PER_SECOND:
            raise UsageError(
                f"A rate of {rate:g} queries a second is impossible.",
                hint=f"Choose --rate above 0 and up to {MOST_QUERIES_PER_SECOND:,.0f}; 0.5 is a query in two seconds.",
            )
        self.turns = max(1, math.floor(rate))
        self.window_s = (1.0 if rate >= 1 else 1 / rate) + MARGIN_S
        self._moments, self._monotonic, self._wall = moments, monotonic, wall
        self._seen: dict[int, _Seen] = {}
        self._untold: dict[int, float] = {}
        self._begun = False
        self._looked_at: list[Moment] | None = None

    @property
    def interval_s(self) -> float:
        """Seconds between two queries that are evenly spaced."""
        return self.window_s / self.turns

    def take(self) -> tuple[int | None, float]:
        """Take a turn, recorded before it is used.

        Returns:
            The turn, and 0; or None, and the seconds after which to ask again.

        Raises:
            ServiceError: The shared file cannot be used.
        """
        with self._moments.locked():
            now = self._monotonic()
            recorded = self._look(now)
            taken = self._taken(now)
            if len(taken) >= self.turns:
                free = sorted(each.at for each in taken if each.written)
                surplus = len(taken) - self.turns
                if surplus >= len(free):  # those in the way are not written yet
                    return None, _LOOK_AGAIN_S
                # At least what a clock can tell apart, or the caller would ask forever within one moment.
                return None, max(free[surplus] + self.window_s - now, 1e-6)
            turn = random.getrandbits(64)
            self._seen[turn] = _Seen(now, written=False, certain=False)
            self._store([*recorded, Moment(self._wall(), turn, False)], now)
            return turn, 0.0

    def written(self, turn: int) -> None:
        """The request of a turn was written just now, or never will be.

        The others are told with the next turn that is taken, or by ``tell``. Until then they take it for unwritten,
        which is on the safe side.
        """
        now = self._monotonic()
        handed_over = self._seen[turn].at if turn in self._seen else now
        at = max(handed_over, now - _WRITING_S)
        self._seen[turn] = _Seen(at, written=True, certain=True)
        self._untold[turn] = self._wall() - (now - at)

    def tell(self) -> None:
        """Tell the others what was written.

        Raises:
            ServiceError: The shared file cannot be used.
        """
        if self._untold:
            with self._moments.locked():
                now = self._monotonic()
                self._store(self._look(now), now)

    def _look(self, now: float) -> list[Moment]:
        """Learn what the file says; afterwards every recorded moment has been seen."""
        try:
            recorded = self._moments.read()
        except DamagedRecordError:  # nobody knows what was sent, so as much as possible was
            recorded = [Moment(self._wall(), random.getrandbits(64), True) for _ in range(self.turns)]
            self._moments.write(recorded)
        if recorded is not self._looked_at:
            for each in recorded:
                self._see(each, now, self._wall())
        self._begun = True
        self._looked_at = recorded
        return recorded

    def _see(self, moment: Moment, now: float, wall: float) -> None:
        known = self._seen.get(moment.id)
        if known is not None and (known.certain or not moment.written):
            return
        # A process that was killed leaves requests that it may have written until then, the latest now. If it lives
        # on instead, it will say when.
        left_behind = not moment.written and not self._begun
        at = now if left_behind else now - max(0.0, wall - moment.at)
        self._seen[moment.id] = _Seen(at, moment.written or left_behind, moment.written)

    def _store(self, recorded: list[Moment], now: float) -> None:
        """Replace what the file says by what still counts, and by what was written since."""
        self._taken(now)
        told = {each.id: each for each in recorded}
        told |= {turn: Moment(at, turn, True) for turn, at in self._untold.items()}
        newest = max(told.values(), key=lambda each: each.at)
        # The newest stays in any case, for processes with a lower rate and thus a longer window.
        kept = [each for each in told.values() if each.id in self._seen or each is newest]
        self._moments.write(kept)
        self._looked_at = kept
        self._untold.clear()

    def _taken(self, now: float) -> list[_Seen]:
        """The turns that are not free; the others are forgotten."""
        written, unwritten = now - self.window_s, now - _UNWRITTEN_S
        over = [turn for turn, each in self._seen.items() if each.at <= (written if each.written else unwritten)]
        for turn in over:
            del self._seen[turn]
        return list(self._seen.values())
