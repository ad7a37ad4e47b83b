"""The benchmarks of scoring run on few texts and report the ratios they are about."""

from __future__ import annotations

import pytest

from tests.benchmarks.test_benchmarks import BENCHMARKS, run


@pytest.fixture(autouse=True)
def _beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_score_memory(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("score_memory", capsys, "--count", "40", "--repeated", "2").keys() == {"10N/N"}
