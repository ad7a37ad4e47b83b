"""What every kind of search must do, whatever it is made of."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goodctl.errors import IncompatibleError, InputError, UsageError
from goodctl.index.codec import Codec
from goodctl.index.neighbors import Neighbors
from goodctl.index.plan import Settings
from goodctl.index.search import Searcher
from goodctl.workflows.index_choice import IndexChoice
from tests.index.stores import brute_force, keys, rows_of, searcher, split, trained, write

DATA = keys(0, 900)
QUERIES = keys(1, 40).astype(np.float32)
K = 20


def thoroughly(opened: Searcher) -> Searcher:
    """Look into all lists and compare all rows: every kind must then find what is nearest."""
    opened.settings = {
        name: Settings(max(1, codec.lists), math.ceil(opened.rows)) for name, codec in opened.codecs.items()
    }
    return opened


def assert_same(found: Neighbors, expected: Neighbors) -> None:
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_allclose(found.distances, expected.distances, rtol=1e-5, atol=1e-4)


class Contract:
    """Subclassed for each kind.

    Attributes:
        index: As ``--index`` names it.
        factory: Of the codec that shards share; None where there are no codes.
        recall: What tuning reaches for a target of 0.95.
    """

    index: str
    factory: str | None
    recall = 0.95

    @pytest.fixture(scope="class")
    def codec(self) -> Codec | None:
        return trained(DATA, self.factory) if self.factory else None

    @pytest.fixture(scope="class")
    def whole(self, tmp_path_factory: pytest.TempPathFactory, codec: Codec | None) -> Searcher:
        """All of the data in one store and one part."""
        return searcher(write(tmp_path_factory.mktemp("whole") / "s", rows_of(DATA), codec=codec))

    @pytest.fixture(scope="class")
    def shards(self, tmp_path_factory: pytest.TempPathFactory, codec: Codec | None) -> list[Path]:
        """The same data in three stores of many parts."""
        folder = tmp_path_factory.mktemp("shards")
        paths = [folder / f"shard-{number}" for number in range(3)]
        for path, piece in zip(paths, split(rows_of(DATA), 170, 640), strict=True):
            write(path, piece, codec=codec, part_bytes=4000)
        return paths

    @pytest.fixture(scope="class")
    def segments(self, tmp_path_factory: pytest.TempPathFactory, codec: Codec | None) -> Searcher:
        """The same data in one store of several segments, which came in two versions."""
        store = tmp_path_factory.mktemp("segments") / "s"
        first, second, third, last = split(rows_of(DATA), 20, 200, 880)
        write(store, ("en", first), ("fr", second), codec=codec)
        return searcher(write(store, ("de", third), ("it", last), job="more", codec=codec))

    @pytest.fixture(params=[(1, 0), (2, 1), (3, 4), (99, 0), (99, 3)], ids=str)
    def settings(self, request: pytest.FixtureRequest, whole: Searcher) -> dict[str, Settings]:
        nprobe, rerank = request.param
        return {name: Settings(min(nprobe, max(1, codec.lists)), rerank) for name, codec in whole.codecs.items()}

    def made(self, folder: Path, codec: Codec | None, *data: Any, **options: Any) -> Searcher:
        return thoroughly(searcher(write(folder, *(rows_of(each) for each in data), codec=codec, **options)))

    def test_reaches_its_recall(self, tmp_path: Path) -> None:
        choice = IndexChoice(self.index, k=K)
        opened = searcher(write(tmp_path / "s", rows_of(DATA), index=choice))
        found = opened.search(QUERIES, K).rows
        _, expected = brute_force(DATA, QUERIES, K)
        share = [len(set(some) & set(all_of_them)) / K for some, all_of_them in zip(found, expected, strict=True)]
        assert np.mean(share) >= self.recall - 0.03

    def test_looking_everywhere_is_brute_force(self, tmp_path: Path, codec: Codec | None) -> None:
        opened = self.made(tmp_path / "s", codec, DATA, part_bytes=5000)
        found = opened.search(QUERIES, K)
        distances, rows = brute_force(DATA, QUERIES, K)
        np.testing.assert_array_equal(found.rows, rows)
        np.testing.assert_allclose(found.distances, distances, rtol=1e-4, atol=1e-3)
        np.testing.assert_array_equal(found.values, rows_of(DATA).values[rows])
        assert [array.dtype.name for array in (found.distances, found.rows, found.values)] == [
            "float32",
            "int64",
            "int32",
        ]

    def test_stores_together_are_the_whole(
        self, whole: Searcher, shards: list[Path], settings: dict[str, Settings]
    ) -> None:
        together, globbed = searcher(*shards), Searcher.open([str(shards[0].parent / "shard-*")])
        for each in (whole, together, globbed):
            each.settings = settings
        expected = whole.search(QUERIES, K)
        assert_same(together.search(QUERIES, K), expected)
        assert_same(globbed.search(QUERIES, K), expected)

    def test_segments_together_are_the_whole(
        self, whole: Searcher, segments: Searcher, settings: dict[str, Settings]
    ) -> None:
        whole.settings = segments.settings = settings
        assert_same(segments.search(QUERIES, K), whole.search(QUERIES, K))

    @pytest.mark.parametrize("k", [900, 901, 10_000])
    def test_all_rows_are_found_where_more_are_asked_for(self, whole: Searcher, segments: Searcher, k: int) -> None:
        for opened in (whole, segments):
            opened.settings = {name: Settings(1, 0) for name in opened.codecs}
            found = opened.search(QUERIES[:5], k)
            np.testing.assert_array_equal(np.sort(found.rows, axis=1), np.tile(np.arange(900), (5, 1)))
            assert np.isfinite(found.distances).all()

    def test_lists_that_hold_too_little_are_not_the_end(self, whole: Searcher) -> None:
        whole.settings = {name: Settings(1, 0) for name in whole.codecs}
        found = whole.search(QUERIES, 700)
        assert found.rows.shape == (40, 700)
        assert all(len(set(rows)) == 700 and rows.min() >= 0 for rows in found.rows)

    @pytest.mark.parametrize("rows", [1, 3, 300])
    def test_small_stores(self, tmp_path: Path, codec: Codec | None, rows: int) -> None:
        opened = self.made(tmp_path / "s", codec, DATA[:rows])
        found = opened.search(QUERIES, 5)
        np.testing.assert_array_equal(found.rows, brute_force(DATA[:rows], QUERIES, 5)[1])

    def test_equal_keys_are_all_found(self, tmp_path: Path, codec: Codec | None) -> None:
        distinct = DATA[:30]
        data, values = np.tile(distinct, (8, 1)), np.arange(240) % 50
        opened = thoroughly(searcher(write(tmp_path / "s", rows_of(data, list(values)), codec=codec)))
        found = opened.search(distinct.astype(np.float32), 8)
        expected = np.arange(30)[:, None] + 30 * np.arange(8)
        np.testing.assert_array_equal(found.rows, expected)
        np.testing.assert_array_equal(found.values, values[expected])

    @pytest.mark.parametrize("k", [1, 7, 19])
    def test_ties_are_decided_by_row(self, tmp_path: Path, codec: Codec | None, k: int) -> None:
        data = np.concatenate([DATA[:1]] * 10 + [DATA[1:6]] + [DATA[:1]] * 10)
        opened = self.made(tmp_path / "s", codec, data, part_bytes=100)
        rows = opened.search(DATA[:1].astype(np.float32) + 0.25, k).rows
        np.testing.assert_array_equal(rows, brute_force(data, DATA[:1].astype(np.float32) + 0.25, k)[1])

    @pytest.mark.parametrize("size", [1, 7, 40])
    def test_the_size_of_a_batch_does_not_show(self, whole: Searcher, settings: dict[str, Settings], size: int) -> None:
        whole.settings = settings
        expected = whole.search(QUERIES, K)
        rows = [whole.search(QUERIES[start : start + size], K).rows for start in range(0, len(QUERIES), size)]
        np.testing.assert_array_equal(np.concatenate(rows), expected.rows)

    def test_nearest_first_and_equal_ones_by_row(self, whole: Searcher, settings: dict[str, Settings]) -> None:
        whole.settings = settings
        found = whole.search(QUERIES, K)
        assert (np.diff(found.distances, axis=1) >= 0).all()
        same = np.diff(found.distances, axis=1) == 0
        assert (np.diff(found.rows, axis=1)[same] > 0).all()

    def test_no_queries(self, whole: Searcher) -> None:
        assert whole.search(QUERIES[:0], K).rows.shape == (0, K)

    def test_queries_of_any_float_type(self, whole: Searcher) -> None:
        expected = whole.search(DATA[:3].astype(np.float32), K).rows
        np.testing.assert_array_equal(whole.search(DATA[:3], K).rows, expected)
        np.testing.assert_array_equal(whole.search(DATA[:3].astype(np.float64), K).rows, expected)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_queries_that_are_not_finite(self, whole: Searcher, bad: float) -> None:
        queries = QUERIES[:3].copy()
        queries[1, 5] = bad
        with pytest.raises(InputError, match="Query 1 of 3") as caught:
            whole.search(queries, K)
        assert caught.value.hint

    @pytest.mark.parametrize("shape", [(3, 15), (3, 17), (16,), (1, 3, 16)])
    def test_queries_of_another_shape(self, whole: Searcher, shape: tuple[int, ...]) -> None:
        with pytest.raises(IncompatibleError, match="dimension 16"):
            whole.search(np.zeros(shape, np.float32), K)

    @pytest.mark.parametrize("k", [0, -1])
    def test_no_neighbours_asked_for(self, whole: Searcher, k: int) -> None:
        with pytest.raises(UsageError, match=f"k is {k}"):
            whole.search(QUERIES, k)


class TestExact(Contract):
    index, factory, recall = "exact", None, 1.03


class TestIvfSq8(Contract):
    index, factory = "ivf-sq8", "IVF23,SQ8"


class TestIvfPq(Contract):
    index, factory = "ivf-pq", "IVF23,PQ2x8np"


class TestIvfFlat(Contract):
    index = factory = "IVF4,Flat"


class TestScalarQuantizerWithoutLists(Contract):
    index = factory = "SQ8"


class TestFlatCodes(Contract):
    index = factory = "Flat"
    recall = 1.03


class TestPcaInFront(Contract):
    index = factory = "PCA8,IVF4,SQ8"


class TestOpqInFront(Contract):
    index = factory = "OPQ2_4,IVF4,PQ2x6np"


class TestProductQuantizerWithoutLists(Contract):
    index = factory = "PQ2x8np"
