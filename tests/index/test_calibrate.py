from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from goodctl.datastore import beside
from goodctl.datastore.description import Distances
from goodctl.datastore.store import Datastore
from goodctl.errors import UsageError
from goodctl.index import calibrate
from goodctl.index.calibrate import auto_temperature, distances_of, measure_distances, recorded, spread_at
from goodctl.index.measure import Queries, sample_queries
from goodctl.index.plan import Settings
from goodctl.index.search import Searcher
from goodctl.progress import Progress
from goodctl.workflows.merge import merge
from tests.index.stores import Keys, keys, rows_of, searcher, write

DOCUMENT = 5
"""Rows of each document that ``rows_of`` makes."""


def expected(data: Keys, asked: range) -> Distances:
    """Computed plainly: for each row the distances to all rows of other documents, in order."""
    differences = data[asked, None].astype(np.float64) - data[None].astype(np.float64)
    distances = (differences * differences).sum(2)
    own = np.arange(len(data)) // DOCUMENT == (np.array(asked) // DOCUMENT)[:, None]
    ordered = np.sort(np.where(own, np.inf, distances), axis=1)
    ladder = [k for k in (2**power for power in range(13)) if k <= len(data) - DOCUMENT]
    spreads = {k: float(np.median(ordered[:, k - 1] - ordered[:, 0])) for k in ladder}
    return Distances(len(data), len(asked), float(ordered[:, 0].mean()), spreads)


def check_same(found: Distances | None, wanted: Distances, rel: float = 1e-3) -> None:
    assert found is not None
    assert (found.rows, found.queries, list(found.spreads)) == (wanted.rows, wanted.queries, list(wanted.spreads))
    assert found.firsts == pytest.approx(wanted.firsts, rel=rel)
    assert list(found.spreads.values()) == pytest.approx(list(wanted.spreads.values()), rel=rel)


class TestMeasuring:
    def test_it_is_what_brute_force_finds(self, tmp_path: Path) -> None:
        data = keys(0, 200)
        opened = searcher(write(tmp_path / "s", ("en", rows_of(data[:60])), ("fr", rows_of(data[60:]))))
        found = measure_distances(opened, queries=200)
        check_same(found, expected(data, range(200)))
        assert found is not None
        assert list(found.spreads) == [1, 2, 4, 8, 16, 32, 64, 128]
        assert found.spreads[1] == 0

    def test_the_ladder_ends(self, tmp_path: Path) -> None:
        found = measure_distances(searcher(write(tmp_path / "s", rows_of(keys(0, 9000, 4)))), queries=3)
        assert found is not None
        assert list(found.spreads)[-2:] == [2048, 4096]

    @pytest.mark.parametrize("kind", ["ivf-sq8", "SQ8"])
    def test_codes_are_searched_where_there_are_some(self, tmp_path: Path, kind: str) -> None:
        data = keys(0, 600)
        opened = searcher(write(tmp_path / "s", rows_of(data), index=kind))
        assert opened.coded == [True]
        check_same(measure_distances(opened, queries=600), expected(data, range(600)), rel=0.05)

    def test_lists_that_hold_too_few_rows_are_not_all_that_is_looked_at(self, tmp_path: Path) -> None:
        data = keys(0, 600)
        opened = searcher(write(tmp_path / "s", rows_of(data), index="IVF32,SQ8"))
        opened.settings = {name: Settings(1, 0) for name in opened.codecs}
        found = measure_distances(opened, queries=600)
        wanted = expected(data, range(600))
        assert found is not None
        assert np.isfinite(list(found.spreads.values())).all()
        assert found.spreads[512] == pytest.approx(wanted.spreads[512], rel=0.2)

    def test_each_segment_is_asked_in_proportion_but_at_least_once(self, tmp_path: Path) -> None:
        batches = [(language, rows_of(keys(seed, count))) for seed, (language, count) in enumerate(SIZES.items())]
        opened = searcher(write(tmp_path / "s", *batches))
        assert asked_languages(opened, 20) == {"en": 11, "fr": 7, "de": 1, "it": 1}
        assert asked_languages(opened, 4) == dict.fromkeys(SIZES, 1)
        assert asked_languages(opened, 2) == {"en": 1, "fr": 1}

    def test_a_seed_decides_which_rows_are_asked_for(self, tmp_path: Path) -> None:
        opened = searcher(write(tmp_path / "s", rows_of(keys(0, 300))))
        one, same, other = (measure_distances(opened, queries=20, seed=seed) for seed in (1, 1, 2))
        assert one == same != other

    @pytest.mark.parametrize("count", [1, 5])
    def test_without_other_documents_there_is_nothing_to_measure(self, tmp_path: Path, count: int) -> None:
        opened = searcher(write(tmp_path / "s", rows_of(keys(0, count))))
        assert measure_distances(opened) is None
        with pytest.raises(UsageError, match="too small to choose a temperature") as caught:
            distances_of(opened)
        assert caught.value.hint and "--temperature" in caught.value.hint

    def test_each_search_is_announced(self, tmp_path: Path) -> None:
        def stop() -> None:
            raise KeyboardInterrupt

        opened = searcher(write(tmp_path / "s", rows_of(keys(0, 300))))
        with pytest.raises(KeyboardInterrupt):
            measure_distances(opened, on_step=stop)


