from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goodctl.datastore.beside import cache_bytes
from goodctl.datastore.repository import Repository
from goodctl.datastore.store import Datastore
from goodctl.errors import ServiceError, UsageError
from goodctl.index.cache import DEFAULT_LIMIT_BYTES, Cache, Sink, limit_bytes, parse_bytes
from tests.index.stores import keys, rows_of, searcher, trained, write

QUERIES = keys(9, 5).astype(np.float32)


class Making:
    """Makes a file of some bytes, and counts how often."""

    def __init__(self, content: bytes = b"x" * 100) -> None:
        self.content = content
        self.times = 0

    def __call__(self, file: Sink) -> dict[str, Any]:
        self.times += 1
        file.write(self.content[:50])
        file.write(self.content[50:])
        return {"rows": len(self.content)}

    def get(self, cache: Cache, name: str = "a") -> Path:
        path, about = cache.file(name, self, len(self.content))
        assert path.read_bytes() == self.content
        assert about == {"rows": len(self.content)}
        return path


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[7] ^= 1
    path.write_bytes(content)


def test_a_file_is_made_once(tmp_path: Path) -> None:
    making = Making()
    path = making.get(Cache(tmp_path / "cache"))
    assert path.parent == tmp_path / "cache"
    making.get(Cache(tmp_path / "cache"))
    making.get(Cache(tmp_path / "cache"))
    assert making.times == 1
    assert path.stat().st_mode & 0o444 == 0o444, "other readers of the store may use it"
    assert sorted(each.suffix for each in path.parent.iterdir()) == [".bin", ".json"]


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        flip,
        lambda path: path.with_suffix(".json").unlink(),
        lambda path: path.with_suffix(".json").write_text("{"),
        lambda path: path.with_suffix(".json").write_text("[]"),
        lambda path: path.with_suffix(".json").write_text('{"format": 99}'),
    ],
)
def test_a_damaged_file_is_made_again(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    making = Making()
    path = making.get(Cache(tmp_path))
    damage(path)
    assert making.get(Cache(tmp_path)) == path
    assert making.times == 2
    making.get(Cache(tmp_path))
    assert making.times == 2


def test_a_copy_is_trusted_once_its_bytes_are_known(tmp_path: Path) -> None:
    making = Making()
    making.get(Cache(tmp_path / "a"))
    shutil.copytree(tmp_path / "a", tmp_path / "b", copy_function=shutil.copy)
    path = tmp_path / "b" / "a.bin"
    os.utime(path, ns=(1, 1))
    making.get(Cache(tmp_path / "b"))
    assert making.times == 1
    assert json.loads(path.with_suffix(".json").read_text())["modified_ns"] == 1


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def broken(file: Sink) -> dict[str, Any]:
        file.write(b"some")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Cache(tmp_path).file("a", broken, 4)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    def full(file: Sink) -> dict[str, Any]:
        raise OSError(28, "No space left on device")

    with pytest.raises(ServiceError, match=r"12 MB to the cache .*: No space left") as caught:
        Cache(tmp_path).file("a", full, 12_000_000)
    assert caught.value.hint and "Free some space" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServiceError, match="Cannot write"):
        Making().get(Cache(tmp_path / "file" / "cache"))


class TestLimit:
    @pytest.fixture(autouse=True)
    def limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOODCTL_CACHE_LIMIT", "350B")

    def fill(self, folder: Path, names: str) -> None:
        for age, name in enumerate(names):
            path = Making().get(Cache(folder), name)
            os.utime(path.with_suffix(".json"), ns=(age, age))

    def names(self, folder: Path) -> str:
        left = {path.stem for path in folder.iterdir()}
        assert left == {path.stem for path in folder.glob("*.bin")}, "no description without its file"
        return "".join(sorted(left))

    def test_what_was_not_used_for_longest_goes(self, tmp_path: Path) -> None:
        self.fill(tmp_path, "abc")
        assert self.names(tmp_path) == "abc"
        Making().get(Cache(tmp_path), "d")
        assert self.names(tmp_path) == "bcd"

    def test_use_keeps_a_file(self, tmp_path: Path) -> None:
        self.fill(tmp_path, "abc")
        Making().get(Cache(tmp_path), "a")
        Making().get(Cache(tmp_path), "d")
        assert self.names(tmp_path) == "acd"

    def test_as_many_go_as_are_in_the_way(self, tmp_path: Path) -> None:
        self.fill(tmp_path, "abc")
        Making(b"x" * 210).get(Cache(tmp_path), "d")
        assert self.names(tmp_path) == "cd"

    def test_what_is_in_use_stays(self, tmp_path: Path) -> None:
        cache = Cache(tmp_path)
        for name in "abcde":
            Making().get(cache, name)
        assert self.names(tmp_path) == "abcde"

    def test_a_file_larger_than_the_limit_is_made_all_the_same(self, tmp_path: Path) -> None:
        self.fill(tmp_path, "ab")
        Making(b"x" * 1000).get(Cache(tmp_path), "c")
        assert self.names(tmp_path) == "c"

    def test_the_files_of_a_search_stay_while_it_runs(self, tmp_path: Path) -> None:
        data = keys(0, 300)
        opened = searcher(write(tmp_path / "s", rows_of(data), codec=trained(data, "IVF4,SQ8")))
        first = opened.search(QUERIES, 7)
        np.testing.assert_array_equal(opened.search(QUERIES, 7).rows, first.rows)
        np.testing.assert_array_equal(searcher(opened.stores[0]).search(QUERIES, 7).rows, first.rows)


