"""Exact distances of candidates that an approximate search found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from goodctl.index.exact import Place
from goodctl.index.neighbors import Found, sorted_found

BLOCK_ROWS = 2048
"""Candidates at a time: their keys stay in the processor's cache, in buffers that are used again."""


def reranked(places: Sequence[Place], queries: npt.NDArray[np.float32], found: Found, k: int) -> Found:
    """The best k of the candidates by their exact distances.

    Args:
        places: All keys that candidates may be among.
        queries: (B, D) float32.
        found: Candidates (B, C); places without one stay without one.
        k: At most C.

    Returns:
        (B, k), nearest first, equal distances by row.
    """
    # In ascending order of rows the keys are read from one end to the other.
    rows = np.sort(found.rows, axis=1)
    return sorted_found(distances_to(places, queries, rows), rows, k)


def distances_to(
    places: Sequence[Place], queries: npt.NDArray[np.float32], rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Squared L2 distances (B, C) float32 of queries (B, D) to rows (B, C) in ascending order; infinite for row -1."""
    distances = np.full(rows.shape, np.inf, np.float32)
    dtype = places[0].tensor().dtype
    gathered = torch.empty(BLOCK_ROWS, queries.shape[1], dtype=dtype)
    differences = torch.empty(BLOCK_ROWS, queries.shape[1])
    for query, of_query, result in zip(torch.from_numpy(queries), rows, distances, strict=True):
        for place in places:
            first, last = np.searchsorted(of_query, (place.first_row, place.first_row + len(place.keys)))
            for start in range(first, last, BLOCK_ROWS):
                stop = min(start + BLOCK_ROWS, last)
                chosen = torch.from_numpy(of_query[start:stop] - place.first_row)
                keys, block = gathered[: stop - start], differences[: stop - start]
                torch.index_select(place.tensor(), 0, chosen, out=keys)  # (n, D)
                block.copy_(keys)
                block -= query
                result[start:stop] = torch.linalg.vecdot(block, block).numpy()
    return distances
