"""The benchmarks of evaluation run on small inputs and report the figures they are about."""

from __future__ import annotations

import pytest

from tests.benchmarks.test_benchmarks import BENCHMARKS, run


@pytest.fixture(autouse=True)
def _beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_evaluate_speed(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 < run("evaluate_speed", capsys, "--prompts", "40", "--bootstrap", "100")["seconds"] < 20


def test_evaluate_perplexity(capsys: pytest.CaptureFixture[str], tiny: str) -> None:
    sizes = ("--model", tiny, "--prompts", "1", "--continuations", "5", "--tokens", "8", "--repeats", "1")
    ratios = run("evaluate_perplexity", capsys, *sizes, "--profile")
    assert ratios["one at a time/batched"] > 0
    assert ratios["largest relative difference"] < 1e-4
    assert 0 < ratios["matrix products of the batched time"] < 1
