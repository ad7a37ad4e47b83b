from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from goodctl.index import exact
from goodctl.index.exact import Place
from goodctl.index.neighbors import NOTHING, Found, merged, sorted_found
from goodctl.index.rerank import distances_to, reranked
from tests.index.stores import CPU, Keys, brute_force, keys

SEEDS = st.integers(0, 2**32 - 1)


def divided(data: Keys, cuts: Sequence[int]) -> list[Place]:
    """Keys in several places, empty ones among them."""
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [Place(data[first:last].copy(), first) for first, last in itertools.pairwise(edges)]


@st.composite
def problems(draw: st.DrawFn) -> tuple[Keys, Keys, int, list[int]]:
    """Keys, queries, k and where the keys are cut: any scale, far from the origin or not, with duplicates or not."""
    rng = np.random.default_rng(draw(SEEDS))
    rows, dimension = draw(st.integers(1, 160)), draw(st.integers(1, 33))
    dtype = draw(st.sampled_from(["float16", "float32"]))
    scale, offset = draw(st.sampled_from([1e-2, 1.0, 30.0])), draw(st.sampled_from([0.0, 1.0, 1e3]))
    data = offset * rng.choice([-1, 1], dimension) + scale * rng.standard_normal((rows, dimension))
    if draw(st.booleans()):
        data = data[rng.integers(0, draw(st.integers(1, 8)), rows) % rows]
    if draw(st.booleans()):
        data[rng.integers(0, rows)] *= 20  # a row far from all others
    data = data.astype(dtype)
    queries = data[rng.integers(0, rows, draw(st.integers(1, 9)))].astype(np.float32)
    if draw(st.booleans()):
        queries += scale * rng.standard_normal(queries.shape, dtype=np.float32)
    return data, queries, draw(st.integers(1, rows)), draw(st.lists(st.integers(0, rows), max_size=3))


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(problem=problems(), block=st.sampled_from([3, 17, 4096]), queries_at_once=st.sampled_from([2, 256]))
def test_finds_the_rows_of_brute_force(
    problem: tuple[Keys, Keys, int, list[int]], block: int, queries_at_once: int
) -> None:
    data, queries, k, cuts = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "BLOCK_ROWS", block)
        patch.setattr(exact, "BLOCK_QUERIES", queries_at_once)
        found = exact.search(divided(data, cuts), queries, k, CPU)
    distances, rows = brute_force(data, queries, k)
    np.testing.assert_array_equal(np.sort(found.rows, axis=1), np.sort(rows, axis=1))
    assert (np.diff(found.distances, axis=1) >= 0).all()
    middle = data.astype(np.float64).mean(0)
    largest = max(((each.astype(np.float64) - middle) ** 2).sum(1).max() for each in (data, queries))
    np.testing.assert_allclose(found.distances, distances, rtol=1e-5, atol=4e-5 * largest + 1e-9)


@pytest.mark.parametrize("copies", [5000, 9000])
def test_the_first_of_very_many_equal_rows(copies: int) -> None:
    data = np.concatenate([np.tile(keys(0, 1), (copies, 1)), keys(1, 50), np.tile(keys(0, 1), (1000, 1))])
    for query in (data[:1].astype(np.float32), keys(2, 1).astype(np.float32)):
        found = exact.search([Place(data, 0)], query, 30, CPU)
        np.testing.assert_array_equal(np.sort(found.rows), np.sort(brute_force(data, query, 30)[1]))


def test_no_queries() -> None:
    assert exact.search([Place(keys(0, 10), 0)], np.zeros((0, 16), np.float32), 3, CPU).rows.shape == (0, 3)


def test_tensors_are_places_too() -> None:
    data, queries = keys(0, 300), keys(1, 4).astype(np.float32)
    found = exact.search([Place(torch.from_numpy(data), 0)], queries, 5, CPU)
    np.testing.assert_array_equal(found.rows, exact.search([Place(data, 0)], queries, 5, CPU).rows)


@pytest.mark.gpu
def test_a_gpu_finds_what_the_cpu_finds() -> None:
    data, queries = keys(0, 150_000, 64), keys(1, 300, 64).astype(np.float32)
    data[70_000:70_100] = data[:100]
    expected = exact.search([Place(data, 0)], queries, 100, CPU)
    cuda = torch.device("cuda")
    for places in (divided(data, [40_000, 90_000]), [Place(torch.from_numpy(data).to(cuda), 0)]):
        found = exact.search(places, queries, 100, cuda)
        np.testing.assert_array_equal(np.sort(found.rows, axis=1), np.sort(expected.rows, axis=1))
        np.testing.assert_allclose(found.distances, expected.distances, rtol=1e-4, atol=1e-2)


