"""Exact search: a matrix product on the model's device, block by block, so that memory is bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from goodctl.index.neighbors import NOTHING, Found

BLOCK_ROWS = 4096
CUDA_BLOCK_ROWS = 65_536
BLOCK_QUERIES = 256
MOST_UNCERTAIN = 4096
"""Rows near the k-th distance whose order is settled exactly, for each query; more are duplicates of each other."""

Keys = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Place:
    """Keys to be searched.

    Attributes:
        keys: (n, D) float16 or float32; a memory map, or a tensor that lies on the device already.
        first_row: Number of its first row.
    """

    keys: Keys | torch.Tensor
    first_row: int

    def tensor(self) -> torch.Tensor:
        """The keys as a tensor that shares their memory."""
        return self.keys if isinstance(self.keys, torch.Tensor) else torch.from_numpy(self.keys)


def search(places: Sequence[Place], queries: npt.NDArray[np.float32], k: int, device: torch.device) -> Found:
    """The k nearest rows by squared L2 distance.

    Distances come from a matrix product, whose last digits depend on where a row stands in its block. Rows that it
    cannot tell from the k-th are compared once more by their differences, in double precision, and then by row number:
    so equal keys are always chosen by row, and the same rows are found however they are divided into places.

    Args:
        places: Keys with ascending row numbers.
        queries: (B, D) float32, finite.
        k: At most the rows of all places together.
        device: Where to compute.

    Returns:
        (B, k), nearest first, equal distances by row.
    """
    finds = [
        _search_block(places, queries[s : s + BLOCK_QUERIES], k, device) for s in range(0, len(queries), BLOCK_QUERIES)
    ]
    if not finds:
        return Found(np.zeros((0, k), np.float32), np.zeros((0, k), np.int64))
    return Found(np.concatenate([each.distances for each in finds]), np.concatenate([each.rows for each in finds]))


def _search_block(places: Sequence[Place], queries: npt.NDArray[np.float32], k: int, device: torch.device) -> Found:
    middle = _middle(places, device)  # (D,)
    moved = torch.from_numpy(queries).to(device) - middle  # (B, D)
    squares = (moved * moved).sum(1, keepdim=True)  # (B, 1)
    best = _Best(k, squares)
    block_rows = CUDA_BLOCK_ROWS if device.type == "cuda" else BLOCK_ROWS
    block = torch.empty(block_rows, queries.shape[1], device=device)
    products = torch.empty(len(queries), block_rows, device=device)
    for place in places:
        keys = place.tensor()
        for start in range(0, len(keys), block_rows):
            count = min(block_rows, len(keys) - start)
            part = block[:count].copy_(keys[start : start + count])
            part -= middle
            key_squares = torch.linalg.vecdot(part, part)  # (n,)
            distances = products if count == block_rows else products.new_empty(len(queries), count)
            torch.addmm(key_squares[None], moved, part.T, alpha=-2, out=distances)  # (B, n), short of |q|²
            best.offer(distances, place.first_row + start)
    distances, rows, tolerance = best.candidates()  # (B, C), (B, C), (B, 1)
    distances = distances + squares
    return _settled(places, queries, k, distances.cpu().numpy(), rows.cpu().numpy(), tolerance.cpu().numpy())


_TOLERANCE = 4e-6
"""Bound for the error of a distance from a product, as a share of |q|² + |k|²: some units of 2**-23 for each sum."""


def _middle(places: Sequence[Place], device: torch.device) -> torch.Tensor:
    """A point among the keys: distances from there are the same, and small numbers lose less to rounding."""
    keys = next(place.tensor() for place in places if len(place.tensor()))
    return keys[: min(len(keys), 256)].to(device, torch.float32).mean(0)


class _Best:
    """The smallest distances so far of each query, with all that cannot be told from the k-th of them."""

    def __init__(self, k: int, squares: torch.Tensor) -> None:
        self.k = k
        self._squares = squares
        self._distances = torch.empty(len(squares), 0, device=squares.device)
        self._rows = torch.empty(len(squares), 0, dtype=torch.int64, device=squares.device)
        self._bound: torch.Tensor | None = None  # (B, 1): what is above cannot be among the best
        self._pending: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._columns = 0

    def offer(self, distances: torch.Tensor, first_row: int) -> None:
        """Take a block of distances (B, n) to rows from ``first_row`` on."""
        if self._bound is None:
            rows = torch.arange(first_row, first_row + distances.shape[1], device=distances.device)
            self._keep(distances.clone(), rows.expand(len(distances), -1))
            return
        query, column = torch.nonzero(distances <= self._bound, as_tuple=True)
        if not len(query):
            return
        counts = torch.bincount(query, minlength=len(distances))  # (B,)
        width = int(counts.max())
        position = torch.arange(len(query), device=query.device) - (counts.cumsum(0) - counts)[query]
        kept = distances.new_full((len(distances), width), torch.inf)
        kept[query, position] = distances[query, column]
        rows = torch.full((len(distances), width), NOTHING, dtype=torch.int64, device=query.device)
        rows[query, position] = column + first_row
        self._keep(kept, rows)

    def _keep(self, distances: torch.Tensor, rows: torch.Tensor) -> None:
        self._pending.append((distances, rows))
        self._columns += distances.shape[1]
        if self._columns >= self.k:
            self._condense()

    def _condense(self) -> None:
        distances = torch.cat([self._distances, *(each for each, _ in self._pending)], 1)
        rows = torch.cat([self._rows, *(each for _, each in self._pending)], 1)
        self._pending, self._columns = [], 0
        if distances.shape[1] > self.k:
            last = torch.kthvalue(distances, self.k, dim=1, keepdim=True).values  # (B, 1)
            bound = last + 2 * self._tolerance(last)
            width = int((distances <= bound).sum(1).max())
            # Stable, and rows come in ascending order: of many equal ones the first stay.
            width = min(width, self.k + MOST_UNCERTAIN)
            distances, order = torch.sort(distances, dim=1, stable=True)
            distances, rows = distances[:, :width], rows.gather(1, order)[:, :width]
            self._bound = bound
        self._distances, self._rows = distances, rows

    def _tolerance(self, last: torch.Tensor) -> torch.Tensor:
        """Error (B, 1) of distances like the k-th, given short of |q|²; a key so near is at most |q| + |q - k| long."""
        norm = self._squares.sqrt() + (last + self._squares).clamp(min=0).sqrt()
        return _TOLERANCE * (self._squares + norm * norm)

    def candidates(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Distances and rows (B, C) of all candidates, and the error (B, 1) of distances near the k-th."""
        self._condense()
        last = self._distances[:, min(self.k, self._distances.shape[1]) - 1 :][:, :1]
        return self._distances, self._rows, self._tolerance(last)


