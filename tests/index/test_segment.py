from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goodctl.errors import DamagedError, IncompatibleError, MissingDependency, NotFoundError, UsageError
from goodctl.index import segment
from goodctl.index.fidelities import FAST, HIGH
from goodctl.index.plan import Settings, settings_of
from goodctl.index.search import Searcher
from goodctl.index.stores import expand
from tests.index.stores import Keys, brute_force, keys, rows_of, searcher, trained, without_faiss, write

DATA = keys(0, 800)
OTHER = (keys(5, 700) + 3).astype(np.float16)
QUERIES = np.concatenate([keys(1, 20), keys(6, 20) + 3]).astype(np.float32)
K = 15


def everywhere(opened: Searcher, rerank: int = 0) -> Searcher:
    opened.settings = {name: Settings(max(1, codec.lists), rerank) for name, codec in opened.codecs.items()}
    return opened


def shares(found: Any, data: Keys, k: int = K) -> float:
    _, rows = brute_force(data, QUERIES, k)
    return float(np.mean([len(set(some) & set(best)) / k for some, best in zip(found.rows, rows, strict=True)]))


class TestLists:
    @pytest.mark.parametrize("factory", ["IVF4,SQ8", "IVF7,PQ4x8np", "PCA5,IVF4,SQ6", "IVF300,Flat"])
    def test_every_row_is_in_its_list(self, tmp_path: Path, factory: str) -> None:
        codec = trained(DATA, factory)
        opened = searcher(write(tmp_path / "s", rows_of(DATA), codec=codec, part_bytes=3000))
        lists = opened.segments[0].inverted_lists(codec)
        np.testing.assert_array_equal(np.sort(lists.rows), np.arange(800))
        numbers, bare = codec.split(codec.encode(DATA, opened.device))
        np.testing.assert_array_equal(lists.sizes, np.bincount(numbers, minlength=codec.lists))
        starts = np.concatenate([[0], np.cumsum(lists.sizes)])
        import faiss

        for number in range(codec.lists):
            rows = np.asarray(lists.rows[starts[number] : starts[number + 1]])
            np.testing.assert_array_equal(numbers[rows], number)
            assert (np.diff(rows) > 0).all()
            size = int(lists.view.list_size(number))
            assert size == len(rows)
            if size:
                codes = faiss.rev_swig_ptr(lists.view.get_codes(number), size * codec.bare_code_size)
                np.testing.assert_array_equal(codes.reshape(size, -1), bare[rows])

    def test_codes_that_do_not_fit_into_memory_are_sorted_in_passes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        codec = trained(DATA, "IVF9,SQ8")
        stores = [write(tmp_path / name, rows_of(DATA), codec=codec, part_bytes=3000) for name in "ab"]
        searcher(stores[0]).search(QUERIES, K)
        monkeypatch.setattr(segment, "BATCH_BYTES", 3000)
        searcher(stores[1]).search(QUERIES, K)
        files = [next((tmp_path / name / "cache").glob("lists-*.bin")).read_bytes() for name in "ab"]
        assert files[0] == files[1]


