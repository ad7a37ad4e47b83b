"""The benchmark of classifiers runs on little text and reports the ratio that it is about."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.benchmarks.test_benchmarks import BENCHMARKS, load, run


@pytest.fixture(autouse=True)
def _beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_classifier_throughput(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("".join(f"Paragraph {n}: {'some words ' * (n % 20 + 1)}\n" for n in range(30)), encoding="utf-8")
    sizes = ("--count", "20", "--layers", "1", "--width", "16", "--vocabulary", "300", "--repeats", "1")
    assert run("classifier_throughput", capsys, str(path), *sizes)["goodctl/perfect"] > 0
    several = run("classifier_throughput", capsys, str(path), *sizes, "--batch-tokens", "64", "128")
    assert several.keys() == {"goodctl/perfect, 64", "goodctl/perfect, 128"}


def test_the_perfect_batches_hold_the_same_tokens() -> None:
    from types import SimpleNamespace

    loaded = SimpleNamespace(device="cpu", model=SimpleNamespace(config=SimpleNamespace(vocab_size=50)))
    lengths = [3, 9, 40, 10, 11, 64, 3]
    batches = load("classifier_throughput").perfect_batches(lengths, budget=64, loaded=loaded)
    assert [tuple(batch.shape) for batch in batches] == [(1, 64), (3, 20), (3, 5)]
    assert all(batch.dtype == torch.int64 for batch in batches)
