"""merge, shard, remove, compact, verify and gc as a user runs them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_cli import run
from tests.datastore.contents import SOURCES, from_sources
from tests.datastore.rows import write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Stores: a with English and French, b with German."""
    both = ("en", from_sources(0, 9, [0])), ("fr", from_sources(1, 6, [0, 1]))
    write(tmp_path / "a", "one", *both, label="toxic", sources=SOURCES)
    write(tmp_path / "b", "two", ("de", from_sources(2, 40, [1, 2])), sources=SOURCES)
    return tmp_path


def told(folder: Path, *arguments: str, code: int = 0) -> Any:
    """A command's JSON."""
    done = run("datastore", *arguments, "--json", cwd=folder, code=code)
    return json.loads(done.stdout)


def failed(folder: Path, *arguments: str, code: int) -> str:
    done = run("datastore", *arguments, cwd=folder, code=code)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "Error: " in done.stderr
    return done.stderr


def test_merge(folder: Path) -> None:
    shown = run("datastore", "merge", "all", "a", "b", cwd=folder)
    assert "Merged into all: " in shown.stdout
    assert "en " in shown.stdout and "de " in shown.stdout
    assert "Next: goodctl datastore inspect all" in shown.stderr
    again = run("datastore", "merge", "--into", "all", "b", cwd=folder).stdout
    assert "Nothing to merge" in again
    assert "the same as" in again and "--keep-duplicates" in again
    result = told(folder, "merge", "--into", "b", "a@~0")
    assert (result["segments"], result["store_rows"]) == (2, told(folder, "inspect", "b")["rows"])
    assert "goodctl datastore merge NEW STORE STORE" in failed(folder, "merge", "all", code=2)
    assert "is a datastore already" in failed(folder, "merge", "all", "a", code=4)
    assert "There is no datastore" in failed(folder, "merge", "new", "none", code=3)
    assert "there is no such choice" in failed(folder, "merge", "new", "a", "--codec", "best", code=2)


def test_shard(folder: Path) -> None:
    shown = run("datastore", "shard", "a", "out", "--shards", "2", cwd=folder)
    assert "into 2 datastores" in shown.stdout
    assert "Next: goodctl datastore merge NEW out/0001-of-0002 out/0002-of-0002" in shown.stderr
    assert "was there" in run("datastore", "shard", "a", "out", "--shards", "2", cwd=folder).stdout
    result = told(folder, "shard", "a", "languages", "--by", "language")
    assert [Path(each["store"]).name for each in result["shards"]] == ["en", "fr"]
    assert "either by --shards or by --by" in failed(folder, "shard", "a", "x", code=2)
    assert "has 15 documents" in failed(folder, "shard", "a", "x", "--shards", "16", code=2)


def test_remove(folder: Path) -> None:
    asked = run("datastore", "remove", "a", "-l", "fr", "--dry-run", cwd=folder).stdout
    assert "Would remove" in asked and "1 whole segment" in asked
    shown = run("datastore", "remove", "a", "-l", "fr", cwd=folder).stdout
    before = told(folder, "log", "a")["versions"][1]["snapshot"]
    assert f"in earlier versions, such as a@{before[:8]}" in " ".join(shown.split())
    result = told(folder, "remove", "b", "--document", "texts/second.txt:1", "--document", "more/second.txt:3")
    assert (result["documents"], result["rewritten"], result["segments"]) == (2, 1, 0)
    assert "no language fr: it has en" in failed(folder, "remove", "a", "-l", "fr", code=3)
    assert "Nothing says what to remove" in failed(folder, "remove", "a", code=2)
    assert "several sources second.txt" in failed(folder, "remove", "b", "--source", "second.txt", code=2)
    assert "not a branch" in failed(folder, "remove", "a@~1", "-l", "en", code=2)


def test_compact(folder: Path) -> None:
    assert "Nothing to compact" in run("datastore", "compact", "a", cwd=folder).stdout
    for number in range(3):
        write(folder / "b", f"more{number}", ("de", from_sources(10 + number, 4, [0])), sources=SOURCES)
    shown = run("datastore", "compact", "b", cwd=folder).stdout
    assert "4 segments into 1" in shown
    assert "in the same order" in shown
    write(folder / "a", "again", ("en", from_sources(20, 4, [0])), label="toxic", sources=SOURCES)
    assert told(folder, "compact", "a", "--reorder")["reordered"]


def test_verify(folder: Path) -> None:
    assert "a is good: " in run("datastore", "verify", "a", "--deep", cwd=folder).stdout
    assert told(folder, "verify", "a")["good"]
    shutil.copytree(folder / "a", folder / "bad")
    manifest = sorted((folder / "bad" / "repository" / "manifests").iterdir())[0]
    content = bytearray(manifest.read_bytes())
    content[-3] ^= 1
    manifest.write_bytes(bytes(content))
    shown = run("datastore", "verify", "bad", cwd=folder, code=6).stdout
    assert "bad is damaged" in shown
    assert f"repository/manifests/{manifest.name}" in shown
    result = told(folder, "verify", "bad", code=6)
    assert not result["good"] and result["problems"]
    assert "There is no datastore" in failed(folder, "verify", "none", code=3)


def test_gc(folder: Path) -> None:
    run("datastore", "remove", "a", "-l", "fr", "-q", cwd=folder)
    asked = run("datastore", "gc", "a", "--keep-last", "1", "--dry-run", cwd=folder).stdout
    assert "Would free" in asked and "1 dropped, 1 kept" in asked and "Would be dropped" in asked
    assert told(folder, "gc", "a")["dropped"] == []
    assert [each["message"] for each in told(folder, "gc", "a", "--keep-last", "1")["dropped"]] == ["add one"]
    assert told(folder, "verify", "a", "--deep")["good"]
    assert "that is no age" in failed(folder, "gc", "a", "--older-than", "soon", code=2)
    assert "at least one version stays" in failed(folder, "gc", "a", "--keep-last", "0", code=2)


def test_a_branch_is_written_and_main_is_not(folder: Path) -> None:
    run("datastore", "branch", "a", "trial", cwd=folder)
    run("datastore", "remove", "a@trial", "-l", "fr", "-q", cwd=folder)
    assert set(told(folder, "inspect", "a")["languages"]) == {"en", "fr"}
    assert set(told(folder, "inspect", "a@trial")["languages"]) == {"en"}