def test_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOODCTL_CACHE_LIMIT", raising=False)
    assert limit_bytes() == DEFAULT_LIMIT_BYTES
    monkeypatch.setenv("GOODCTL_CACHE_LIMIT", "1.5GiB")
    assert limit_bytes() == 3 * 2**29
    monkeypatch.setenv("GOODCTL_CACHE_LIMIT", "much")
    with pytest.raises(UsageError, match="GOODCTL_CACHE_LIMIT much"):
        limit_bytes()


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4GB", 4 * 10**9),
        ("512MiB", 2**29),
        ("1.5g", 15 * 10**8),
        (" 7 kb ", 7000),
        ("123", 123),
        ("2T", 2 * 10**12),
        ("1tib", 2**40),
        ("9B", 9),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_bytes(text, "--memory-budget") == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "0", "0GB", "4XB", "4 GB more", "1e9", "nan", "1,5GB", "."])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="--memory-budget") as caught:
        parse_bytes(text, "--memory-budget")
    assert caught.value.hint == "Write a number and a unit: --memory-budget 4GB"


def test_size_of_the_files_beside_a_store(tmp_path: Path) -> None:
    opened = write(tmp_path / "s", rows_of(keys(0, 300)))
    assert cache_bytes(opened) == 0
    searcher(opened).search(QUERIES, 5)
    files = list((tmp_path / "s" / "cache").iterdir())
    assert cache_bytes(opened) == sum(path.stat().st_size for path in files) > 300 * 16 * 2


class TestFilesOfAStore:
    def states(self, folder: Path) -> dict[str, tuple[int, int]]:
        return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("*.bin")}

    def test_an_addition_makes_files_of_its_own(self, tmp_path: Path) -> None:
        store, data = tmp_path / "s", keys(0, 300)
        codec = trained(data, "IVF4,SQ8")
        searcher(write(store, ("en", rows_of(data)), codec=codec)).search(QUERIES, 5)
        before = self.states(store / "cache")
        assert sorted(name.partition("-")[0] for name in before) == ["codec", "lists", "values"]
        write(store, ("fr", rows_of(keys(1, 200))), job="more", codec=codec)
        searcher(store).search(QUERIES, 5)
        after = self.states(store / "cache")
        assert len(after) == 5
        assert before.items() <= after.items()

    def test_versions_share_files(self, tmp_path: Path) -> None:
        store = tmp_path / "s"
        write(store, ("en", rows_of(keys(0, 300))))
        write(store, ("fr", rows_of(keys(1, 200))), job="more")
        newest = searcher(store).search(QUERIES, 5)
        made = self.states(store / "cache")
        earlier = searcher(Datastore.open(f"{store}@~1")).search(QUERIES, 5)
        assert self.states(store / "cache") == made
        assert earlier.rows.max() < 300 <= newest.rows.max()

    @pytest.mark.parametrize("factory", [None, "IVF4,SQ8", "SQ8"])
    def test_any_file_may_be_deleted_or_damaged(self, tmp_path: Path, factory: str | None) -> None:
        store, data = tmp_path / "s", keys(0, 300)
        opened = write(store, rows_of(data), codec=trained(data, factory) if factory else None)
        expected = searcher(opened).search(QUERIES, 5)
        for path in sorted((store / "cache").iterdir()):
            for damage in (Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1])):
                damage(path)
                found = searcher(opened).search(QUERIES, 5)
                np.testing.assert_array_equal(found.rows, expected.rows)
                np.testing.assert_array_equal(found.values, expected.values)

    def test_a_flipped_byte_does_not_reach_an_answer(self, tmp_path: Path) -> None:
        opened = write(tmp_path / "s", rows_of(keys(0, 300)))
        expected = searcher(opened).search(QUERIES, 5)
        for path in (tmp_path / "s" / "cache").glob("*.bin"):
            flip(path)
        found = searcher(opened).search(QUERIES, 5)
        np.testing.assert_array_equal(found.distances, expected.distances)
        np.testing.assert_array_equal(found.values, expected.values)

    def test_a_copied_store_brings_its_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        expected = searcher(write(tmp_path / "a", rows_of(keys(0, 300)))).search(QUERIES, 5)
        shutil.copytree(tmp_path / "a", tmp_path / "b", copy_function=shutil.copy)

        def never(*_arguments: object) -> None:
            raise AssertionError("a file was made again")

        monkeypatch.setattr(Cache, "_make", never)
        found = searcher(tmp_path / "b").search(QUERIES, 5)
        np.testing.assert_array_equal(found.rows, expected.rows)

    def test_a_store_that_cannot_be_written(
        self, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened = write(tmp_path / "s", rows_of(keys(0, 300)))
        expected = searcher(opened).search(QUERIES, 5)
        shutil.rmtree(tmp_path / "s" / "cache")
        monkeypatch.setattr(Repository, "cache_folder", lambda _: None)
        np.testing.assert_array_equal(searcher(opened).search(QUERIES, 5).rows, expected.rows)
        assert not (tmp_path / "s" / "cache").exists()
        assert len(list((own_cache / "datastores").glob("*.bin"))) == 2

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_a_read_only_folder(self, tmp_path: Path, own_cache: Path) -> None:
        store = write(tmp_path / "s", rows_of(keys(0, 300)))
        (tmp_path / "s").chmod(0o555)
        try:
            searcher(store).search(QUERIES, 5)
        finally:
            (tmp_path / "s").chmod(0o755)
        assert len(list((own_cache / "datastores").glob("*.bin"))) == 2
