from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from goodctl.datastore.repository import Repository
from tests.cli.test_cli import run
from tests.datastore.rows import rows, write

COUNTS = [len(rows(seed).values) for seed in range(3)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store ``s`` of two versions."""
    write(tmp_path / "s", "one", ("en", rows(0)))
    write(tmp_path / "s", "two", ("fr", rows(1)))
    return tmp_path


def shown(folder: Path, *arguments: str) -> str:
    return run("datastore", *arguments, cwd=folder).stdout


def values(folder: Path, *arguments: str) -> Any:
    return json.loads(shown(folder, *arguments, "--json"))


def test_tags(folder: Path) -> None:
    assert "There is no tag" in shown(folder, "tag", "s")
    assert "Tag v1 is version" in shown(folder, "tag", "s@~1", "v1")
    (found,) = values(folder, "tag", "s")["tags"]
    assert set(found) == {"name", "kind", "snapshot", "written_at", "message", "rows"}
    assert (found["name"], found["rows"]) == ("v1", COUNTS[0])
    assert found["snapshot"][:8] in shown(folder, "tag", "s")
    assert values(folder, "inspect", "s@v1")["rows"] == COUNTS[0]
    assert "cannot be used again" in shown(folder, "tag", "s", "v1", "--delete")
    assert values(folder, "tag", "s")["tags"] == []
    assert "v1" in run("datastore", "tag", "s", "v1", cwd=folder, code=4).stderr


def test_branches(folder: Path) -> None:
    assert values(folder, "branch", "s@~1", "trial")["kind"] == "branch"
    assert [each["name"] for each in values(folder, "branch", "s")["branches"]] == ["main", "trial"]
    own = values(folder, "rollback", "s@trial", "main")["snapshot"]
    deleted = " ".join(shown(folder, "branch", "s", "trial", "--delete").split())
    assert own in deleted
    assert "goodctl datastore gc s" in deleted


def test_rollback_and_undo(folder: Path) -> None:
    ended = run("datastore", "rollback", "s", "@~1", "-m", "too much", cwd=folder)
    assert "Next: goodctl datastore log s" in ended.stderr
    assert f"{COUNTS[0] + COUNTS[1]:,} → {COUNTS[0]:,}" in ended.stdout
    first, second = values(folder, "log", "s")["versions"][:2]
    assert (first["command"], first["message"], first["parent"]) == ("rollback", "too much", second["snapshot"])
    assert f"-{COUNTS[1]:,}" in shown(folder, "log", "s").splitlines()[1]
    (undo,) = (line for line in ended.stdout.splitlines() if line.startswith("undo"))
    run(*undo.split()[2:], cwd=folder)
    assert values(folder, "inspect", "s")["rows"] == COUNTS[0] + COUNTS[1]
    assert len(values(folder, "log", "s")["versions"]) == 4


def test_diff(folder: Path) -> None:
    assert "No difference." in shown(folder, "diff", "s", "@main")
    text = shown(folder, "diff", "s@~1", "s")
    assert f"{COUNTS[0]:,} → {COUNTS[0] + COUNTS[1]:,} (+{COUNTS[1]:,})" in text
    assert all(word in text for word in ("Languages", "Sources", "Segments", "added", "fr"))
    found = values(folder, "diff", "s", "~1")
    assert found["differs"]
    assert [(each["language"], each["change"]) for each in found["segments"]] == [("fr", "removed")]


def test_the_graph_shows_what_the_log_of_main_does_not(folder: Path) -> None:
    run("datastore", "branch", "s@~1", "trial", cwd=folder)
    run("datastore", "rollback", "s@trial", "main", "-m", "on trial", cwd=folder)
    run("datastore", "tag", "s@~1", "v1", cwd=folder)
    assert "on trial" not in shown(folder, "log", "s")
    lines = shown(folder, "log", "s", "--graph").splitlines()
    assert sum("*" in line for line in lines) == 3
    assert all(any(f"({name})" in line for line in lines) for name in ("main", "trial", "v1"))
    entries = values(folder, "log", "s", "--graph")["versions"]
    ids = {entry["snapshot"] for entry in entries}
    assert all(entry["parent"] in ids for entry in entries[:-1])
    assert entries[-1]["parent"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "kind", "words"),
    [
        (["tag", "nosuch"], 3, "not_found", "nosuch"),
        (["tag", "s", "a b"], 2, "usage", "a b"),
        (["tag", "s", "rolled-back-x"], 2, "usage", "rolled-back-x"),
        (["tag", "s", "main"], 4, "exists", "main"),
        (["tag", "s@~1"], 2, "usage", "s@~1"),
        (["tag", "s@~9", "v2"], 3, "not_found", "~9"),
        (["tag", "s", "v2", "--delete"], 3, "not_found", "v1"),
        (["branch", "s", "v1"], 4, "exists", "v1"),
        (["branch", "s@~1", "main", "--delete"], 2, "usage", "s@~1"),
        (["branch", "s", "mian", "--delete"], 3, "not_found", "main"),
        (["rollback", "s", "~0"], 2, "usage", "newest version"),
        (["rollback", "s", "~9"], 3, "not_found", "~9"),
        (["rollback", "s@~1", "~1"], 2, "usage", "not a branch"),
        (["rollback", "s", "{never}"], 2, "usage", "never"),
        (["diff", "s", "nosuch"], 3, "not_found", "nosuch"),
        (["log", "s@~1", "--graph"], 2, "usage", "s@~1"),
    ],
)
def test_bad_input_is_refused_with_a_hint(folder: Path, arguments: list[str], code: int, kind: str, words: str) -> None:
    run("datastore", "tag", "s", "v1", cwd=folder)
    repository = Repository.open(str(folder / "s"))
    before = repository.branches(), repository.tags(), sorted(folder.rglob("*"))
    ended = run("datastore", *arguments, "--json", cwd=folder, code=code)
    error = json.loads(ended.stdout)["error"]
    assert error["kind"] == kind
    assert words in error["message"]
    assert error["hint"]
    assert (repository.branches(), repository.tags(), sorted(folder.rglob("*"))) == before


def test_main_is_never_deleted(folder: Path) -> None:
    assert "main cannot be deleted" in run("datastore", "branch", "s", "main", "--delete", cwd=folder, code=2).stderr
