from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_cli import run


@pytest.fixture(scope="module")
def folder(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small stores of the tiny model."""
    folder = tmp_path_factory.mktemp("search")
    for name, word in (("a", "morning"), ("b", "evening")):
        lines = [f"Good {word} to you, number {number} of the guests." for number in range(40)]
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
        run("datastore", "build", name, f"{name}.txt", "--model", tiny, "-l", "en", "-q", cwd=folder)
    return folder


def test_neighbors_shows_where_the_text_goes_on(folder: Path, tiny: str) -> None:
    shown = run("datastore", "neighbors", "a", "Good morning to y", "-k", "3", cwd=folder).stdout
    assert "3 nearest rows after 'Good morning to y'" in shown
    first = next(line for line in shown.splitlines() if "a.txt:" in line)
    assert "'o'" in first
    assert "«ood morning to y»" in first, "the first token of a document is in no row"
    assert "Next tokens at temperature" in shown
    found = json.loads(run("datastore", "neighbors", "a", "Good m", "-k", "9999", "--json", cwd=folder).stdout)
    assert found["k"] == len(found["neighbors"]) == len({each["row"] for each in found["neighbors"]})
    assert sum(each["share"] for each in found["predictions"]) == pytest.approx(1)


def test_a_glob_is_searched_as_one_store(folder: Path) -> None:
    found = json.loads(run("datastore", "neighbors", "[ab]", "Good ", "-k", "4000", "--json", cwd=folder).stdout)
    assert found["stores"] == ["a", "b"]
    assert {each["store"] for each in found["neighbors"]} == {"a", "b"}
    assert "a a.txt:" in run("datastore", "neighbors", "[ab]", "Good morn", cwd=folder).stdout


def test_index_recall_and_inspect(folder: Path) -> None:
    made = run("datastore", "index", "a", "--index", "ivf-sq8", "-k", "20", cwd=folder)
    assert "Indexed a: ivf-sq8 over" in made.stdout
    assert "tuning: done in" in made.stderr
    assert "Next: goodctl datastore recall a" in made.stderr
    shown = run("datastore", "recall", "a", "-k", "20", "--queries", "30", cwd=folder).stdout
    assert all(word in shown for word in ("exact", "high", "fast", "all keys", "Languages", "total variation"))
    report = json.loads(run("datastore", "recall", "a", "-k", "20", "--queries", "30", "--json", cwd=folder).stdout)
    exact, high, fast = report["results"]
    assert (exact["fidelity"], exact["figures"]["tv"], exact["figures"]["recall"]) == ("exact", pytest.approx(0), 1)
    assert high["searched_bytes"] == fast["searched_bytes"] != exact["searched_bytes"]
    assert set(high["languages"]) == {"en"}
    inspected = " ".join(run("datastore", "inspect", "a", cwd=folder).stdout.split())  # however narrow it is
    assert "ivf-sq8 by 1 codec" in inspected
    assert "at k 20, measured on this version" in inspected
    assert "safe to delete" in inspected
    assert "k-th minus first, k 16: " in inspected
    described = json.loads(run("datastore", "inspect", "a", "--json", cwd=folder).stdout)
    assert described["codecs"][0]["kind"] == "ivf-sq8"
    assert described["segments"][0]["codes"]["decision"] == "trained"
    assert described["measured"]["snapshot"] == described["snapshot"]
    assert described["distances"]["rows"] == described["rows"]
    assert f"(128 queries at {described['rows']:,} rows)" in inspected
    run("datastore", "index", "a", "--index", "exact", "-q", cwd=folder)
    later = " ".join(run("datastore", "inspect", "a", cwd=folder).stdout.split())
    assert "exact: no codes are stored" in later
    assert f"measured on version {described['snapshot'][:8]}" in later


@pytest.mark.parametrize(
    ("arguments", "code", "kind", "words"),
    [
        (["index", "nosuch"], 3, "not_found", "nosuch"),
        (["index", "b@~0"], 2, "usage", "version"),
        (["index", "b", "--index", "banana"], 2, "usage", "could not parse"),
        (["index", "b", "--index", "HNSW32"], 2, "usage", "stored codes"),
        (["index", "b", "--memory-budget", "10kB"], 2, "usage", "needs"),
        (["index", "b", "--memory-budget", "lots"], 2, "usage", "lots"),
        (["index", "b", "--target-recall", "2"], 2, "usage", "target-recall"),
        (["recall", "b", "-k", "0"], 2, "usage", "-k 0"),
        (["recall", "b", "--fidelity", "medium"], 2, "usage", "medium"),
        (["recall", "b", "--temperature", "warm"], 2, "usage", "warm"),
        (["recall", "nosuch-*"], 3, "not_found", "matches no datastore"),
        (["recall", "b", "--memory-budget", "1kB"], 2, "usage", "budget"),
        (["neighbors", "b", "hello", "-k", "0"], 2, "usage", "-k 0"),
        (["neighbors", "b", "hello", "--temperature", "-1"], 2, "usage", "temperature"),
        (["neighbors", "b", ""], 2, "input", "no token"),
        (["add", "b", "a.txt", "--codec", "maybe"], 2, "usage", "maybe"),
    ],
)
def test_bad_input_is_refused_with_a_hint(folder: Path, arguments: list[str], code: int, kind: str, words: str) -> None:
    before = json.loads(run("datastore", "inspect", "b", "--json", cwd=folder).stdout)["snapshot"]
    ended = run("datastore", *arguments, "--json", cwd=folder, code=code)
    error = json.loads(ended.stdout)["error"]
    assert error["kind"] == kind
    assert words in error["message"]
    assert error["hint"]
    assert json.loads(run("datastore", "inspect", "b", "--json", cwd=folder).stdout)["snapshot"] == before


def test_another_model_is_refused(folder: Path, other_tiny: str) -> None:
    ended = run("datastore", "neighbors", "b", "hello", "--model", other_tiny, cwd=folder, code=6)
    assert "differs in its weights" in ended.stderr
