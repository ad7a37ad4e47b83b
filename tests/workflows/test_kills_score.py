"""SIGKILL at random moments of scoring: each text has one score at the end, only what was in flight is asked twice."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.plugin import write_plugin
from tests.workflows.scoring import read_lines, scored, write_lines

ROOT = Path(__file__).parents[2]
HELD = 8
"""Texts that the logging scorer has in flight at most."""


class Killed:
    """A file of texts that is scored by processes that are killed."""

    def __init__(self, folder: Path, texts: int, seconds: float, failing: int = 0) -> None:
        self.out, self.log = folder / "out.jsonl", folder / "log.txt"
        self.lines: list[dict[str, Any]] = [
            {"id": n, "generations": [f"text {n}", f"text {n % 10}"]} for n in range(texts)
        ]
        self.texts = write_lines(folder / "in.jsonl", self.lines)
        plugin = write_plugin(folder / "plugin", fake="tests.fakes.scorers:open_scorer")
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(plugin)]),
            "GOODCTL_FAKE_LOG": str(self.log),
            "GOODCTL_FAKE_SECONDS": str(seconds),
            "GOODCTL_FAKE_FAILS": str(failing),
        }

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "goodctl", "score", self.texts, "--scorer", "fake", "--out", str(self.out)]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def answered(self) -> list[tuple[str, str]]:
        """What the scorer has answered, in order, as far as its log tells: the text, and how."""
        if not self.log.exists():
            return []
        lines = [line.split("\t") for line in self.log.read_text().splitlines()]
        return [(parts[1], parts[2]) for parts in lines if parts[0] == "answered"]

    def asked(self) -> Counter[str]:
        lines = [line.split("\t") for line in self.log.read_text().splitlines()]
        return Counter(parts[1] for parts in lines if parts[0] == "asked")

    def kill_after(self, answers: int, rng: random.Random) -> bool:
        """Run until it has given so many more answers, then kill it a moment later; whether it was killed."""
        before, process = len(self.answered()), self.start()
        try:
            while process.poll() is None and len(self.answered()) < before + answers:
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.01))
            process.kill()
            process.communicate(timeout=60)
        finally:
            process.kill()
        return process.returncode < 0

    def finish(self) -> int:
        process = self.start()
        _, errors = process.communicate(timeout=120)
        assert process.returncode in {0, 5}, errors.decode()
        return process.returncode

    def check(self, kills: int) -> None:
        out = [{**line, "generations": [scored(text) for text in line["generations"]]} for line in self.lines]
        assert read_lines(self.out) == out
        scores = Counter(text for text, how in self.answered() if how == "Scored")
        assert set(scores) == {text for line in self.lines for text in line["generations"]}
        # Of what was answered at a kill only the answer that was just given may not be written yet.
        assert sum(scores.values()) - len(scores) <= kills
        failures = sum(how == "Failed" for _, how in self.answered())
        assert self.asked().total() - len(scores) - failures <= kills * HELD
        assert sorted(path.name for path in self.out.parent.glob("out.jsonl*")) == [
            "out.jsonl", "out.jsonl.journal", "out.jsonl.manifest.json",
        ]  # fmt: skip


def test_three_kills(tmp_path: Path) -> None:
    killed, rng = Killed(tmp_path, 60, seconds=0.004), random.Random(0)
    assert [killed.kill_after(12, rng) for _ in range(3)] == [True, True, True]
    assert not killed.out.exists()
    assert killed.finish() == 0
    killed.check(kills=3)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_many_kills_with_failures(tmp_path: Path, seed: int) -> None:
    killed, rng = Killed(tmp_path, 1500, seconds=0.0, failing=20), random.Random(seed)
    kills = sum(killed.kill_after(rng.randrange(200), rng) for _ in range(12))
    assert kills > 3
    code = killed.finish()
    while code == 5:
        code = killed.finish()
    # As fast as this answers are written in groups: more than one may be asked for again.
    out = [{**line, "generations": [scored(text) for text in line["generations"]]} for line in killed.lines]
    assert read_lines(killed.out) == out
    scores = Counter(text for text, how in killed.answered() if how == "Scored")
    assert sum(scores.values()) - len(scores) <= kills * 512


@pytest.mark.slow
def test_kills_while_the_output_is_written(tmp_path: Path) -> None:
    killed, rng = Killed(tmp_path, 3000, seconds=0.0), random.Random(0)
    started = time.monotonic()
    assert killed.finish() == 0
    whole_s = time.monotonic() - started
    first = killed.out.read_bytes()
    for _ in range(12):
        manifest = killed.out.with_name("out.jsonl.manifest.json")
        manifest.write_text(manifest.read_text().replace('"end": "', '"end": null, "was": "'))  # as if unfinished
        process = killed.start()
        time.sleep(rng.uniform(0.4, 0.95) * whole_s)
        process.kill()
        process.communicate(timeout=60)
        assert killed.out.read_bytes() == first
    assert killed.finish() == 0
    killed.check(kills=0)
