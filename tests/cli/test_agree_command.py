from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

from goodctl.cli.output import Output
from goodctl.cli.render_agree import compared
from goodctl.workflows.agree import AgreeChoice, agree
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


def test_all_tables_fit_into_eighty_columns(tmp_path: Path) -> None:
    """Also where the scorers contradict each other, so that figures and both bounds have a sign."""
    names = {"en": 1200, "zh-Hant-TW": 30, "a-language-of-a-long-name": 20, "ja": 4}
    one, other = two_scorers(tmp_path, names, noise=0.3)
    lines = [json.loads(line) for line in Path(other).read_text().splitlines()]
    for line in lines:
        for each in line["generations"]:
            each["toxicity"] = 1 - each["toxicity"]
    write(Path(other), lines)
    found = agree(AgreeChoice(one, other, fit=str(tmp_path / "map.json")))
    shown = io.StringIO()
    console = Console(width=80, file=shown, highlight=False)
    for part in compared(found):
        if not isinstance(part, str):
            console.print(part)
    text = shown.getvalue()
    lines_shown = text.splitlines()
    assert max(map(len, lines_shown)) <= 80
    assert "…" not in text.replace("where A gives …", "")
    for table in ("Agreement", "Error on texts", "The threshold"):
        begin = next(number for number, line in enumerate(lines_shown) if line.startswith(table))
        assert "language" in lines_shown[begin + 1]
        end = next((at for at in range(begin, len(lines_shown)) if not lines_shown[at].strip()), None)
        here = "\n".join(lines_shown[begin:end])
        assert all(f"\n{name} " in here for name in ("en", "zh-Hant-TW", "ja", "all"))
        folded = "".join(line.split(" ")[0] for line in here.splitlines())
        assert "a-language-of-a-long-name" in folded or "\na-language-of-a-long-name " in here
    assert re.search(r"^en +en +1,200 ", text, re.MULTILINE), "the map has a column of its own"


def test_json_is_written_as_a_whole_or_not_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=True)
    with pytest.raises(TypeError):
        output.result({"a": 1, "b": object()})
    assert capsys.readouterr().out == ""
    output.result({"a": float("nan"), "b": [1.5, {"c": float("inf")}]})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [1.5, {"c": None}]}
    output.result({"a": "\ud800é"})
    assert json.loads(capsys.readouterr().out) == {"a": "\ud800é"}


def test_json_suits_the_encoding_of_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    Output(as_json=True).result({"a": "é😀"})
    assert json.loads(raw.getvalue()) == {"a": "é😀"}


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
