"""The benchmark of the Perspective client runs for a moment and reports what it is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.test_benchmarks import BENCHMARKS, run


@pytest.fixture(autouse=True)
def _beside_each_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("GOODCTL_CACHE", str(tmp_path / "cache"))


def test_rate(capsys: pytest.CaptureFixture[str]) -> None:
    ratios = run("perspective_rate", capsys, "--rates", "20", "--seconds", "1.5", "--memory-texts", "100")
    for name in ("20/s", "20/s with faults"):
        assert 0 < ratios[f"{name}: share of the rate"] <= 1.1
        assert 0 < ratios[f"{name}: most at sending / rate"] <= 1
        assert ratios[f"{name}: scored / texts"] == 1
    assert ratios["memory grown, MB"] < 50
