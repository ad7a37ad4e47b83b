"""No sliding second sees more requests than the rate, whatever processes do; and nobody waits longer than needed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodctl.errors import ServiceError, UsageError
from goodctl.scoring.perspective.allowance import MARGIN_S, Allowance
from goodctl.scoring.perspective.moments import Moments
from tests.fakes.clock import Clock

ADDRESS = "http://127.0.0.1:1"


def allowance(rate: float, folder: Path, clock: Clock) -> Allowance:
    return Allowance(rate, Moments(ADDRESS, folder), monotonic=clock.monotonic, wall=clock.wall)


def send(allowed: Allowance, clock: Clock) -> float:
    """Take a turn and use it at once; returns when."""
    while True:
        turn, wait = allowed.take()
        if turn is not None:
            allowed.written(turn)
            allowed.tell()
            return clock.now
        clock.now += wait


class Machine:
    """Processes that share the file, each with requests that are handed over and written some time later."""

    def __init__(self, rate: float, folder: Path, processes: int, tells_after_s: float) -> None:
        self.rate, self.folder, self.clock, self.tells_after_s = rate, folder, Clock(), tells_after_s
        self.processes = [allowance(rate, folder, self.clock) for _ in range(processes)]
        self.unwritten: list[tuple[float, int, int]] = []
        self.untold: list[tuple[float, int, int]] = []
        self.writes: list[float] = []
        self.longest = 0.0

    def advance(self, seconds: float) -> None:
        end = self.clock.now + seconds
        while due := sorted(each for each in [*self.unwritten, *self.untold] if each[0] <= end):
            event = due[0]
            at, process, turn = event
            self.clock.now = max(self.clock.now, at)
            if event in self.untold:
                self.untold.remove(event)
                self.processes[process].tell()
                continue
            self.unwritten.remove(event)
            self.writes.append(self.clock.now)
            self.processes[process].written(turn)
            self.untold.append((self.clock.now + self.tells_after_s, process, turn))
        self.clock.now = max(self.clock.now, end)

    def send(self, process: int, takes_s: float) -> None:
        asked_at = self.clock.now
        while True:
            turn, wait = self.processes[process].take()
            if turn is not None:
                break
            self.advance(wait)
        self.longest = max(self.longest, self.clock.now - asked_at)
        self.unwritten.append((self.clock.now + takes_s, process, turn))
        self.advance(0)

    def kill(self, process: int) -> None:
        """Some requests may just have been written, though nobody was told; the others never will be."""
        mine = [each for each in self.unwritten if each[1] == process]
        self.writes += [self.clock.now for _ in mine]
        self.unwritten = [each for each in self.unwritten if each[1] != process]
        self.untold = [each for each in self.untold if each[1] != process]
        self.processes[process] = allowance(self.rate, self.folder, self.clock)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["send", "send", "send", "send", "kill"]),
        st.integers(0, 1),
        st.sampled_from([0.0, 0.0, 0.0, 0.001, 0.3, 0.99, 1.0, 1.5]),
        st.sampled_from([0.0, 0.0, 0.002, 0.4, 0.9]),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([0.5, 1.0, 2.0, 2.5, 5.0]), STEPS, st.sampled_from([0.0, 0.05]))
def test_no_second_sees_more_than_the_rate(
    rate: float, steps: list[tuple[str, int, float, float]], tells_after_s: float
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(rate, Path(folder), 2, tells_after_s)
        for action, process, pause_s, takes_s in steps:
            machine.advance(pause_s)
            if action == "send":
                machine.send(process, takes_s)
            else:
                machine.kill(process)
        machine.advance(1.0)
    turns, second = max(1, int(rate)), max(1.0, 1 / rate)
    writes = sorted(machine.writes)
    assert all(later - earlier > second for earlier, later in zip(writes, writes[turns:], strict=False))
    # Who waits, waits for a window and for a slow request; or for a process that says nothing more.
    slowest = 12.0 if any(action == "kill" for action, *_ in steps) else 0.95
    assert machine.longest <= second + MARGIN_S + slowest + 0.1


@pytest.mark.parametrize("rate", [0.2, 1, 7, 100])
def test_the_rate_is_reached(rate: float, tmp_path: Path) -> None:
    clock = Clock()
    allowed = allowance(rate, tmp_path, clock)
    moments = [send(allowed, clock) for _ in range(int(max(20, 5 * rate)) + 1)]
    # Requests come in bursts of as many as a second may see: what counts is how long whole bursts take.
    bursts = (len(moments) - 1) // allowed.turns
    taken = (moments[bursts * allowed.turns] - moments[0]) / bursts / allowed.turns
    assert 0.98 * rate <= 1 / taken < rate


def test_a_restart_changes_nothing(tmp_path: Path) -> None:
    clock = Clock()
    first = send(allowance(1, tmp_path, clock), clock)
    assert send(allowance(1, tmp_path, clock), clock) == pytest.approx(first + 1 + MARGIN_S)


def test_another_address_has_its_own(tmp_path: Path) -> None:
    clock = Clock()
    first = send(allowance(1, tmp_path, clock), clock)
    other = Allowance(1, Moments("http://127.0.0.1:2", tmp_path), monotonic=clock.monotonic, wall=clock.wall)
    assert send(other, clock) == first


def test_the_file_names_no_address(tmp_path: Path) -> None:
    clock = Clock()
    send(allowance(1, tmp_path, clock), clock)
    for path in tmp_path.iterdir():
        assert b"127.0.0.1" not in path.name.encode() + path.read_bytes()


@pytest.mark.parametrize("jump", [-86_400, -0.5])
def test_a_clock_set_back_costs_a_second(jump: float, tmp_path: Path) -> None:
    clock = Clock()
    running = allowance(1, tmp_path, clock)
    first = send(running, clock)
    clock.wall_offset += jump
    assert send(running, clock) == pytest.approx(first + 1 + MARGIN_S)
    restarted_at = clock.now
    assert send(allowance(1, tmp_path, clock), clock) <= restarted_at + 1 + MARGIN_S + 1e-6


def test_a_clock_set_forward_frees_nothing(tmp_path: Path) -> None:
    clock = Clock()
    running, other = allowance(2, tmp_path, clock), allowance(2, tmp_path, clock)
    first = send(running, clock)
    send(other, clock)
    running.take()  # sees the other's
    clock.wall_offset += 86_400
    assert send(running, clock) == pytest.approx(first + 1 + MARGIN_S)


def test_a_higher_rate_leaves_the_last_moment_to_a_lower_one(tmp_path: Path) -> None:
    clock = Clock()
    fast = allowance(50, tmp_path, clock)
    last = max(send(fast, clock) for _ in range(120))
    clock.now += 3
    assert send(allowance(0.1, tmp_path, clock), clock) == pytest.approx(last + 10 + MARGIN_S)


@pytest.mark.parametrize("damage", [b"", b"x", b"goodctl-moments1", b"goodctl-moments1" + bytes(4), os.urandom(200)])
def test_a_damaged_file_counts_as_full(damage: bytes, tmp_path: Path) -> None:
    clock = Clock()
    started = send(allowance(3, tmp_path, clock), clock)
    (path,) = tmp_path.glob("*.moments")
    path.write_bytes(damage)
    expected = started if not damage else started + 1 + MARGIN_S
    assert send(allowance(3, tmp_path, clock), clock) == pytest.approx(expected)
    assert send(allowance(3, tmp_path, clock), clock) == pytest.approx(expected), "it is whole again"


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    clock = Clock()
    started = send(allowance(2, tmp_path, clock), clock)
    (path,) = tmp_path.glob("*.moments")
    stored = bytearray(path.read_bytes())
    stored[-5] ^= 1
    path.write_bytes(stored)
    assert send(allowance(2, tmp_path, clock), clock) > started + 1


def test_a_deleted_file_is_no_allowance_for_its_own_process(tmp_path: Path) -> None:
    clock = Clock()
    running = allowance(1, tmp_path, clock)
    first = send(running, clock)
    for path in tmp_path.iterdir():
        path.unlink()
    assert send(running, clock) == pytest.approx(first + 1 + MARGIN_S)


def test_a_folder_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceError, match="cannot be used") as caught:
        allowance(1, tmp_path / "file" / "pace", Clock()).take()
    assert "GOODCTL_CACHE" in str(caught.value.hint)


@pytest.mark.parametrize("rate", [0, -1, 1001, float("nan"), float("inf")])
def test_impossible_rates(rate: float, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="impossible"):
        allowance(rate, tmp_path, Clock())


@pytest.mark.parametrize(("writing_s", "apart_s"), [(0.0, 1.012), (0.004, 1.012), (0.3, 1.306)])
def test_a_turn_is_free_a_second_after_it_was_written(writing_s: float, apart_s: float, tmp_path: Path) -> None:
    clock = Clock()
    allowed = allowance(1, tmp_path, clock)
    turn, _ = allowed.take()
    assert turn is not None
    handed_over = clock.now
    clock.now += writing_s
    allowed.written(turn)
    assert send(allowed, clock) - handed_over == pytest.approx(apart_s), "little of the writing is left to the margin"
