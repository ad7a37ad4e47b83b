from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodctl.index import measure
from goodctl.index.exact import Place
from goodctl.index.measure import recall, sample_queries, spread, total_variation
from goodctl.index.neighbors import NOTHING, Found
from tests.index.stores import Keys, brute_force, keys, rows_of, searcher, write

VALUES = np.array([0, 1, 2, 0, 1, 2, 3, 3, 3, 4], np.int32)


def found(rows: list[list[int]], distances: list[list[float]]) -> Found:
    chosen = np.array(rows, np.int64)
    return Found(np.where(chosen < 0, np.inf, distances).astype(np.float32), chosen)


def by_brute_force(data: Keys, queries: Keys, k: int) -> Found:
    distances, rows = brute_force(data, queries, k)
    return Found(distances.astype(np.float32), rows)


class TestQueries:
    def test_they_are_rows_and_their_documents_are_known(self, tmp_path: Path) -> None:
        data, lengths = keys(0, 100), [1, 30, 9, 40, 20]
        store = write(tmp_path / "s", ("en", rows_of(data[:60])), ("fr", rows_of(data, lengths=lengths)), part_bytes=1)
        opened = searcher(store)
        queries = sample_queries(opened.segments, opened.first_rows, [10, 50])
        assert np.bincount(queries.segments).tolist() == [10, 50]
        first_of_french, edges = 60, 60 + np.concatenate([[0], np.cumsum(lengths)])
        stored = np.concatenate([data[:60], data])
        for key, first, last, segment in zip(queries.keys, queries.first, queries.last, queries.segments, strict=True):
            assert (stored[first:last].astype(np.float32) == key).all(1).any()
            if segment == 0:
                assert (first % 5, last - first) == (0, 5)
            else:
                assert first >= first_of_french
                assert first in edges
                assert last == edges[np.searchsorted(edges, first) + 1]
        assert queries.excluded == max(queries.last - queries.first)

    def test_a_seed_decides_them(self, tmp_path: Path) -> None:
        opened = searcher(write(tmp_path / "s", rows_of(keys(0, 100))))
        some, same, other = (sample_queries(opened.segments, [0], [10], seed).keys for seed in (1, 1, 2))
        np.testing.assert_array_equal(some, same)
        assert not np.array_equal(some, other)

    def test_no_more_than_there_are(self, tmp_path: Path) -> None:
        opened = searcher(write(tmp_path / "s", rows_of(keys(0, 12)), part_bytes=100))
        np.testing.assert_array_equal(sample_queries(opened.segments, [0], [99]).keys, keys(0, 12).astype(np.float32))
        nothing = sample_queries(opened.segments, [0], [0])
        assert (nothing.keys.shape, nothing.excluded) == ((0, 16), 0)

    def test_of_a_long_document_the_rows_around_are_left_out(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(measure, "MOST_EXCLUDED", 10)
        opened = searcher(write(tmp_path / "s", rows_of(keys(0, 100), lengths=[100])))
        queries = sample_queries(opened.segments, [0], [100])
        rows = np.arange(100)
        np.testing.assert_array_equal(queries.first, np.maximum(rows - 5, 0))
        np.testing.assert_array_equal(queries.last, np.minimum(rows + 5, 100))

    def test_a_querys_own_document_is_left_out(self, tmp_path: Path) -> None:
        data = keys(0, 200)
        opened = searcher(write(tmp_path / "s", rows_of(data)))
        queries = sample_queries(opened.segments, [0], [30])
        kept = queries.without_own_document(by_brute_force(data, queries.keys, 200), 20)
        for key, rows, first, last in zip(queries.keys, kept.rows, queries.first, queries.last, strict=True):
            order = brute_force(data, key[None], 200)[1][0]
            assert rows.tolist() == [row for row in order if not first <= row < last][:20]

    def test_where_all_is_left_out_nothing_is_found(self, tmp_path: Path) -> None:
        data = keys(0, 4)
        opened = searcher(write(tmp_path / "s", rows_of(data)))
        queries = sample_queries(opened.segments, [0], [4])
        kept = queries.without_own_document(by_brute_force(data, queries.keys, 4), 9)
        assert (kept.rows == NOTHING).all()
        assert np.isinf(kept.distances).all()


@st.composite
def answers(draw: st.DrawFn) -> Found:
    columns = draw(st.integers(0, 6))
    rows = [draw(st.lists(st.integers(-1, 9), min_size=columns, max_size=columns)) for _ in range(3)]
    distance = st.floats(0, 50, width=32)
    distances = [draw(st.lists(distance, min_size=columns, max_size=columns)) for _ in range(3)]
    return found([row or [] for row in rows], distances) if columns else found([[]] * 3, [[]] * 3)


def distributions(answer: Found, temperature: float) -> npt.NDArray[np.float64]:
    """Token probabilities (B, 5) in the plain way."""
    dense = np.zeros((len(answer.rows), 5))
    for query, (rows, distances) in enumerate(zip(answer.rows, answer.distances, strict=True)):
        for row, distance in zip(rows, distances, strict=True):
            if row >= 0:
                dense[query, VALUES[row]] += np.exp(-float(distance) / temperature)
        if dense[query].sum():
            dense[query] /= dense[query].sum()
    return dense


class TestTotalVariation:
    @settings(deadline=None, derandomize=True, database=None)
    @given(one=answers(), other=answers(), temperature=st.floats(1, 100))
    def test_it_is_half_the_sum_of_differences(self, one: Found, other: Found, temperature: float) -> None:
        both = total_variation(one, other, VALUES, temperature)
        expected = 0.5 * np.abs(distributions(one, temperature) - distributions(other, temperature)).sum(1)
        np.testing.assert_allclose(both, expected, atol=1e-9)
        np.testing.assert_allclose(both, total_variation(other, one, VALUES, temperature), atol=1e-12)
        assert ((both >= 0) & (both <= 1 + 1e-12)).all()

    @settings(deadline=None, derandomize=True, database=None)
    @given(one=answers(), temperature=st.floats(1e-3, 1e6))
    def test_it_is_nothing_between_equals(self, one: Found, temperature: float) -> None:
        np.testing.assert_allclose(total_variation(one, one, VALUES, temperature), 0, atol=1e-12)

    def test_of_other_tokens_it_is_one(self) -> None:
        one, other = found([[0, 3]], [[1.0, 2.0]]), found([[6, 9]], [[1.0, 2.0]])
        np.testing.assert_allclose(total_variation(one, other, VALUES, 1.0), 1)

    def test_the_row_does_not_matter_but_its_token(self) -> None:
        one, other = found([[0, 1]], [[1.0, 2.0]]), found([[3, 4]], [[1.0, 2.0]])
        np.testing.assert_allclose(total_variation(one, other, VALUES, 1.0), 0, atol=1e-12)

    def test_distances_far_beyond_the_temperature(self) -> None:
        one = found([[0, 1]], [[1e6, 1e6 + 1]])
        np.testing.assert_allclose(total_variation(one, one, VALUES, 1e-3), 0)


class TestRecall:
    def test_share_of_what_is_nearest(self) -> None:
        data, queries = keys(0, 100), keys(1, 3).astype(np.float32)
        exact = by_brute_force(data, queries, 10)
        rows = exact.rows.copy()
        rows[1, 5:] = brute_force(data, queries, 100)[1][1, 50:55]
        rows[2, 2:] = NOTHING
        shares = recall(exact, Found(exact.distances, rows), [Place(data, 0)], queries)
        np.testing.assert_allclose(shares, [1, 0.5, 0.2])

    def test_any_of_equally_near_rows_will_do(self) -> None:
        data = np.concatenate([keys(0, 1)] * 10 + [keys(1, 10)])
        queries = keys(0, 1).astype(np.float32) + 0.3
        exact = by_brute_force(data, queries, 4)
        other = found([[9, 7, 8, 5]], [[0.0] * 4])
        assert exact.rows.tolist() == [[0, 1, 2, 3]]
        assert recall(exact, other, [Place(data, 0)], queries).tolist() == [1.0]

    def test_where_there_is_nothing_to_find_nothing_is_missed(self) -> None:
        nothing = found([[-1, -1]], [[0.0, 0.0]])
        assert recall(nothing, nothing, [Place(keys(0, 3), 0)], keys(1, 1).astype(np.float32)).tolist() == [1.0]

    def test_distances_that_were_computed_otherwise_do_not_matter(self) -> None:
        data, queries = keys(0, 100), keys(1, 3).astype(np.float32)
        exact = by_brute_force(data, queries, 10)
        low = Found(exact.distances * np.float32(0.9), exact.rows)
        assert recall(low, exact, [Place(data, 0)], queries).tolist() == [1.0] * 3


class TestSpread:
    def test_from_the_first_to_the_last(self) -> None:
        exact = found([[0, 1, 2], [3, 4, -1]], [[1.0, 2.0, 5.0], [2.0, 4.0, 0.0]])
        assert spread(exact) == pytest.approx((4 + 2) / 2)

    @pytest.mark.parametrize(
        "exact", [found([[0, 1]], [[3.0, 3.0]]), found([[-1, -1]], [[0.0, 0.0]]), found([[4]], [[2.0]])]
    )
    def test_where_there_is_none_it_is_one(self, exact: Found) -> None:
        assert spread(exact) == 1.0
