"""Stores that may only be read, and lock holders that have died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goodctl.datastore.collect import gc
from goodctl.datastore.compaction import compact
from goodctl.datastore.diff import diff
from goodctl.datastore.history import log
from goodctl.datastore.names import create_branch, create_tag
from goodctl.datastore.removal import remove
from goodctl.datastore.removal_plan import Removal
from goodctl.datastore.repository import is_store, writer_lock
from goodctl.datastore.rollback import rollback
from goodctl.datastore.sharding import shard
from goodctl.datastore.store import Datastore
from goodctl.datastore.summary import summary
from goodctl.errors import ConflictError, NotFoundError, ServiceError
from goodctl.workflows.merge import MergeChoice, merge
from goodctl.workflows.verify import verify
from tests.datastore.contents import check_description, documents
from tests.datastore.places import CPU, described, write_store
from tests.datastore.rows import rows, write


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A store that nobody may write to, not even root."""
    folder = tmp_path / "read-only"
    write_store(folder)
    if os.geteuid() == 0:
        bound = subprocess.run(["mount", "--bind", str(folder), str(folder)], capture_output=True).returncode
        if bound or subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], capture_output=True).returncode:
            pytest.skip("mounting is not allowed here")
    else:
        for path in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
            path.chmod(0o555)
    try:
        yield folder
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", "-l", str(folder)], check=False)
        for path in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
            path.chmod(0o755)


def test_reading_what_may_not_be_written(read_only: Path, tmp_path: Path) -> None:
    store = str(read_only)
    before = documents(read_only)
    assert [entry.message for entry in log(store)] == ["add 0-2", "add 0-1", "add 0-0"]
    assert summary(Datastore.open(store))["rows"] == 8000
    assert len(documents(f"{store}@~2")) == 600
    assert diff(f"{store}@~1", store).total.rows == 8000
    assert verify(store, deep=True, device="cpu").is_good
    assert gc(store, keep_last=1, dry_run=True).versions == 1
    merge([store], out=str(tmp_path / "merged"), choice=MergeChoice(device="cpu", check=True))
    assert documents(tmp_path / "merged") == before
    shards = shard(store, str(tmp_path / "shards"), count=2, check=True).shards
    assert [each for one in shards for each in documents(one.store)] == before


@pytest.mark.parametrize(
    "work",
    [
        lambda store: remove(store, Removal(languages=("fr",))),
        lambda store: remove(store, Removal(documents=("some.txt:5",))),
        compact,
        lambda store: merge([store], into=store, choice=MergeChoice(keep_duplicates=True, device="cpu")),
        lambda store: merge([store], out=f"{store}/new", choice=CPU),
        lambda store: shard(store, f"{store}/shards", count=2),
        lambda store: create_tag(store, "v1"),
        lambda store: create_branch(store, "trial"),
        lambda store: rollback(store, "~1"),
        lambda store: gc(store, keep_last=1),
    ],
    ids=["remove", "remove-partial", "compact", "merge-into", "merge", "shard", "tag", "branch", "rollback", "gc"],
)
def test_writing_what_may_not_be_written(read_only: Path, work: Callable[[str], object]) -> None:
    before = described(read_only)
    with pytest.raises(ServiceError, match=r"No permission to write to|Read-only file system") as caught:
        work(str(read_only))
    assert caught.value.exit_code == 5
    assert str(read_only) in caught.value.message
    assert described(read_only) == before


_HOLD = """
import sys
from goodctl.datastore.repository import writer_lock
with writer_lock(sys.argv[1], "goodctl datastore compact"):
    print("held", flush=True)
    sys.stdin.read()
"""

_CHANGE = """
import sys
from goodctl.datastore.change import changing
from goodctl.datastore.parts import segment_group, write_part
with changing(sys.argv[1], "merge") as change:
    segment = change.current.segments[0]
    for number, part in enumerate(change.current.parts(segment)):
        write_part(segment_group(change.root, "new"), number, part.read_all())
    change.delete(segment)
    print("held", flush=True)
    sys.stdin.read()
"""


def die_holding(store: Path, script: str) -> int:
    """A process takes the lock and is killed; gives its id."""
    command = [sys.executable, "-c", script, str(store)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(ConflictError, match=f"process {process.pid} on "), writer_lock(str(store), "test"):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    return process.pid


@pytest.mark.parametrize("script", [_HOLD, _CHANGE], ids=["holding", "changing"])
def test_a_lock_holder_that_has_died(tmp_path: Path, script: str) -> None:
    store = tmp_path / "s"
    write_store(store)
    before = described(store)
    dead = die_holding(store, script)
    assert f'"pid": {dead}' in (store / ".lock-holder").read_text()
    assert described(store) == before
    check_description(store)
    remove(str(store), Removal(languages=("fr",)))
    assert not (store / ".lock-holder").exists()
    die_holding(store, script)
    with writer_lock(str(store), "goodctl datastore add"):
        assert f'"pid": {os.getpid()}' in (store / ".lock-holder").read_text(), "the one that lives is named"
    compact(str(store))
    assert documents(store) == [each for each in before[0] if each.language != "fr"]
    check_description(store)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"pid": 1, "host": 1, "command": 1, "since": "x"}'])
def test_a_note_on_the_holder_that_makes_no_sense(tmp_path: Path, text: str) -> None:
    store = tmp_path / "s"
    write(store, "build", ("en", rows(0)))
    with writer_lock(str(store), "test"):
        (store / ".lock-holder").write_text(text)
        with pytest.raises(ConflictError, match="is being written by another process"), writer_lock(str(store), "x"):
            pass
    with writer_lock(str(store), "test"):
        pass


def test_the_lock_of_one_that_died_before_there_was_a_store(tmp_path: Path) -> None:
    store = tmp_path / "s"
    die_holding(store, _HOLD)
    assert not is_store(str(store))
    with pytest.raises(NotFoundError, match="is a folder, but not a datastore"):
        Datastore.open(str(store))
    write_store(tmp_path / "other")
    merge([str(tmp_path / "other")], out=str(store), choice=CPU)
    assert documents(store) == documents(tmp_path / "other")
