"""Requests are spread evenly, in the order in which they were asked for, and fewer while the service refuses."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from goodctl.scoring.perspective.pace import Pace
from tests.fakes.clock import Clock
from tests.scoring.perspective.test_allowance import allowance


def made(rate: float, folder: Path) -> tuple[Pace, Clock]:
    clock = Clock()
    return Pace(allowance(rate, folder, clock), monotonic=clock.monotonic, sleep=clock.sleep), clock


async def sent(pace: Pace, clock: Clock, count: int, *, busy_s: float = 0.0) -> list[float]:
    moments = []
    for _ in range(count):
        turn = await pace.turn()
        moments.append(clock.now)
        turn.written()
        clock.now += busy_s
    return moments


def gaps(moments: list[float]) -> list[float]:
    return [later - earlier for earlier, later in itertools.pairwise(moments)]


def test_requests_are_spread_evenly(tmp_path: Path) -> None:
    pace, clock = made(10, tmp_path)
    assert gaps(asyncio.run(sent(pace, clock, 35))) == pytest.approx([0.1012] * 34, abs=1e-5)


def test_late_requests_are_made_up_for_within_the_allowance(tmp_path: Path) -> None:
    pace, clock = made(10, tmp_path)

    moments: list[float] = []

    async def one(number: int) -> None:
        turn = await pace.turn()
        moments.append(clock.now)
        turn.written()
        if number == 10:
            clock.now += 0.4  # the machine was busy

    async def scenario() -> None:
        await asyncio.gather(*(one(number) for number in range(40)))

    asyncio.run(scenario())
    assert moments[-1] - moments[0] == pytest.approx(39 * 0.1012, abs=0.01), "nothing is lost"
    assert all(later - earlier > 1 for earlier, later in zip(moments, moments[10:], strict=False))


def test_who_comes_late_gets_no_burst(tmp_path: Path) -> None:
    pace, clock = made(10, tmp_path)

    async def scenario() -> list[float]:
        await sent(pace, clock, 5)
        clock.now += 60
        return await sent(pace, clock, 8)

    assert gaps(asyncio.run(scenario())) == pytest.approx([0.1012] * 7, abs=1e-5)


def test_turns_are_given_in_order(tmp_path: Path) -> None:
    pace, _ = made(5, tmp_path)
    order: list[int] = []

    async def one(number: int) -> None:
        turn = await pace.turn()
        order.append(number)
        turn.written()

    async def scenario() -> None:
        await asyncio.gather(*(one(number) for number in range(12)))

    asyncio.run(scenario())
    assert order == list(range(12))


def test_who_is_cancelled_takes_no_turn_from_others(tmp_path: Path) -> None:
    pace, clock = made(1, tmp_path)

    async def scenario() -> float:
        (await pace.turn()).written()
        waiting = [asyncio.ensure_future(pace.turn()) for _ in range(5)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        started = clock.now
        (await pace.turn()).written()
        return clock.now - started

    assert asyncio.run(scenario()) <= 1.02


def test_refusals_slow_everything_down_and_answers_quicken_it(tmp_path: Path) -> None:
    pace, clock = made(10, tmp_path)

    async def scenario() -> None:
        await sent(pace, clock, 3)
        pace.refused(0.5)
        await pace.turn()
        slowed = gaps(await sent(pace, clock, 4))
        assert slowed == pytest.approx([0.1012 / 0.7] * 3, abs=1e-4)
        for _ in range(8):
            pace.answered()
        assert pace.share == 1.0
        await pace.turn()
        assert gaps(await sent(pace, clock, 4)) == pytest.approx([0.1012] * 3, abs=1e-4)

    asyncio.run(scenario())


def test_a_streak_of_refusals_holds_everything(tmp_path: Path) -> None:
    pace, clock = made(100, tmp_path)

    async def scenario() -> float:
        await sent(pace, clock, 1)
        for _ in range(3):
            pace.refused(20.0)
        held_from = clock.now
        await pace.turn()
        return clock.now - held_from

    assert asyncio.run(scenario()) == pytest.approx(20.0, abs=0.01)


@pytest.mark.parametrize("rate", [0.5, 1, 100])
def test_even_the_slowest_pace_goes_on(rate: float, tmp_path: Path) -> None:
    pace, clock = made(rate, tmp_path)
    for _ in range(100):
        pace.refused(0.0)
    assert max(gaps(asyncio.run(sent(pace, clock, 4)))) <= 10.0


def test_a_request_that_is_written_late_frees_its_turn_late(tmp_path: Path) -> None:
    pace, clock = made(1, tmp_path)

    async def scenario() -> float:
        turn = await pace.turn()
        turn.written()
        clock.now += 0.7  # what was written was for a proxy
        turn.written()
        turn.over()
        written_at = clock.now
        await pace.turn()
        return clock.now - written_at

    assert asyncio.run(scenario()) >= 1.0