SIZES = {"en": 640, "fr": 350, "de": 5, "it": 5}


def asked_languages(opened: Searcher, queries: int) -> dict[str, int]:
    """How many queries of each language are asked, of those that are."""
    asked: list[Queries] = []

    def sampled(*arguments: Any) -> Queries:
        asked.append(sample_queries(*arguments))
        return asked[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibrate, "sample_queries", sampled)
        found = measure_distances(opened, queries=queries)
    assert found is not None
    assert found.queries == queries
    languages = [opened.segments[number].info.language for number in asked[0].segments]
    return {language: languages.count(language) for language in dict.fromkeys(languages)}


def ladder_of(steps: list[float]) -> Distances:
    spreads = {2**power: float(total) for power, total in enumerate(np.cumsum([0.0, *steps]))}
    return Distances(10**6, 10, 1.0, spreads)


class TestSpread:
    @given(steps=st.lists(st.floats(0, 1e6), min_size=1, max_size=12), ks=st.lists(st.integers(1, 10**5), min_size=2))
    @example(steps=[0.0, 0.0, 0.1], ks=[4, 5, 7, 8])
    def test_it_grows_as_the_ladder_does(self, steps: list[float], ks: list[int]) -> None:
        found = [spread_at(ladder_of(steps), k) for k in sorted(ks)]
        assert min(found) > 0
        assert all(later >= earlier * (1 - 1e-9) for earlier, later in itertools.pairwise(found))

    def test_what_was_measured_is_given_back(self) -> None:
        distances = ladder_of([1.0, 2.0, 4.0])
        assert [spread_at(distances, k) for k in (2, 4, 8)] == pytest.approx([1, 3, 7])
        assert spread_at(distances, 6) == pytest.approx(3 + 4 * np.log2(6 / 4))
        assert spread_at(distances, 10**6) == 7

    def test_no_spread_is_no_temperature(self) -> None:
        assert spread_at(ladder_of([1.0, 2.0]), 1) == 1.0, "the smallest there is"
        assert spread_at(ladder_of([0.0, 0.0]), 4) == 1.0

    def test_a_store_of_duplicates(self, tmp_path: Path) -> None:
        opened = searcher(write(tmp_path / "s", rows_of(np.repeat(keys(0, 1), 50, axis=0))))
        assert spread_at(distances_of(opened), 16) == pytest.approx(1, abs=1e-3)

    def test_a_temperature_is_a_share_of_the_mean(self) -> None:
        assert auto_temperature([2.0], 0.5) == 1.0
        assert auto_temperature([2.0, 6.0], 0.25) == 1.0

    @pytest.mark.parametrize(
        ("spreads", "share"),
        [([1.0], 0.0), ([1.0], -1.0), ([1.0], np.nan), ([np.inf], 1.0), ([], 1.0), ([1e-300], 1e-300)],
    )
    def test_what_is_no_temperature_is_refused(self, spreads: list[float], share: float) -> None:
        with pytest.raises(UsageError, match="no temperature"):
            auto_temperature(spreads, share)


def never(*arguments: object, **options: object) -> None:
    raise AssertionError("nothing is to be measured")


def kept_files(folder: Path) -> list[Path]:
    return sorted((folder / "cache").glob("distances-*"))


@pytest.fixture
def small(tmp_path: Path) -> Datastore:
    """Nothing is recorded in it."""
    return write(tmp_path / "s", rows_of(keys(0, 200)))


