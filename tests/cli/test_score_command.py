from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.test_cli import GOODCTL, environment, run
from tests.fakes.plugin import write_plugin
from tests.workflows.scoring import read_lines, scored, write_lines

LINES = [
    {"prompt": "You are", "lang": "en", "generations": [" kind", " a stupid [b]idiot[/b]", " kind", ""]},
    {"prompt": "Du bist", "lang": "de", "generations": [" nett"]},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_lines(tmp_path / "g.jsonl", LINES)
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "broken.jsonl").write_text('{"text": "a"}\n{"text"\n')
    (tmp_path / "unknown.txt").write_text("You are kind.\n")
    (tmp_path / "r.toml").write_text('en = "profanity"\nde = "profanty"\n')
    (tmp_path / "notes.jsonl").write_text("{}")
    return tmp_path


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that offers the scorer ``fake``."""
    folder = write_plugin(tmp_path / "plugin", fake="tests.fakes.scorers:open_scorer")
    path = os.pathsep.join([environment()["PYTHONPATH"], str(folder)])
    monkeypatch.setattr("tests.cli.test_cli.environment", lambda: {**os.environ, "PYTHONPATH": path})
    return folder


def test_from_generations_to_scores_and_again(folder: Path) -> None:
    command = ("score", "g.jsonl", "--scorer", "profanity", "--out", "s.jsonl", "--attributes", "Toxicity")
    ended = run(*command, cwd=folder)
    assert "Wrote s.jsonl: 5 texts, 4 of them different" in ended.stdout
    assert "1 (empty), 1 (language)" in ended.stdout
    assert "about 4 texts" in ended.stdout
    assert "note: profanity scores 4 of 5 texts, and none in de" in ended.stderr
    assert "scoring: done in" in ended.stderr
    english, german = read_lines(folder / "s.jsonl")
    kind, rude, again, empty = english["generations"]
    assert kind == again
    assert kind["toxicity"] < 0.3 < 0.9 < rude["toxicity"]
    assert empty == {"text": "", "toxicity": None, "reason": "empty"}
    assert german["generations"][0]["reason"] == "language"
    assert "s.jsonl is finished: 5 texts, nothing to do" in run(*command, cwd=folder).stdout
    found = json.loads(run(*command, "--json", "--quiet", cwd=folder).stdout)
    assert found["finished_before"]
    assert found["counts"]["not_scored"] == {"empty": 1, "language": 1}
    refused = json.loads(run(*command, "-l", "en", "--json", cwd=folder, code=4).stdout)
    assert "language: none → en" in refused["error"]["message"]
    assert run(*command, "-l", "en", "--overwrite", "--quiet", cwd=folder).stderr == ""


def test_failures_end_with_5_and_their_places(folder: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOODCTL_FAKE_LOG", str(folder / "log"))
    monkeypatch.setenv("GOODCTL_FAKE_FAILS", "1")
    command = ("score", "g.jsonl", "-s", "fake", "-o", "s.jsonl", "--emit", "perspective")
    ended = run(*command, cwd=folder, code=5)
    assert "g.jsonl:1" in ended.stdout
    assert "500 Internal Server Error" in ended.stdout
    assert "Error: 4 of 5 texts have no score, since their requests failed: server 4." in ended.stderr
    assert "Run the same command again" in ended.stderr
    (folder / "log").unlink()
    found = json.loads(run(*command, "--json", "-q", cwd=folder, code=5).stdout)
    assert found["error"]["exit_code"] == 5
    assert found["failures"][0]["tries"] == 2
    assert len(found["failures"][0]["places"]) == 2
    ended = run(*command, cwd=folder)
    assert "answers" in ended.stdout
    generations = read_lines(folder / "s.jsonl")[0]["generations"]
    assert generations[:3] == [scored(text) for text in LINES[0]["generations"][:3]]
    assert len(read_lines(folder / "s.jsonl.perspective.jsonl")) == 5


def test_ctrl_c_says_what_is_kept(folder: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lines(folder / "many.jsonl", [{"text": f"text {number}"} for number in range(4000)])
    monkeypatch.setenv("GOODCTL_FAKE_LOG", str(folder / "log"))
    monkeypatch.setenv("GOODCTL_FAKE_SECONDS", "0.02")
    path = os.pathsep.join([str(Path(__file__).parents[2]), str(plugin)])
    process = subprocess.Popen(
        [*GOODCTL, "score", "many.jsonl", "-s", "fake", "-o", "s.jsonl"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while process.poll() is None and "answered" not in _read(folder / "log"):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "answers of this run are in s.jsonl.journal" in errors
    assert "Run the same command again" in errors
    assert not (folder / "s.jsonl").exists()


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


@pytest.mark.parametrize(
    ("arguments", "code", "kind", "words"),
    [
        (["nosuch.jsonl", "-s", "profanity"], 3, "not_found", "nosuch.jsonl"),
        (["empty.jsonl", "-s", "profanity"], 2, "input", "no text"),
        (["broken.jsonl", "-s", "profanity", "-l", "en"], 2, "input", "broken.jsonl:2"),
        (["g.jsonl", "-s", "profanit"], 2, "usage", "'profanit'"),
        (["g.jsonl", "-s", "profanity:x"], 2, "usage", "'profanity:x'"),
        (["g.jsonl", "-s", "route"], 2, "usage", "'route'"),
        (["g.jsonl", "-s", "route:none.toml"], 3, "not_found", "none.toml"),
        (["g.jsonl", "-s", "route:r.toml"], 2, "usage", "r.toml, route 'de': There is no scorer 'profanty'"),
        (["g.jsonl", "-s", "profanity", "--attributes", "INSULT"], 2, "usage", "'insult'"),
        (["g.jsonl", "-s", "profanity", "--attributes", " , "], 2, "usage", "No attribute"),
        (["g.jsonl", "-s", "profanity", "--emit", "csv"], 2, "usage", "'csv'"),
        (["g.jsonl", "-s", "profanity", "--text-field", "prompts"], 2, "input", "no field 'prompts'"),
        (["g.jsonl", "-s", "profanity", "--language-field", "x"], 2, "input", "'x'"),
        (["unknown.txt", "-s", "profanity"], 2, "usage", "language is unknown"),
        (["g.jsonl", "-s", "profanity", "-l", "fr"], 2, "usage", "fr"),
        (["g.jsonl", "-s", "profanity", "--calibration", "g.jsonl"], 6, "damaged", "g.jsonl: broken JSON"),
        (["g.jsonl", "-s", "profanity", "--calibration", "notes.jsonl"], 2, "input", "no calibration"),
    ],
)
def test_bad_input_is_refused_with_a_hint(folder: Path, arguments: list[str], code: int, kind: str, words: str) -> None:
    before = sorted(folder.iterdir())
    error = json.loads(run("score", *arguments, "--out", "s.jsonl", "--json", cwd=folder, code=code).stdout)["error"]
    assert error["kind"] == kind
    assert words in error["message"]
    assert error["hint"]
    assert sorted(folder.iterdir()) == before


def test_its_help_imports_nothing_heavy() -> None:
    script = """
import sys
from typer.testing import CliRunner
from goodctl.cli.app import app
assert CliRunner().invoke(app, ["score", "--help"]).exit_code == 0
print([name for name in ("numpy", "torch", "httpx", "sklearn", "scipy", "sqlite3") if name in sys.modules])
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment())
    assert ended.stdout.strip() == "[]", ended.stderr
