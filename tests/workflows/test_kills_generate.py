"""SIGKILL at random moments of a generation: run again until it ends, it has the bytes of an undisturbed run."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from tests.cli.test_cli import GOODCTL
from tests.workflows.generating import stores, write_prompts
from tests.workflows.test_kills import run

pytestmark = pytest.mark.slow

KILLS = 5


@pytest.mark.parametrize("over_another", [False, True])
def test_generate(over_another: bool, tmp_path: Path, tiny: str) -> None:
    places = stores(tmp_path, tiny)
    prompts = write_prompts(tmp_path / "p.jsonl", [{"prompt": f"Good {number}", "id": number} for number in range(240)])

    def command(out: Path, *more: str) -> list[str]:
        sides = ["--toxic", places["toxic"], "--nontoxic", places["nontoxic"], "-k", "16", "--precision", "fp32"]
        sizes = ["-n", "4", "--batch-size", "3", "--explain", "40"]
        return [*GOODCTL, "generate", prompts, *sides, *sizes, "--out", str(out), *more]

    whole, out, other = (tmp_path / f"{name}.jsonl" for name in ("whole", "out", "other"))
    again = ["--overwrite"] if over_another else []
    if over_another:
        assert run(command(other, "--alpha", "2.5"), None)
    started = time.monotonic()
    assert run(command(whole), None)
    whole_s = time.monotonic() - started

    def begin() -> None:
        """Nothing is there, or what another run has finished."""
        for path in tmp_path.glob("out.jsonl*"):
            path.unlink()
        for path in tmp_path.glob("other.jsonl*"):
            shutil.copy(path, path.with_name(path.name.replace("other", "out")))

    rng = np.random.default_rng(0)
    kills = 0
    begin()
    while kills < KILLS:
        ended = run(command(out, *again), rng.uniform(0.3, 0.7) * whole_s)
        kills += not ended
        if ended:
            assert out.read_bytes() == whole.read_bytes()
            begin()
    assert run(command(out, *again), None)
    assert out.read_bytes() == whole.read_bytes()
    assert Path(f"{out}.explain.jsonl").read_bytes() == Path(f"{whole}.explain.jsonl").read_bytes()
    assert sorted(path.name for path in tmp_path.glob("out.jsonl*")) == [
        "out.jsonl",
        "out.jsonl.explain.jsonl",
        "out.jsonl.manifest.json",
    ]
