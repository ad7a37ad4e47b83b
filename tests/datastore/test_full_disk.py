"""Disks that fill up: nothing has changed where there was no room for all of it, and room is all it takes."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goodctl.datastore.collect import gc
from goodctl.datastore.compaction import compact
from goodctl.datastore.history import log
from goodctl.datastore.removal import remove
from goodctl.datastore.removal_plan import Removal
from goodctl.datastore.repository import Repository
from goodctl.datastore.sharding import shard
from goodctl.datastore.store import Datastore
from goodctl.errors import ServiceError
from goodctl.workflows.merge import MergeChoice, merge
from goodctl.workflows.verify import verify
from tests.datastore.contents import check_description, documents
from tests.datastore.places import CPU, described, write_store

DISK_BYTES = 12 * 2**20
PAGE = 4096
STEP = 40 * PAGE
FILL = "fill"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system."""
    small = tmp_path / "small"
    small.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(small)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield small
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


def leave_free(disk: Path, size: int) -> None:
    """Fill a file system up to some pages."""
    (disk / FILL).unlink(missing_ok=True)
    with (disk / FILL).open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(PAGE, (shutil.disk_usage(disk).free - size) // PAGE * PAGE))
    assert abs(shutil.disk_usage(disk).free - size) <= 2 * PAGE


def run_short_of_space(disk: Path, store: Path, work: Callable[[], object], *, untouched: Path | None = None) -> None:
    """Run a command with more and more room until there is enough of it.

    With too little it is refused and the store is what it was, and can be written as soon as there is room.

    Args:
        disk: Where everything is.
        store: What the command reads or changes.
        work: The command.
        untouched: Place of a new store that it makes: with too little room nothing is there.
    """
    before = described(store)
    kept = disk.parent / "kept"
    shutil.copytree(store, kept)
    free = refusals = 0
    while True:
        leave_free(disk, free)
        try:
            work()
        except ServiceError as error:
            assert error.exit_code == 5
            assert error.message.startswith("The disk is full"), error.message
            assert error.hint and "Free some space" in error.hint
        else:
            break
        refusals += 1
        assert described(store) == before, f"{free} bytes were free"
        assert untouched is None or not untouched.exists()
        (disk / FILL).unlink()
        remove(str(store), Removal(languages=("fr",)))
        assert documents(store) == [each for each in before[0] if each.language != "fr"]
        check_description(store)
        shutil.rmtree(store)
        shutil.copytree(kept, store)
        free += STEP
        assert free < DISK_BYTES
    assert refusals >= 4
    (disk / FILL).unlink()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks beforehand whether there is room: writing itself fails, in the middle."""
    monkeypatch.setattr(Repository, "require_space", lambda _self, _size: None)


def test_remove_on_a_full_disk(disk: Path) -> None:
    store = disk / "s"
    write_store(store)
    before = documents(store)
    run_short_of_space(disk, store, lambda: remove(str(store), Removal(documents=("some.txt:5", "some.txt:250"))))
    assert documents(store) == [each for each in before if each.line not in {5, 250}]
    check_description(store)


def test_compact_on_a_full_disk(disk: Path) -> None:
    store = disk / "s"
    write_store(store)
    before = documents(store)
    run_short_of_space(disk, store, lambda: compact(str(store)))
    assert documents(store) == before
    assert [segment.parts for segment in Datastore.open(str(store)).segments] == [1, 1]
    check_description(store)


def test_merge_into_on_a_full_disk(disk: Path, tmp_path: Path, patient: None) -> None:
    store = disk / "s"
    write_store(store)
    write_store(tmp_path / "other", seed=10)
    expected = documents(store) + documents(tmp_path / "other")
    run_short_of_space(disk, store, lambda: merge([str(tmp_path / "other")], into=str(store), choice=CPU))
    assert documents(store) == expected
    check_description(store)


def test_merge_into_a_new_store_on_a_full_disk(disk: Path, patient: None) -> None:
    store, new = disk / "s", disk / "new"
    write_store(store)
    run_short_of_space(disk, store, lambda: merge([str(store)], out=str(new), choice=CPU), untouched=new)
    assert documents(new) == documents(store)
    check_description(new)


def test_merge_asks_beforehand(disk: Path) -> None:
    store = disk / "s"
    write_store(store)
    leave_free(disk, 2**20)
    before, used = described(store), shutil.disk_usage(disk).used
    with pytest.raises(ServiceError, match=r"The disk is full: 1\.1 MB to write"):
        merge([str(store)], into=str(store), choice=MergeChoice(keep_duplicates=True, device="cpu"))
    assert described(store) == before
    assert shutil.disk_usage(disk).used - used <= 4 * PAGE


def test_shard_on_a_full_disk(disk: Path, tmp_path: Path) -> None:
    """The shards that there was room for are whole, and are kept by the next run."""
    store, out = tmp_path / "s", disk / "shards"
    write_store(store)
    before, made, free, refusals = described(store), 0, 0, 0
    while True:
        leave_free(disk, free)
        try:
            result = shard(str(store), str(out), count=3)
        except ServiceError as error:
            assert error.exit_code == 5
            assert error.message.startswith("The disk is full"), error.message
        else:
            break
        refusals += 1
        there = sorted(path.name for path in out.iterdir()) if out.exists() else []
        assert there == [f"000{number}-of-0003" for number in range(1, len(there) + 1)]
        assert len(there) >= made, "what was made stays"
        made = len(there)
        for name in there:
            check_description(out / name)
        free += STEP
    assert refusals >= 4
    assert made in {1, 2}
    assert [each.kept for each in result.shards] == [number < made for number in range(3)]
    assert described(store) == before
    assert [each for one in result.shards for each in documents(Path(one.store))] == before[0]
    for one in result.shards:
        check_description(one.store)


def test_collecting_makes_room_on_a_full_disk(disk: Path, tmp_path: Path, patient: None) -> None:
    store = disk / "s"
    write_store(store)
    write_store(tmp_path / "other", seed=10)
    before = described(store)
    leave_free(disk, 4 * STEP)
    with pytest.raises(ServiceError, match="The disk is full"):
        merge([str(tmp_path / "other")], into=str(store), choice=CPU)
    (disk / FILL).unlink()
    leave_free(disk, 0)
    result = gc(str(store))  # what the merge has left
    assert not result.dropped
    assert shutil.disk_usage(disk).free >= STEP
    assert described(store) == before
    assert verify(str(store), deep=True, device="cpu").is_good


@pytest.mark.parametrize("free", [0, 1, 2, 3, 4, 6, 8, 12])
def test_dropping_versions_on_a_full_disk(disk: Path, free: int) -> None:
    """All that is to stay is there, whether or not there was room to rewrite what names it; again, it is done."""
    store = disk / "s"
    write_store(store)
    compact(str(store))
    remove(str(store), Removal(documents=("some.txt:5",)))
    before = described(store)
    leave_free(disk, free * PAGE)
    with contextlib.suppress(ServiceError):
        gc(str(store), keep_last=1)
    (disk / FILL).unlink()
    assert documents(store) == before[0]
    assert verify(str(store), deep=True, device="cpu").is_good
    assert [entry.snapshot for entry in log(str(store))][:1] == before[1][:1]
    gc(str(store), keep_last=1)
    assert described(store) == (before[0], before[1][:1])
    assert verify(str(store), deep=True, device="cpu").is_good
