"""Every benchmark runs on tiny inputs and reports the ratios it is about; what they measure is not tested."""

from __future__ import annotations

import gzip
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.tiny import tiny_model_folder

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_model_folder(tmp_path_factory.mktemp("model") / "tiny", window=64))


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("".join(f"Paragraph {n}: {'words ' * (n % 20 + 1)}\n" for n in range(30)), encoding="utf-8")
    return str(path)


@pytest.fixture(autouse=True)
def _beside_each_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Scripts import each other by name; what they remember of models stays out of the user's cache."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("GOODCTL_CACHE", str(tmp_path / "cache"))


def load(name: str) -> Any:
    assert name not in sys.modules or str(BENCHMARKS) in str(sys.modules[name].__file__)
    return importlib.import_module(name)


def run(name: str, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    load(name).main([*arguments, "--json"])
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert result["measurements"]
    assert {"cpu", "cores", "torch", "icechunk", "zarr", "commit"} <= set(result["machine"])
    return {name: ratio["value"] for name, ratio in result["ratios"].items()}


def test_encode(capsys: pytest.CaptureFixture[str], model: str, text: str) -> None:
    ratios = run("encode", capsys, "--model", model, "--rows", "900", "--max-rows", "300", "--repeats", "1", text)
    assert ratios.keys() == {"b/a", "c/a", "b/d32", "c/d16"}
    assert all(value > 0 for value in ratios.values())


def test_both_ways_give_every_row_once(model: str, text: str) -> None:
    encoders, textbook = load("encoders"), load("textbook")
    from goodctl.models.source import resolve

    encoder = encoders.make_encoder(resolve(model), "cpu", "fp32")
    documents = encoders.sample(encoder, [Path(text)], 2000, 0)  # the longest take several windows of 64
    expected = sum(len(document.text.encode()) - 1 for document in documents)
    across = len(documents) - 1  # the stream has a row from each document's end to the next one's beginning
    assert textbook.textbook_rows(encoder.model, encoder.key_layer, documents, 4) == expected + across
    assert encoders.encode_all(encoder, documents) == expected


def test_batch_budget(capsys: pytest.CaptureFixture[str], model: str, text: str) -> None:
    ratios = run("batch_budget", capsys, "--model", model, "--rows", "500", "--budgets", "128", "--repeats", "1", text)
    assert {"fp32_default_over_best", "bf16_default_over_best"} <= set(ratios)
    assert ratios["default_budget"] == 2048


def test_storing(capsys: pytest.CaptureFixture[str], model: str, text: str) -> None:
    assert run("storing", capsys, "--model", model, "--rows", "500", "--repeats", "1", text)["storing/computing"] > 0


def test_memory(capsys: pytest.CaptureFixture[str], model: str, text: str) -> None:
    ratios = run("memory", capsys, "--model", model, "--documents", "3", "--repeats", "1", text)
    assert ratios["peak_10N/peak_N"] > 0


def test_add(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ("--dimension", "64", "--sizes", "2000", "3000", "--rows", "200", "--small", "100", "--large", "1000")
    ratios = run("add", capsys, *sizes, "--repeats", "1")
    assert ratios.keys() == {"bytes/new_rows", "large/small", "large/encoding"}
    assert 1 < ratios["bytes/new_rows"] < 2


def test_startup(capsys: pytest.CaptureFixture[str]) -> None:
    ratios = run("startup", capsys, "--repeats", "1")
    assert {"help_seconds", "help/python"} <= set(ratios)
    assert ratios["large_libraries"] == 0


def test_the_table_names_claims_and_machine(capsys: pytest.CaptureFixture[str]) -> None:
    load("startup").main(["--repeats", "1"])
    shown = capsys.readouterr().out
    assert "goodctl --help" in shown
    assert "help_seconds = " in shown
    assert "commit" in shown.splitlines()[-1]


def test_debian_text(tmp_path: Path) -> None:
    document = tmp_path / "document.txt.gz"
    text = "1. Heading\n\n  A paragraph whose lines\n  are wrapped hard.\n \t\n\nEin zweiter Absatz, größer.\nMehr."
    document.write_bytes(gzip.compress(text.encode()))
    output = tmp_path / "out.txt"
    load("debian_text").main([str(output), str(document)])
    assert output.read_text(encoding="utf-8").splitlines() == [
        "A paragraph whose lines are wrapped hard.",
        "Ein zweiter Absatz, größer. Mehr.",
    ]