@st.composite
def finds(draw: st.DrawFn, queries: int, first: int = 0) -> Found:
    """What a search may give: each row at most once, some places empty, distances with ties."""
    columns = draw(st.integers(0, 12))
    rng = np.random.default_rng(draw(SEEDS))
    rows = np.stack([first + rng.permutation(30)[:columns] for _ in range(queries)]).astype(np.int64)
    distances = (rng.integers(0, 5, rows.shape) / 4).astype(np.float32)
    nothing = rng.random(rows.shape) < draw(st.sampled_from([0.0, 0.3]))
    rows[nothing], distances[nothing] = NOTHING, np.inf
    return Found(distances, rows)


def in_order(found: Found, k: int) -> list[list[tuple[float, int]]]:
    """The best k by distance and row, one by one."""
    pairs = [
        sorted((float(distance), int(row)) for distance, row in zip(*each, strict=True) if row >= 0)
        for each in zip(found.distances, found.rows, strict=True)
    ]
    return [some[:k] for some in pairs]


def listed(found: Found) -> list[list[tuple[float, int]]]:
    return [
        [(float(distance), int(row)) for distance, row in zip(*each, strict=True) if row >= 0]
        for each in zip(found.distances, found.rows, strict=True)
    ]


def assert_empty_places_last(found: Found) -> None:
    there = found.rows >= 0
    assert (np.diff(there.astype(int), axis=1) <= 0).all()
    assert np.isinf(found.distances[~there]).all()
    assert (found.rows[~there] == NOTHING).all()


@settings(deadline=None, derandomize=True, database=None)
@given(data=st.data(), first=st.sampled_from([0, 2**31, 2**32 - 40, 2**40]))
def test_sorting_is_by_distance_and_row(data: st.DataObject, first: int) -> None:
    found = data.draw(finds(3, first))
    k = data.draw(st.integers(0, found.rows.shape[1]))
    best = sorted_found(found.distances, found.rows, k)
    assert best.rows.shape == (3, k)
    assert listed(best) == in_order(found, k)
    assert_empty_places_last(best)


@settings(deadline=None, derandomize=True, database=None)
@given(data=st.data(), k=st.integers(1, 30))
def test_merging_is_sorting_all_together(data: st.DataObject, k: int) -> None:
    several = [data.draw(finds(2, 100 * number)) for number in range(data.draw(st.integers(1, 3)))]
    together = Found(
        np.concatenate([each.distances for each in several], 1), np.concatenate([each.rows for each in several], 1)
    )
    best = merged(several, k)
    assert best.rows.shape == (2, k)
    assert listed(best) == in_order(together, k)
    assert_empty_places_last(best)
    assert listed(merged(several[::-1], k)) == listed(best)


@settings(deadline=None, derandomize=True, database=None)
@given(data=st.data(), seed=SEEDS, dtype=st.sampled_from(["float16", "float32"]))
def test_reranking_compares_the_candidates_by_their_keys(data: st.DataObject, seed: int, dtype: str) -> None:
    stored = keys(seed, 30, 7, dtype=dtype)
    stored[10:15] = stored[:5]
    queries = keys(seed + 1, 2, 7, dtype="float32")
    candidates = data.draw(finds(2))
    k = data.draw(st.integers(0, candidates.rows.shape[1]))
    places = divided(stored, data.draw(st.lists(st.integers(0, 30), max_size=3)))
    best = reranked(places, queries, candidates, k)
    all_of_them = brute_force(stored, queries, 30)
    for query in range(2):
        expected = [row for row in all_of_them[1][query] if row in candidates.rows[query]][:k]
        there = best.rows[query][best.rows[query] >= 0]
        assert there.tolist() == expected
    assert_empty_places_last(best)


def test_distances_to_rows_of_several_places() -> None:
    stored, queries = keys(0, 5000, 7), keys(1, 2, 7, dtype="float32")
    rows = np.stack([np.arange(-1, 4500), np.arange(499, 5000)])
    found = distances_to(divided(stored, [10, 3000]), queries, rows)
    differences = (stored[rows].astype(np.float64) - queries[:, None]) ** 2
    expected: Any = np.where(rows < 0, np.inf, differences.sum(2))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
