"""The benchmarks of the demo run with a tiny model and report the figures they are about."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from goodctl.workflows import demo_texts as texts
from tests.benchmarks.test_benchmarks import BENCHMARKS, run


@pytest.fixture(autouse=True)
def _beside_each_other(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A byte is a token of the tiny model: all texts would take it long."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    whole = texts.read
    monkeypatch.setattr(texts, "read", lambda name: "".join(whole(name).splitlines(keepends=True)[:40]))
    yield


def test_demo_texts(capsys: pytest.CaptureFixture[str], tiny: str) -> None:
    sizes = ("--model", tiny, "--alphas", "2", "--candidates", "14", "--continuations", "2")
    assert 0 <= run("demo_texts", capsys, *sizes)["prompts of the demo among as many rudest candidates"] <= 12


def test_demo_time(capsys: pytest.CaptureFixture[str], tiny: str) -> None:
    assert run("demo_time", capsys, "--model", tiny)["seconds"] > 0
