"""The benchmarks of decoding run on tiny stores and report the ratios they are about."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from goodctl.workflows.index import index
from goodctl.workflows.index_choice import IndexChoice
from tests.benchmarks.test_benchmarks import BENCHMARKS, run
from tests.workflows.generating import stores, write_prompts

SHORT = ("-n", "2", "--max-new-tokens", "3", "-k", "8")


@pytest.fixture(autouse=True)
def _beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture
def places(tiny: str, tmp_path: Path) -> dict[str, str]:
    return stores(tmp_path, tiny)


def test_decoding(capsys: pytest.CaptureFixture[str], places: dict[str, str], tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "p.jsonl")
    ratios = run("decoding", capsys, places["toxic"], places["nontoxic"], prompts, *SHORT, "--repeats", "1")
    assert ratios["TV"] == pytest.approx(0, abs=1e-6), "tiny stores are searched exactly"
    assert ratios["recall"] == 1
    assert 0 < ratios["searched share of tokens"] <= 1
    assert all(ratios[name] > 0 for name in ("steered/base, fp32", "transformers/steered, fp32"))


def test_decoding_memory(capsys: pytest.CaptureFixture[str], places: dict[str, str], tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "p.jsonl")
    few = ("-n", "2", "-k", "8", "--repeats", "1")
    ratios = run("decoding_memory", capsys, places["toxic"], places["nontoxic"], prompts, *few)
    assert -100 < ratios["beyond codes and values, MB"] < 300


def test_head_slice(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ("--prompts", "2", "4", "--vocabulary", "500", "--dimension", "16", "--dtype", "fp32")
    assert run("head_slice", capsys, *sizes)["slice/index"] > 0


def test_search_cost(capsys: pytest.CaptureFixture[str], places: dict[str, str]) -> None:
    index(places["toxic"], IndexChoice("ivf-sq8", k=8))
    sizes = ("--queries", places["nontoxic"], "--count", "20", "-k", "8", "--lists", "3", "--repeats", "1")
    ratios = run("search_cost", capsys, places["toxic"], *sizes)
    assert all(np.isfinite(value) and value > 0 for value in ratios.values())


def test_ensemble_temperature(
    capsys: pytest.CaptureFixture[str],
    places: dict[str, str],
    tiny: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judged: list[str] = []

    def predict_prob(texts: list[str]) -> list[float]:
        judged.extend(texts)
        return [0.25] * len(texts)

    monkeypatch.setitem(sys.modules, "profanity_check", SimpleNamespace(predict_prob=predict_prob))
    prompts = write_prompts(tmp_path / "p.jsonl")
    options = ("--judge", tiny, "--shares", "1", "--alphas", "1", *SHORT)
    run("ensemble_temperature", capsys, places["toxic"], places["nontoxic"], prompts, *options)
    assert len(judged) == 2 * 5 * 2, "of both runs, every prompt, every continuation"
