from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.test_cli import GOODCTL, environment, run
from tests.workflows.generating import lines, write_prompts

SHORT = ("-n", "2", "--max-new-tokens", "4", "-k", "16", "--precision", "fp32")
STORES = ("--toxic", "toxic", "--nontoxic", "nontoxic")


@pytest.fixture(scope="module")
def built(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generate")
    for name, word in (("toxic", "evening"), ("nontoxic", "morning")):
        texts = [f"Good {word} to you, number {number} of the guests." for number in range(30)]
        (folder / f"{name}.txt").write_text("\n".join(texts) + "\n")
        run("datastore", "build", name, f"{name}.txt", "--model", tiny, "-l", "en", "-q", cwd=folder)
    write_prompts(folder / "prompts.jsonl", [{"prompt": {"text": f"Good {n}"}, "lang": "en"} for n in range(6)])
    return folder


def test_generate_says_what_it_did(built: Path) -> None:
    ended = run("generate", "prompts.jsonl", *STORES, "--out", "a.jsonl", *SHORT, cwd=built)
    assert "Wrote a.jsonl: 6 prompts, 2 continuations each" in ended.stdout
    assert "tokens/s" in ended.stdout and "for " in ended.stdout and "of the tokens" in ended.stdout
    assert "(auto; from the first to the k-th neighbour: toxic" in ended.stdout
    assert "a.jsonl.manifest.json" in ended.stdout
    assert "generating: done in" in ended.stderr
    assert [line["lang"] for line in lines(built / "a.jsonl")] == ["en"] * 6
    again = run("generate", "prompts.jsonl", *STORES, "--out", "a.jsonl", *SHORT, cwd=built)
    assert "a.jsonl is finished: 6 prompts, nothing to do" in again.stdout


def test_json_is_one_object(built: Path) -> None:
    result = json.loads(run("generate", "prompts.jsonl", *STORES, "-o", "j.jsonl", *SHORT, "--json", cwd=built).stdout)
    assert (result["prompts"], result["continuations"], result["out"]) == (6, 2, "j.jsonl")
    assert 0 < result["searched"] <= 1


def test_quiet_says_nothing_but_the_result(built: Path) -> None:
    assert run("generate", "prompts.jsonl", *STORES, "-o", "q.jsonl", *SHORT, "-q", cwd=built).stderr == ""


def test_explained_in_the_terminal(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = run("generate", "prompts.jsonl", *STORES, "-o", "e.jsonl", *SHORT, "--explain", "1", cwd=built).stdout
    assert "unsteered choice" in shown and "toxic: p, nearest" in shown and "nontoxic: p, nearest" in shown
    assert "Good 0" in shown
    (explained,) = lines(built / "e.jsonl.explain.jsonl")
    assert all(repr(token["token"]) in shown for token in explained["tokens"])


@pytest.mark.parametrize(
    ("arguments", "code", "message", "hint"),
    [
        (("prompts.jsonl", *STORES, "--out", "x.jsonl", "-k", "0"), 2, "-k 0", "1024"),
        (("prompts.jsonl", *STORES, "--out", "x.jsonl", "--temperature", "0"), 2, "--temperature 0", "auto"),
        (("prompts.jsonl", *STORES, "--out", "x.jsonl", "--temperature", "warm"), 2, "neither a number nor auto", ""),
        (("prompts.jsonl", *STORES, "--out", "x.jsonl", "--top-p", "0"), 2, "--top-p is 0", "0.9"),
        (("prompts.jsonl", *STORES, "--out", "x.jsonl", "--filter-p", "2"), 2, "--filter-p is 2", "0.9"),
        (("prompts.jsonl", *STORES, "--out", "x.jsonl", "--batch-size", "big"), 2, "neither a whole number", ""),
        (("prompts.jsonl", "--toxic", "nowhere", "--out", "x.jsonl"), 3, "nowhere", ""),
        (("nowhere.jsonl", *STORES, "--out", "x.jsonl"), 3, "nowhere.jsonl", ""),
        (("prompts.jsonl", *STORES, "--store", "toxic", "--out", "x.jsonl"), 2, "no use for --store", "knn-lm"),
        (("prompts.jsonl", "--out", "x.jsonl"), 2, "No model is named", "--model"),
        (("prompts.jsonl", *STORES, "--lam", "0.25", "--out", "x.jsonl"), 2, "--lam has no effect", "knn-lm"),
        (("prompts.jsonl", *STORES, "--out", f"{'x' * 250}.jsonl"), 2, "too long", "another --out"),
        (("prompts.jsonl", *STORES, "--preset", "mine", "--out", "x.jsonl"), 2, "no preset 'mine'", "published"),
    ],
)
def test_bad_input_has_a_message_and_leaves_nothing(
    built: Path, arguments: tuple[str, ...], code: int, message: str, hint: str
) -> None:
    ended = run("generate", *arguments, cwd=built, code=code)
    assert "Traceback" not in ended.stderr
    assert message in ended.stderr and hint in ended.stderr
    assert list(built.glob("x.jsonl*")) == []


def test_a_broken_line_is_named(built: Path) -> None:
    (built / "broken.jsonl").write_text('{"prompt": "a"}\n\n{"prompt": 7}\n')
    assert "broken.jsonl:3" in run("generate", "broken.jsonl", *STORES, "-o", "x.jsonl", cwd=built, code=2).stderr


def test_ctrl_c_keeps_what_is_finished_and_goes_on(built: Path) -> None:
    write_prompts(built / "many.jsonl", [{"prompt": f"Good {n}"} for n in range(400)])
    arguments = ["generate", "many.jsonl", *STORES, "--out", "c.jsonl", *SHORT, "--batch-size", "2"]
    process = subprocess.Popen(
        [*GOODCTL, *arguments],
        cwd=built,
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not ((built / "c.jsonl").exists() and lines(built / "c.jsonl")):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "of 400 prompts, which are in c.jsonl" in said and "it goes on and ends with the same bytes" in said
    kept = (built / "c.jsonl").read_bytes()
    assert "going on after" in run(*arguments, cwd=built).stderr
    assert (built / "c.jsonl").read_bytes().startswith(kept)
    assert len(lines(built / "c.jsonl")) == 400


def test_a_bar_on_a_terminal(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    parent, child = pty.openpty()
    arguments = ["generate", "prompts.jsonl", *STORES, "-o", "t.jsonl", *SHORT, "--batch-size", "1"]
    with subprocess.Popen([*GOODCTL, *arguments], cwd=built, env=environment(), stdout=child, stderr=child) as process:
        os.close(child)
        seen = b""
        while True:
            try:
                block = os.read(parent, 65536)
            except OSError:
                break
            if not block:
                break
            seen += block
    assert process.returncode == 0
    assert b"6/6 prompts" in seen and b"tokens/s" in seen and b"% skipped" in seen
