"""SIGKILL at random moments of a generation: run again until it ends, it has the bytes of an undisturbed run."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from tests.cli.test_cli import GOODCTL
from tests.workflows.generating import stores, write_prompts
from tests.workflows.test_kills import run

pytestmark = pytest.mark.slow

KILLS = 12


def test_generate(tmp_path: Path, tiny: str) -> None:
    places = stores(tmp_path, tiny)
    prompts = write_prompts(tmp_path / "p.jsonl", [{"prompt": f"Good {number}", "id": number} for number in range(600)])

    def command(out: Path) -> list[str]:
        start = [*GOODCTL, "generate", prompts, "--toxic", places["toxic"], "--nontoxic", places["nontoxic"]]
        return [
            *start,
            "--out",
            str(out),
            "-k",
            "16",
            "-n",
            "4",
            "--batch-size",
            "3",
            "--explain",
            "40",
            "--precision",
            "fp32",
        ]

    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    started = time.monotonic()
    assert run(command(whole), None)
    whole_s = time.monotonic() - started
    rng = np.random.default_rng(0)
    kills = 0
    while kills < KILLS:
        ended = run(command(out), rng.uniform(0.3, 0.7) * whole_s)
        kills += not ended
        if ended:
            assert out.read_bytes() == whole.read_bytes()
            for path in tmp_path.glob("out.jsonl*"):
                path.unlink()
    assert run(command(out), None)
    assert out.read_bytes() == whole.read_bytes()
    assert Path(f"{out}.explain.jsonl").read_bytes() == Path(f"{whole}.explain.jsonl").read_bytes()
    assert sorted(path.name for path in tmp_path.glob("out.jsonl*")) == [
        "out.jsonl",
        "out.jsonl.explain.jsonl",
        "out.jsonl.manifest.json",
    ]
