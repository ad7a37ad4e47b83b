"""The benchmarks of versions run on tiny stores and report the ratios they are about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from goodctl.datastore.store import Datastore
from tests.benchmarks.test_benchmarks import BENCHMARKS, load, run
from tests.fakes.tiny import tiny_model_folder


@pytest.fixture(autouse=True)
def _beside_each_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("GOODCTL_CACHE", str(tmp_path / "cache"))


def test_merge(capsys: pytest.CaptureFixture[str]) -> None:
    ratios = run("merge", capsys, "--rows", "400", "--dimension", "16", "--repeats", "1", "--sync", "--check")
    assert {"cp/merge", "cp/merge --check", "cp/merge, on the disk"} <= set(ratios)
    assert all(value > 0 for value in ratios.values())


def test_merge_of_given_stores_copies_duplicates_as_cp_does(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    stores = load("stores")
    names = [str(tmp_path / name) for name in ("first", "second")]
    for name in names:
        stores.write(Path(name), stores.random_rows(20_000, 16, 0), "job")
    assert run("merge", capsys, *names, "--repeats", "1")["bytes merge/cp"] == pytest.approx(1, abs=0.1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]


def test_remove(capsys: pytest.CaptureFixture[str]) -> None:
    ratios = run("remove", capsys, "--rows", "300", "--dimension", "16", "--repeats", "2")
    assert {"remove/write the rest", "remove, rest twice/once"} <= set(ratios)
    assert ratios["bytes, rest twice/once"] == pytest.approx(1, abs=0.3)
    assert ratios["bytes, remove/write the rest"] < 0.1


def test_remove_against_encoding(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = tiny_model_folder(tmp_path / "tiny", window=64)
    texts = [tmp_path / f"{language}.txt" for language in ("en", "fr", "de")]
    for path in texts:
        path.write_text("".join(f"{path.stem} {n} {'words ' * (n % 9)}\n" for n in range(20)), encoding="utf-8")
    words = ["--model", str(model), "--rows", "200", "--dimension", "16", "--repeats", "1", *map(str, texts)]
    assert run("remove", capsys, *words)["remove/encode the rest"] > 0
    with pytest.raises(SystemExit):
        load("remove").main(["--model", str(model)])


def test_removals_and_writes_leave_the_store_as_it_was(tmp_path: Path) -> None:
    remove, stores = load("remove"), load("stores")
    languages = {name: stores.random_rows(300, 16, seed) for seed, name in enumerate(("en", "fr"))}
    remove.write_languages(tmp_path / "store", languages)
    before = Datastore.open(str(tmp_path / "store"))
    assert [segment.language for segment in before.segments] == ["en", "fr"]
    for _ in range(2):
        seconds, written = remove.removing(tmp_path / "store", "en")
        assert seconds > 0
        assert written > 0
    assert Datastore.open(str(tmp_path / "store")).version.id == before.version.id
    remove.writing(tmp_path / "rest", languages)
    assert not (tmp_path / "rest").exists()


def test_versions(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ("--rows", "300", "--dimension", "16", "--commits", "3", "--repeats", "1")
    ratios = run("versions", capsys, *sizes)
    assert {"log, 3 versions, s", "log, 3 versions, command s", "open, 3 versions, s"} <= set(ratios)
    assert {"inspect, 300 rows, s", "inspect, 300 rows, command s"} <= set(ratios)


def test_version_memory(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ("--rows", "400", "--dimension", "16", "--small", "200", "--repeats", "1")
    ratios = run("version_memory", capsys, *sizes, "--actions", "shard", "remove")
    assert ratios.keys() == {"shard 10N/N", "remove 10N/N"}  # 0 here: a child's peak begins at that of pytest


def test_stores_for_memory_are_cut_in_every_part_and_can_be_compacted(tmp_path: Path) -> None:
    memory = load("version_memory")
    memory.make(str(tmp_path), 2000, 500, 16)
    store = Datastore.open(str(tmp_path / memory.STORE))
    assert [segment.rows for segment in store.segments] == [1000, 500, 500]
    for segment in store.segments:
        assert {source.name for source in segment.sources} == {"even.txt", memory.REMOVED}
        for part in store.parts(segment):
            assert set(np.unique(part.read("document_sources"))) == {0, 1}
    for name in ("merge", "compact"):
        assert memory.peak_of(memory.ACTIONS[name], tmp_path) > 0
    assert Datastore.open(store.location).version.id == store.version.id
