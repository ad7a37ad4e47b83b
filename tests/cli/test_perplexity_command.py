from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_cli import run


@pytest.fixture(scope="module")
def folder(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a tiny model, and text in two languages that is not in it."""
    folder = tmp_path_factory.mktemp("perplexity")
    (folder / "stored.txt").write_text("".join(f"Good morning, guest number {number}.\n" for number in range(40)))
    records = [("Good evening, guest.", "en"), ("Bonjour à tous.", "fr"), ("Good morning!", "en"), ("!", "fr")]
    (folder / "held.jsonl").write_text(
        "".join(json.dumps({"body": text, "lang": lang}) + "\n" for text, lang in records)
    )
    (folder / "empty.txt").touch()
    run("datastore", "build", "s", "stored.txt", "--model", tiny, "-l", "en", "-q", cwd=folder)
    return folder


HELD = ("held.jsonl", "--text-field", "body", "--language-field", "lang")


def test_base_and_knn_side_by_side(folder: Path) -> None:
    ended = run("perplexity", *HELD, "--store", "s", "-k", "16", "--check", cwd=folder)
    shown = " ".join(ended.stdout.split())
    assert "46 tokens of 3 documents" in shown
    assert "s, 1,150 rows, version" in shown
    assert "k 16, lam 0.25, fidelity high" in shown
    assert "(auto; from the first to the k-th neighbour:" in shown
    assert "1 document without a token to predict" in shown
    rows = {
        line.split()[0]: line.split()
        for line in ended.stdout.splitlines()
        if line.split()[:1] in (["en"], ["fr"], ["all"])
    }
    assert [rows[name][1:3] for name in ("en", "fr", "all")] == [["2", "31"], ["1", "15"], ["3", "46"]]
    assert "predicting: done in" in ended.stderr
    found = json.loads(run("perplexity", *HELD, "--store", "s", "-k", "16", "--json", "-q", cwd=folder).stdout)
    assert f"{found['total']['base']:,.2f}" == rows["all"][3]
    assert f"{found['languages']['fr']['knn']:,.2f}" == rows["fr"][4]


def test_without_a_store_only_the_model(folder: Path, tiny: str) -> None:
    shown = run("perplexity", *HELD, "--model", tiny, "--quiet", cwd=folder)
    assert "kNN-LM" not in shown.stdout
    assert shown.stderr == ""
    found = json.loads(run("perplexity", *HELD, "--model", tiny, "--json", "--max-documents", "1", cwd=folder).stdout)
    assert found["stores"] == []
    assert found["lam"] is found["temperature"] is found["total"]["knn"] is None
    assert found["total"]["tokens"] == 19


def test_infinite_and_meaningless_perplexities_are_said(folder: Path) -> None:
    arguments = ("--store", "s", "-k", "1", "--temperature", "2")
    ended = run("perplexity", *HELD, *arguments, "--lam", "1", cwd=folder)
    assert "infinite" in ended.stdout
    assert "no probability at all" in ended.stdout
    found = run("perplexity", *HELD, *arguments, "--lam", "1", "--json", cwd=folder).stdout
    assert "Infinity" not in found
    assert json.loads(found)["total"]["knn"] is None
    ended = run("perplexity", "stored.txt", *arguments, cwd=folder)
    assert "note: the store holds text of stored.txt" in ended.stderr
    assert "in the store" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "kind", "words"),
    [
        (["held.jsonl", "--store", "s"], 2, "input", "text"),
        (["empty.txt", "--store", "s"], 2, "input", "empty.txt"),
        (["nosuch.txt", "--store", "s"], 3, "not_found", "nosuch.txt"),
        ([*HELD, "--store", "nosuch"], 3, "not_found", "There is no datastore nosuch"),
        ([*HELD, "--store", "s@v9"], 3, "not_found", "v9"),
        ([*HELD, "--store", "s", "--model", "OTHER"], 6, "incompatible", "differs in its weights"),
        ([*HELD, "--store", "s", "--lam", "2"], 2, "usage", "--lam 2"),
        ([*HELD, "--store", "s", "-k", "0"], 2, "usage", "-k 0"),
        ([*HELD, "--store", "s", "--temperature", "0"], 2, "usage", "--temperature 0"),
        ([*HELD, "--store", "s", "--temperature", "warm"], 2, "usage", "warm"),
        ([*HELD, "--store", "s", "--fidelity", "medium"], 2, "usage", "medium"),
        ([*HELD, "--store", "s", "--window", "100"], 2, "usage", "at most 64"),
        ([*HELD, "--store", "s", "--seed", "1"], 2, "usage", "--seed"),
        ([*HELD], 2, "usage", "No model is named"),
    ],
)
def test_bad_input_is_refused_with_a_hint(
    folder: Path, other_tiny: str, arguments: list[str], code: int, kind: str, words: str
) -> None:
    given = [other_tiny if word == "OTHER" else word for word in arguments]
    error = json.loads(run("perplexity", *given, "--json", cwd=folder, code=code).stdout)["error"]
    assert error["kind"] == kind
    assert words in error["message"]
    assert error["hint"]