class TestRecorded:
    def test_it_is_used_as_it_is(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        distances = Distances(200, 3, 1.0, {1: 0.0, 2: 5.0})
        store = write(tmp_path / "s", ("en", rows_of(keys(0, 100))), ("fr", rows_of(keys(1, 100))), distances=distances)
        assert [segment.distances for segment in store.segments] == [None, distances]
        assert recorded(store) == distances
        monkeypatch.setattr(calibrate, "measure_distances", never)
        assert distances_of(searcher(store)) == distances
        assert not kept_files(tmp_path / "s")

    def test_of_several_the_newest_counts(self, tmp_path: Path) -> None:
        for number in (1, 2):
            distances = Distances(100 * number, number, 1.0, {1: 0.0})
            store = write(tmp_path / "s", rows_of(keys(number, 100)), job=str(number), distances=distances)
        versions = [store, Datastore.open(f"{tmp_path / 's'}@~1")]
        assert [found.queries for each in versions if (found := recorded(each))] == [2, 1]

    def test_a_store_that_was_merged_is_another_one(self, tmp_path: Path, small: Datastore) -> None:
        whole = Distances(200, 3, 1.0, {1: 0.0, 2: 5.0})
        write(tmp_path / "other", rows_of(keys(1, 200)), distances=whole)
        merge([str(tmp_path / "s"), str(tmp_path / "other")], out=str(tmp_path / "both"))
        both = Datastore.open(str(tmp_path / "both"))
        assert both.segments[-1].distances == whole
        assert recorded(both) is None
        opened = searcher(both)
        stages: list[Progress] = []
        found = distances_of(opened, stages.append)
        assert found == measure_distances(opened)
        assert stages == [Progress(calibrate.STAGE), Progress(calibrate.STAGE, finished=True)]


class TestKept:
    def test_what_was_measured_is_kept(self, tmp_path: Path, small: Datastore, monkeypatch: pytest.MonkeyPatch) -> None:
        found = distances_of(searcher(small))
        assert len(kept_files(tmp_path / "s")) == 1
        monkeypatch.setattr(calibrate, "measure_distances", never)
        assert distances_of(searcher(small)) == found
        assert distances_of(searcher(small, fidelity="exact")) == found

    def test_another_version_is_measured_for_itself(self, tmp_path: Path, small: Datastore) -> None:
        before = distances_of(searcher(small))
        after = distances_of(searcher(write(tmp_path / "s", rows_of(keys(1, 50)), job="more")))
        assert (before.rows, after.rows) == (200, 250)
        assert distances_of(searcher(small)) == before

    @pytest.mark.parametrize("broken", ["", "{", "[]", "{}", '"text"', "digit", "foreign", "member"])
    def test_a_broken_file_is_made_again(self, tmp_path: Path, small: Datastore, broken: str) -> None:
        found = distances_of(searcher(small))
        (file,) = kept_files(tmp_path / "s")
        good = file.read_text()
        if broken == "digit":
            file.write_text(good.replace('"queries": 128', '"queries": 129'))
        elif broken == "foreign":
            other = write(tmp_path / "other", rows_of(keys(1, 200)))
            distances_of(searcher(other))
            shutil.copy(kept_files(tmp_path / "other")[0], file)
        elif broken == "member":
            file.write_text(json.dumps({**json.loads(good), "spreads": None}))
        else:
            file.write_text(broken)
        assert distances_of(searcher(small)) == found
        assert file.read_text() == good

    def test_where_nothing_can_be_written_it_is_measured_each_time(
        self, tmp_path: Path, small: Datastore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setattr(beside, "folder_of", lambda repository: tmp_path / "file" / "cache")
        assert distances_of(searcher(small)) == distances_of(searcher(small))
        assert not kept_files(tmp_path / "s")

    def test_several_stores_are_measured_as_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        data = keys(0, 240)
        wrong = Distances(120, 3, 1.0, {1: 0.0, 2: 99.0})
        stores = [
            write(tmp_path / name, rows_of(half), distances=wrong)
            for name, half in (("a", data[:120]), ("b", data[120:]))
        ]
        found = distances_of(searcher(*stores))
        assert found == measure_distances(searcher(*stores))
        assert found.spreads[128] == pytest.approx(expected(data, range(240)).spreads[128], rel=0.1)
        assert (len(kept_files(tmp_path / "a")), len(kept_files(tmp_path / "b"))) == (1, 0)
        monkeypatch.setattr(calibrate, "measure_distances", never)
        assert distances_of(searcher(*stores)) == found
