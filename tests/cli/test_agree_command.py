from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_cli import run
from tests.workflows.scored_files import generations, two_scorers, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("agree")
    two_scorers(folder, {"en": 260, "[b]fr": 30, "ja": 4})
    write(folder / "plain.jsonl", [{"prompt": "a", "generations": ["b"]}])
    write(folder / "else.jsonl", generations({"en": {"another": 0.5}}))
    return folder


def test_what_people_see(folder: Path) -> None:
    ended = run("agree", "local.jsonl", "other.jsonl", "--fit", "shown.json", cwd=folder)
    shown = " ".join(ended.stdout.split())
    assert "294 texts with two scores of toxicity, toxic above 0.5" in shown
    assert "A hf:local transformers 5.0, local.jsonl: 294 distinct texts" in shown
    assert "B perspective v1alpha1, other.jsonl" in shown
    for name in ("[b]fr", "en", "ja", "all", "0.9–1.0", "Spearman", "kappa"):
        assert name in ended.stdout
    assert "█" in ended.stdout
    assert "Wrote shown.json: maps of their own for en; one map for all others" in shown
    assert "fewer than 10 texts" in ended.stderr
    assert "reading local.jsonl" in ended.stderr
    narrow = [line for line in ended.stdout.splitlines() if line.startswith(("language", "en ", "all "))]
    assert max(map(len, narrow[:3])) <= 80


def test_json_has_the_same(folder: Path) -> None:
    ended = run("agree", "local.jsonl", "other.jsonl", "--json", "--threshold", "0.3", "--quiet", cwd=folder)
    assert ended.stderr == ""
    found = json.loads(ended.stdout)
    assert found["threshold"] == 0.3
    assert found["fitted"] is None
    assert found["total"]["texts"] == 294
    assert set(found["languages"]) == {"en", "[b]fr", "ja"}
    total = found["total"]
    assert total["spearman"]["low"] < total["spearman"]["value"] < total["spearman"]["high"]
    assert sum(total["confusion"].values()) == 294
    assert found["languages"]["ja"]["difference"]["reason"] == "no interval: fewer than 10 texts"


@pytest.mark.parametrize(
    ("arguments", "code", "kind", "words"),
    [
        (["local.jsonl", "plain.jsonl"], 2, "input", "plain.jsonl:1: a text without scores"),
        (["local.jsonl", "else.jsonl"], 2, "input", "no text in common"),
        (["local.jsonl", "nosuch.jsonl"], 3, "not_found", "nosuch.jsonl"),
        (["local.jsonl", "other.jsonl", "--attribute", "insult"], 2, "input", "scores: toxicity"),
        (["local.jsonl", "other.jsonl", "--threshold", "1"], 2, "usage", "--threshold 1"),
        (["local.jsonl", "other.jsonl", "--fit", "local.jsonl"], 2, "usage", "one of the files"),
        (["local.jsonl", "other.jsonl", "--fit", "plain.jsonl"], 4, "exists", "plain.jsonl is there"),
    ],
)
def test_bad_calls_end_with_a_hint(folder: Path, arguments: list[str], code: int, kind: str, words: str) -> None:
    error = json.loads(run("agree", *arguments, "--json", cwd=folder, code=code).stdout)["error"]
    assert error["kind"] == kind
    assert words in error["message"]
    assert error["hint"]


def test_a_map_is_applied_by_score(folder: Path) -> None:
    run("agree", "local.jsonl", "other.jsonl", "--fit", "map.json", "-q", cwd=folder)
    texts = [{"text": text} for text in ("You are a fool and an idiot.", "The tea is ready.", "shut up")]
    (folder / "new.jsonl").write_text("".join(json.dumps(text) + "\n" for text in texts))
    arguments = ("--scorer", "profanity", "--language", "en", "--calibration", "map.json")
    run("score", "new.jsonl", *arguments, "--out", "scored.jsonl", "-q", cwd=folder)
    lines = [json.loads(line)["text"] for line in (folder / "scored.jsonl").read_text().splitlines()]
    for each in lines:
        assert each["toxicity"] == pytest.approx(each["toxicity_uncalibrated"] ** 2, abs=0.08)
