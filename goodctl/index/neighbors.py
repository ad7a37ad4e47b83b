"""Neighbours that a search found, and how several finds become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NOTHING = -1
"""In place of a row number, where nothing was found."""

_NO_ROW = 2**32 - 1


@dataclass(frozen=True)
class Found:
    """Candidates of one search, nearest first; places without a candidate hold row -1 at distance infinity.

    Attributes:
        distances: (B, K) float32 squared L2.
        rows: (B, K) int64.
    """

    distances: npt.NDArray[np.float32]
    rows: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Neighbors:
    """What a search gives: the nearest rows of each query, nearest first, equal distances by row number.

    K is the k that was asked for, or the number of rows where there are fewer. Every place holds a row.

    Attributes:
        distances: (B, K) float32 squared L2.
        rows: (B, K) int64 row numbers, through all stores in the order in which they were given.
        values: (B, K) int32 next-token ids.
    """

    distances: npt.NDArray[np.float32]
    rows: npt.NDArray[np.int64]
    values: npt.NDArray[np.int32]


def merged(finds: Sequence[Found], k: int) -> Found:
    """The best k of several finds for the same queries; their rows must be different ones.

    Args:
        finds: At least one; distances must be comparable.
        k: Columns of the result.
    """
    distances = np.concatenate([found.distances for found in finds], axis=1)
    rows = np.concatenate([found.rows for found in finds], axis=1)
    missing = k - distances.shape[1]
    if missing > 0:
        distances = np.pad(distances, ((0, 0), (0, missing)), constant_values=np.inf)
        rows = np.pad(rows, ((0, 0), (0, missing)), constant_values=NOTHING)
    return sorted_found(distances, rows, k)


def sorted_found(distances: npt.NDArray[np.float32], rows: npt.NDArray[np.int64], k: int) -> Found:
    """The best k columns in order: by distance, then by row, places without a row last.

    Args:
        distances: (B, N) float32.
        rows: (B, N) int64.
        k: At most N.
    """
    # Distances are not negative, so their bits are in the order of their values: distance and row make one number.
    kept = np.where(rows < 0, np.float32(np.inf), np.maximum(distances, 0, dtype=np.float32))
    if rows.size and int(rows.max()) >= _NO_ROW:
        order = np.lexsort((np.where(rows < 0, np.iinfo(np.int64).max, rows), kept), axis=1)[:, :k]
        return Found(np.take_along_axis(kept, order, 1), np.take_along_axis(rows, order, 1))
    pairs = (kept.view(np.uint32).astype(np.uint64) << np.uint64(32)) | np.where(rows < 0, _NO_ROW, rows).astype(
        np.uint64
    )
    if pairs.shape[1] > k:
        pairs = np.partition(pairs, k - 1, axis=1)[:, :k]
    pairs = np.sort(pairs, axis=1)
    found = (pairs & np.uint64(_NO_ROW)).astype(np.int64)
    found[found == _NO_ROW] = NOTHING
    return Found((pairs >> np.uint64(32)).astype(np.uint32).view(np.float32), found)