class TestSeveralCodecs:
    @pytest.fixture(scope="class")
    def mixed(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A store of three segments: of a codec each, and without one."""
        store = tmp_path_factory.mktemp("mixed") / "s"
        write(store, ("en", rows_of(DATA)), codec=trained(DATA, "IVF8,SQ8"))
        write(store, ("fr", rows_of(OTHER)), job="more", codec=trained(OTHER, "IVF6,SQ8"))
        write(store, ("de", rows_of(keys(7, 300))), job="exact")
        return store

    all_of_them = np.concatenate([DATA, OTHER, keys(7, 300)])

    def test_each_segment_is_searched_with_its_own(self, mixed: Path) -> None:
        opened = everywhere(searcher(mixed))
        assert len(opened.codecs) == 2
        assert opened.coded == [True, True, False]
        assert shares(opened.search(QUERIES, K), self.all_of_them) > 0.98
        np.testing.assert_array_equal(
            everywhere(opened, 200).search(QUERIES, K).rows, brute_force(self.all_of_them, QUERIES, K)[1]
        )

    def test_distances_are_exact_where_codecs_are_mixed(self, mixed: Path) -> None:
        found = everywhere(searcher(mixed)).search(QUERIES, K)
        differences = self.all_of_them[found.rows].astype(np.float64) - QUERIES[:, None]
        np.testing.assert_allclose(found.distances, (differences**2).sum(2), rtol=1e-4)

    def test_coarse_codecs_are_compared_by_keys(self, tmp_path: Path) -> None:
        store = tmp_path / "s"
        write(store, ("en", rows_of(DATA)), codec=trained(DATA, "IVF4,SQ8"))
        write(store, ("fr", rows_of(OTHER)), job="more", codec=trained(OTHER, "IVF4,PQ2x4np"))
        found = everywhere(searcher(store)).search(QUERIES, 200)
        data = np.concatenate([DATA, OTHER])
        differences = data[found.rows].astype(np.float64) - QUERIES[:, None]
        np.testing.assert_allclose(found.distances, (differences**2).sum(2), rtol=1e-4)
        assert shares(found, data, 200) > 0.75

    def test_exact_fidelity_needs_no_codec(self, mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        without_faiss(monkeypatch)
        opened = searcher(mixed, fidelity="exact")
        assert opened.codecs == {}
        np.testing.assert_array_equal(opened.search(QUERIES, K).rows, brute_force(self.all_of_them, QUERIES, K)[1])
        with pytest.raises(MissingDependency) as caught:
            searcher(mixed)
        assert caught.value.hint and "pip install" in caught.value.hint

    def test_all_rows_are_found(self, mixed: Path) -> None:
        opened = searcher(mixed)
        opened.settings = {name: Settings(1, 0) for name in opened.codecs}
        found = opened.search(QUERIES[:2], 5000)
        np.testing.assert_array_equal(np.sort(found.rows, axis=1), np.tile(np.arange(1800), (2, 1)))


class TestTogether:
    def test_rows_are_numbered_in_the_order_of_the_stores(self, tmp_path: Path) -> None:
        first, second = (write(tmp_path / name, rows_of(data)) for name, data in (("a", DATA), ("b", OTHER)))
        forth, back = searcher(first, second).search(QUERIES, K), searcher(second, first).search(QUERIES, K)
        np.testing.assert_allclose(forth.distances, back.distances, rtol=1e-4)
        moved = np.where(back.rows < 700, back.rows + 800, back.rows - 700)
        np.testing.assert_array_equal(np.sort(forth.rows), np.sort(moved))

    @pytest.mark.parametrize(
        ("change", "what"),
        [
            ({"key_layer": "ffn-output"}, "key layer"),
            ({"model": {"name": "x", "fingerprint": {"weights": "other"}}}, "model"),
        ],
    )
    def test_stores_of_different_keys(self, tmp_path: Path, change: dict[str, Any], what: str) -> None:
        write(tmp_path / "a", rows_of(DATA))
        write(tmp_path / "b", rows_of(DATA), **change)
        with pytest.raises(IncompatibleError, match=f"their {what} differs") as caught:
            searcher(tmp_path / "a", tmp_path / "b")
        assert str(tmp_path / "b") in caught.value.message

    @pytest.mark.parametrize("other", [keys(0, 10, 8), keys(0, 10, dtype="float32")])
    def test_stores_of_keys_of_another_form(self, tmp_path: Path, other: Keys) -> None:
        write(tmp_path / "a", rows_of(DATA))
        write(tmp_path / "b", rows_of(other))
        with pytest.raises(IncompatibleError, match="cannot be searched together"):
            searcher(tmp_path / "a", tmp_path / "b")

    def test_globs_and_versions(self, tmp_path: Path) -> None:
        for name in ("b", "a", "c"):
            write(tmp_path / name, ("en", rows_of(DATA[:10])))
        write(tmp_path / "a", ("fr", rows_of(DATA[:20])), job="more")
        (tmp_path / "d").mkdir()
        assert expand([f"{tmp_path}/*"]) == [f"{tmp_path}/{name}" for name in "abc"]
        assert expand([f"{tmp_path}/c", f"{tmp_path}/[ab]"]) == [f"{tmp_path}/{name}" for name in "cab"]
        assert Searcher.open([f"{tmp_path}/*"]).rows == 50
        assert Searcher.open([f"{tmp_path}/a@~1", f"{tmp_path}/b"]).rows == 20
        with pytest.raises(NotFoundError, match="matches no datastore"):
            expand([f"{tmp_path}/x*"])

    def test_a_folder_with_the_name_of_a_glob(self, tmp_path: Path) -> None:
        write(tmp_path / "a[1]", rows_of(DATA[:10]))
        assert expand([f"{tmp_path}/a[1]"]) == [f"{tmp_path}/a[1]"]

    def test_nothing_to_search(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="No datastore is named"):
            Searcher.open([])
        store = write(tmp_path / "s", ("en", rows_of(DATA[:1])))
        with pytest.raises(UsageError, match="no fidelity 'low'") as caught:
            searcher(store, fidelity="low")
        assert caught.value.hint == "Choose one of exact, high, fast."

    def test_values_outside_the_vocabulary_are_damage(self, tmp_path: Path) -> None:
        store = write(tmp_path / "s", rows_of(DATA[:10], [*range(9), 50]))
        with pytest.raises(DamagedError, match="outside the vocabulary"):
            searcher(store).search(QUERIES, 1)


class TestPlan:
    def test_a_budget_that_is_too_small(self, tmp_path: Path) -> None:
        exact = write(tmp_path / "a", rows_of(DATA))
        coded = write(tmp_path / "b", rows_of(DATA), codec=trained(DATA, "IVF4,SQ8"))
        needed = 800 * (16 * 2 + 4)
        assert searcher(exact, memory_budget_bytes=needed).rows == 800
        with pytest.raises(UsageError, match="memory budget") as caught:
            searcher(exact, memory_budget_bytes=needed - 1)
        assert caught.value.hint and "datastore index" in caught.value.hint
        needed = 800 * (17 + 4 + 4)
        assert searcher(coded, memory_budget_bytes=needed).rows == 800
        with pytest.raises(UsageError, match="memory budget") as caught:
            searcher(coded, memory_budget_bytes=needed - 1)
        assert caught.value.hint and "ivf-pq" in caught.value.hint

    def test_settings_that_were_tuned_are_used(self, tmp_path: Path) -> None:
        store = write(tmp_path / "s", rows_of(DATA), index="ivf-sq8")
        for fidelity in (HIGH, FAST):
            opened = searcher(store, fidelity=fidelity)
            ((name, codec),) = opened.codecs.items()
            tuned = codec.info.settings[fidelity]
            assert opened.settings == {name: Settings(tuned["nprobe"], tuned["rerank"])}

    @pytest.mark.parametrize("fidelity", [HIGH, FAST])
    def test_codecs_without_settings_are_searched_all_the_same(self, fidelity: str) -> None:
        for factory in ("IVF4,SQ8", "SQ8", "PQ2x4np"):
            codec = trained(DATA, factory)
            chosen = settings_of(codec.info, codec.lists, fidelity)
            assert 1 <= chosen.nprobe <= max(1, codec.lists)
            assert chosen.rerank >= 0
