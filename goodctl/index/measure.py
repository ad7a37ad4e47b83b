"""How faithful a search is: recall, and how far the neighbours' distribution over next tokens is from the exact one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from goodctl.datastore.format import KEYS, OFFSETS
from goodctl.index.exact import Place
from goodctl.index.neighbors import Found, sorted_found
from goodctl.index.rerank import distances_to
from goodctl.index.segment import Segment

MOST_EXCLUDED = 1024
"""Rows of a query's own document that are left out, at most; of a longer one those around the query."""
SAME_DISTANCE = 1e-4
"""Neighbours whose distances differ by less than this share count as equally near."""


@dataclass(frozen=True)
class Queries:
    """Rows of a store that are asked for as if they were not there.

    A row's own key is in the store, and of its next neighbours a third are of the same document; so the document's rows
    are left out of every answer.

    Attributes:
        keys: (B, D) float32.
        first: (B,) int64 first row that is left out.
        last: (B,) int64 one past the last of them.
        segments: (B,) int64 number of the query's segment.
    """

    keys: npt.NDArray[np.float32]
    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    segments: npt.NDArray[np.int64]

    @property
    def excluded(self) -> int:
        """Most rows that are left out for a query."""
        return int((self.last - self.first).max()) if len(self.keys) else 0

    def between(self, start: int, stop: int) -> Queries:
        """Some of the queries."""
        these = slice(start, stop)
        return Queries(self.keys[these], self.first[these], self.last[these], self.segments[these])

    def without_own_document(self, found: Found, k: int) -> Found:
        """The best k of the neighbours (B, K) that are not of the query's own document."""
        own = (found.rows >= self.first[:, None]) & (found.rows < self.last[:, None])
        rows = np.where(own, -1, found.rows)
        return sorted_found(np.where(own, np.float32(np.inf), found.distances), rows, min(k, rows.shape[1]))


def sample_queries(
    segments: Sequence[Segment], first_rows: Sequence[int], counts: Sequence[int], seed: int = 0
) -> Queries:
    """Random rows as queries.

    Args:
        segments: Of a searcher.
        first_rows: Row number at which each begins.
        counts: How many queries from each segment; no more than it has rows are taken.
        seed: The same seed gives the same rows.
    """
    rng = np.random.default_rng(seed)
    keys, first, last, numbers = [], [], [], []
    for number, (segment, first_row, count) in enumerate(zip(segments, first_rows, counts, strict=True)):
        chosen = np.sort(rng.choice(segment.rows, min(count, segment.rows), replace=False))
        start = 0
        for part in segment.parts():
            inside = chosen[(chosen >= start) & (chosen < start + part.rows)] - start
            if len(inside):
                offsets = part.read(OFFSETS)
                document = np.searchsorted(offsets, inside, side="right") - 1
                begin = np.maximum(offsets[document], inside - MOST_EXCLUDED // 2)
                end = np.minimum(offsets[document + 1], inside + MOST_EXCLUDED // 2)
                keys.append(part.read(KEYS)[inside].astype(np.float32))
                first.append(begin + start + first_row)
                last.append(end + start + first_row)
                numbers.append(np.full(len(inside), number))
            start += part.rows
    if not keys:
        dimension = segments[0].store.header.dimension if segments else 1
        nothing = np.zeros(0, np.int64)
        return Queries(np.zeros((0, dimension), np.float32), nothing, nothing, nothing)
    return Queries(np.concatenate(keys), np.concatenate(first), np.concatenate(last), np.concatenate(numbers))


def spread(exact: Found) -> float:
    """Mean difference between the k-th and the first distance: the scale of the distances that queries meet.

    It serves as the temperature where none is given. 1 where all neighbours are equally near.
    """
    differences = [
        distances[-1] - distances[0]
        for distances in (row[np.isfinite(row)] for row in exact.distances)
        if len(distances)
    ]
    mean = float(np.mean(differences)) if differences else 0.0
    return mean if mean > 0 else 1.0


def total_variation(
    exact: Found, other: Found, values: npt.NDArray[np.int32], temperature: float
) -> npt.NDArray[np.float64]:
    """Distance between the next-token distributions of two finds, for each query.

    The distribution gives token x the weight Σ exp(-d_i / temperature) over the neighbours i with value x, normalised
    (arXiv 1911.00172, equation 3). The total variation is half the sum of absolute differences: 0 the same, 1 disjoint.

    Args:
        exact: (B, K) neighbours.
        other: (B, K') neighbours of the same queries.
        values: Token ids by row number.
        temperature: In units of the distances.

    Returns:
        (B,) float64.
    """
    found = np.zeros(len(exact.rows))
    for query in range(len(found)):
        tokens, weights = [], []
        for sign, each in ((1.0, exact), (-1.0, other)):
            there = each.rows[query] >= 0
            distances = each.distances[query][there].astype(np.float64)
            if len(distances):
                weight = np.exp(-(distances - distances.min()) / temperature)
                tokens.append(values[each.rows[query][there]])
                weights.append(sign * weight / weight.sum())
        if tokens:
            _, place = np.unique(np.concatenate(tokens), return_inverse=True)
            found[query] = 0.5 * np.abs(np.bincount(place, np.concatenate(weights))).sum()
    return found


def recall(
    exact: Found, other: Found, places: Sequence[Place], queries: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Share of the exact neighbours that were found, for each query.

    A neighbour counts when its exact distance is not above the last exact one: among equally near rows any will do.

    Args:
        exact: (B, K) neighbours by exact search.
        other: (B, K) neighbours by another.
        places: All keys.
        queries: (B, D) float32.

    Returns:
        (B,) float64; 1 where there are no neighbours to be found.
    """
    distances = distances_to(places, queries, np.sort(other.rows, axis=1))
    there = (exact.rows >= 0).sum(1)
    best = distances_to(places, queries, np.sort(exact.rows, axis=1))  # computed in the same way, for ties
    last = np.where(np.isfinite(best), best, -np.inf).max(1, initial=-np.inf)
    near = (distances <= (last * (1 + SAME_DISTANCE) + 1e-6)[:, None]).sum(1)
    return np.where(there > 0, np.minimum(near, there) / np.maximum(there, 1), 1.0)
