"""SIGKILL at ten moments of a whole run: started again each time, it ends with the files of an undisturbed one."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.plugin import write_plugin
from tests.workflows.generating import stores, write_prompts
from tests.workflows.running import contents

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
KILLS, STEPS, PROMPTS, SEED = 10, 5, 90, 3


class Killed:
    """A run in a folder, as processes that may be killed."""

    def __init__(self, folder: Path, tiny: str) -> None:
        places = stores(folder, tiny)
        prompts = [{"prompt": f"Good {number}", "lang": ("en", "fr")[number % 2]} for number in range(PROMPTS)]
        write_prompts(folder / "p.jsonl", prompts)
        plugin = write_plugin(folder / "plugin", fake="tests.fakes.scorers:open_scorer")
        self.folder, self.out, self.log = folder, folder / "out", folder / "log"
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(plugin)]),
            "GOODCTL_FAKE_LOG": str(self.log),
            "GOODCTL_FAKE_SECONDS": "0.002",
            "OMP_NUM_THREADS": "1",
        }
        sides = ["--toxic", places["toxic"], "--nontoxic", places["nontoxic"], "-k", "16", "--with-base"]
        sizes = ["-n", "4", "--batch-size", "3", "--explain", "9", "--group-by", "lang"]
        how = ["--device", "cpu", "--precision", "fp32", "--scorer", "fake", "--out", "out", "-q"]
        self.command = ["run", "p.jsonl", *sides, *sizes, *how]
        self.answers: list[int] = []

    def start(self, *more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "goodctl", *self.command, *more],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, *more: str) -> None:
        process = self.start(*more)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors

    def come_to(self) -> float:
        """The number of the step at which the run is, from 0, and how much of it is done."""
        manifest = stored(self.out / "manifest.json")
        if manifest.get("settings", {}).get("generation", {}).get("seed") != SEED:
            return 0.0  # nothing is there, or another run
        done = len(manifest["done"])
        if done < 2:
            generating = stored(self.out / f"{('steered', 'base')[done]}.jsonl.manifest.json")
            mine = generating.get("settings", {}).get("seed") == SEED
            return done + (generating["written"]["prompts"] / PROMPTS if mine else 0.0)
        answered = self.log.read_bytes().count(b"answered")
        if done < STEPS - 1:
            self.answers += [answered] * (done - 1 - len(self.answers))
            return done + min(0.99, (answered - self.answers[done - 2]) / (4 * PROMPTS))
        return float(done)

    def kill_at(self, moment: float, evaluation_s: float, *more: str) -> None:
        """Run until it has come to a moment, and kill it; a last step that got to its end has to begin again."""
        process = self.start(*more)
        try:
            while process.poll() is None and self.come_to() < min(moment, STEPS - 1):
                time.sleep(0.005)
            time.sleep(max(0.0, moment - (STEPS - 1)) * evaluation_s)
            process.kill()
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode in {0, -9}, errors
        if process.returncode == 0:
            (self.out / "report.html").unlink()
            self.kill_at(moment, evaluation_s / 2, *(each for each in more if each != "--overwrite"))


def stored(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


@pytest.mark.parametrize("over_another", [False, True])
def test_ten_kills(over_another: bool, tmp_path: Path, tiny: str) -> None:
    killed, rng = Killed(tmp_path, tiny), random.Random(int(over_another))
    killed.finish("--seed", str(SEED))
    evaluation_s = (killed.out / "manifest.json").stat().st_mtime - (
        killed.out / "steered.scored.jsonl.manifest.json"
    ).stat().st_mtime
    undisturbed = contents(killed.out)
    shutil.rmtree(killed.out)
    more = ["--seed", str(SEED)]
    if over_another:
        killed.finish("--seed", "7", "--emit", "perspective", "--threshold", "0.4")
        more.append("--overwrite")
    met = set()
    for number in range(KILLS):  # two in each step
        killed.kill_at(STEPS * (number + rng.random()) / KILLS, evaluation_s, *more)
        met.add(int(killed.come_to()))
    assert len(met) >= 4
    killed.finish(*more)
    assert contents(killed.out) == undisturbed
    assert not list(killed.out.rglob("*.part"))