def _settled(
    places: Sequence[Place],
    queries: npt.NDArray[np.float32],
    k: int,
    distances: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
    tolerance: npt.NDArray[np.float32],
) -> Found:
    """Choose k of the candidates: those that are surely nearer, then the uncertain ones by exact distance and row."""
    distances = np.maximum(distances, 0)
    order = np.lexsort((rows, distances), axis=1)
    distances, rows = np.take_along_axis(distances, order, 1), np.take_along_axis(rows, order, 1)
    if distances.shape[1] > k:
        bound = distances[:, k - 1 : k]
        uncertain = (np.abs(distances - bound) <= 2 * tolerance) & (rows >= 0)
        for query in np.flatnonzero(uncertain[:, k:].any(1)):
            places_of = np.flatnonzero(uncertain[query])
            exact = exact_distances(places, queries[query], rows[query, places_of])
            best = places_of[np.lexsort((rows[query, places_of], exact))]
            distances[query, places_of], rows[query, places_of] = distances[query, best], rows[query, best]
    distances, rows = distances[:, :k], rows[:, :k]
    order = np.lexsort((rows, distances), axis=1)
    return Found(np.take_along_axis(distances, order, 1), np.take_along_axis(rows, order, 1))


def exact_distances(
    places: Sequence[Place], query: npt.NDArray[np.float32], rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Squared L2 distances (n,) float64 of one query (D,) to some rows, by differences."""
    found = np.empty(len(rows))
    for place in places:
        inside = (rows >= place.first_row) & (rows < place.first_row + len(place.keys))
        if inside.any():
            chosen = place.tensor()[torch.from_numpy(rows[inside] - place.first_row)]
            differences = chosen.cpu().numpy().astype(np.float64) - query
            found[inside] = (differences * differences).sum(1)
    return found
