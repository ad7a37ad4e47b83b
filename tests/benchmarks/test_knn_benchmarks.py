"""The benchmark of kNN-LM's temperature agrees with the command, and reports what it is about."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from goodctl.corpus import Corpus
from goodctl.workflows.build import build
from goodctl.workflows.choices import Text
from goodctl.workflows.model_choice import ModelChoice
from goodctl.workflows.perplexity import PerplexityChoice, perplexity
from tests.benchmarks.test_benchmarks import BENCHMARKS, load


@pytest.fixture(autouse=True)
def _beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_knn_temperature(capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny: str) -> None:
    (tmp_path / "stored.txt").write_text("".join(f"Good morning, guest number {n} of all.\n" for n in range(40)))
    for language, line in (("en", "Good evening, guest."), ("fr", "Bonjour, cher ami.")):
        (tmp_path / f"{language}.txt").write_text(f"{line}\n{line} {line}\n")
    store, held_out = str(tmp_path / "s"), [str(tmp_path / name) for name in ("en.txt", "fr.txt")]
    model = ModelChoice(tiny, precision="fp32")
    build(store, Text(Corpus((str(tmp_path / "stored.txt"),))), model)
    load("knn_temperature").main([store, *held_out, "-k", "4", "32", "--precision", "fp32", "--json"])
    result = json.loads(capsys.readouterr().out)
    rows, ratios = result["measurements"], result["ratios"]
    assert {row["k"] for row in rows} == {"-", "4", "32"}
    assert all(math.isfinite(row[name]) for row in rows for name in ("perplexity", "en", "fr"))

    whole = perplexity(Text(Corpus(tuple(held_out))), model, PerplexityChoice((store,), k=32)).total
    automatic = next(row for row in rows if row["k"] == "32" and row["share of the spread"] == "auto")
    assert rows[0]["perplexity"] == pytest.approx(whole.base, rel=1e-4)
    assert automatic["perplexity"] == pytest.approx(whole.knn, rel=1e-4)
    assert ratios["tokens"]["value"] == whole.tokens
    best = min((row for row in rows if row["k"] == "32"), key=lambda row: float(row["perplexity"]))
    assert f"{ratios['k 32: best temperature']['value']:.3g}" == best["temperature"]
    assert ratios["k 32: automatic/best"]["value"] >= 1
