"""The benchmarks of the search run on tiny stores and report the ratios they are about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goodctl.datastore.repository import Repository, writer_lock
from goodctl.datastore.writer import Addition, Writer
from tests.benchmarks.test_benchmarks import BENCHMARKS, load, run


@pytest.fixture(autouse=True)
def _beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture
def store(tmp_path: Path) -> str:
    """Three languages of 1,500 random rows."""
    stores = load("stores")
    location = str(tmp_path / "store")
    with writer_lock(location, "test"):
        addition = Addition("build", "build", "job", None, "fp32", {}, (stores.SourceInfo(0, "x", "0" * 64, 1),))
        writer = Writer(Repository.create(location), stores.header(16), addition)
        for seed, language in enumerate(("en", "fr", "de")):
            for block in stores.random_rows(1500, 16, seed):
                writer.append(language, block)
        writer.finish({"position": {}}, str, {"rows": 1, "documents": 1, "languages": {}})
    return location


def finite(ratios: dict[str, Any]) -> bool:
    return all(np.isfinite(value) for value in ratios.values())


def test_index_add(capsys: pytest.CaptureFixture[str], store: str) -> None:
    sizes = ("--old", "1200", "--new", "400", "--factory", "IVF4,PQ4", "--repeats", "1")
    ratios = run("index_add", capsys, store, *sizes)
    assert {"textbook/add", "grown/small", "index/add"} <= set(ratios)
    assert finite(ratios)


def test_index_recall(capsys: pytest.CaptureFixture[str], store: str) -> None:
    ratios = run("index_recall", capsys, store, "--queries", store, "--count", "30", "-k", "20", "--repeats", "1")
    assert 0 <= ratios["ivf-sq8 TV"] < 0.2
    assert 0.8 < ratios["ivf-sq8 recall"] <= 1
    assert {"ivf-sq8 exact/high", "ivf-pq exact/high"} <= set(ratios)


def test_index_growth(capsys: pytest.CaptureFixture[str], store: str) -> None:
    ratios = run("index_growth", capsys, store, "--count", "30", "-k", "20", "--repeats", "1", "--rows", "600")
    assert -1 < ratios["added, auto: worst loss of recall"] < 0.3
    assert finite(ratios)


def test_index_open(capsys: pytest.CaptureFixture[str], store: str) -> None:
    ratios = run("index_open", capsys, store, "--repeats", "1")
    assert {"ivf-sq8 opening s", "ivf-pq memory"} <= set(ratios)
    assert finite(ratios)
    assert 0.5 < ratios["ivf-pq bytes after adding / new rows' codes and values"] < 2
    assert ratios["ivf-sq8 share of new rows"] == pytest.approx(1 / 3)


def test_queries_are_of_all_languages_and_of_the_language_they_say(store: str, tmp_path: Path) -> None:
    stores = load("index_stores")
    from goodctl.datastore.store import Datastore
    from goodctl.index.search import Searcher

    source = Datastore.open(store)
    turned = stores.copied(source, source.segments[::-1], tmp_path / "turned").location
    searcher = Searcher.open([store])
    for held_out in (None, turned):
        queries = stores.queries_for(searcher, held_out, 12)
        assert len(queries.keys) == 12
        assert set(queries.segments[:8]) == {0, 1, 2}
        for key, number in zip(queries.keys, queries.segments, strict=True):
            assert (source.read(source.segments[number], "keys") == key).all(1).any()
    only = stores.copied(source, source.segments[:1], tmp_path / "only").location
    with pytest.raises(SystemExit, match="no text in fr"):
        stores.queries_for(searcher, only, 12)


def test_index_factories(capsys: pytest.CaptureFixture[str], store: str) -> None:
    assert (
        run("index_factories", capsys, store, "--sample", "1200", "--lists", "4")["error with a transform / without"]
        > 0
    )


def test_copies_have_the_rows_of_the_store(store: str, tmp_path: Path) -> None:
    copied = load("index_stores").copied
    from goodctl.datastore.store import Datastore

    source = Datastore.open(store)
    copy = copied(source, source.segments[1:], tmp_path / "copy")
    assert [segment.sha256 for segment in copy.segments] == [segment.sha256 for segment in source.segments[1:]]
    short = copied(source, source.segments[:1], tmp_path / "short", 300)
    assert 200 < short.rows <= 300
    np.testing.assert_array_equal(
        short.read(short.segments[0], "keys"), source.read(source.segments[0], "keys")[: short.rows]
    )
