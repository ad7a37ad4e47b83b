"""Searchers without a store: neighbours from memory, and a record of what was asked."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from goodctl.index.neighbors import Neighbors
from tests.index.stores import brute_force

Queries = npt.NDArray[np.floating]


@dataclass
class Memory:
    """Exact search in keys that are in memory.

    Attributes:
        keys: (N, D).
        values: (N,).
        asked: The queries of each search.
    """

    keys: npt.NDArray[np.float32]
    values: npt.NDArray[np.int32]
    asked: list[Queries] = field(default_factory=list)

    def search(self, queries: Queries, k: int) -> Neighbors:
        """The k nearest."""
        self.asked.append(queries)
        distances, rows = brute_force(self.keys, queries, min(k, len(self.keys)))
        return Neighbors(distances.astype(np.float32), rows, self.values[rows])


@dataclass
class Scripted:
    """Neighbours that are fixed beforehand: a query is the number of its row.

    Attributes:
        distances: (B, K).
        values: (B, K).
        asked: The row numbers of each search.
    """

    distances: torch.Tensor
    values: torch.Tensor
    asked: list[list[int]] = field(default_factory=list)

    def search(self, queries: Queries, k: int) -> Neighbors:
        """Those of the rows, whatever k is."""
        rows = queries[:, 0].astype(np.int64)
        self.asked.append(rows.tolist())
        distances, values = self.distances[rows].numpy(), self.values[rows].numpy().astype(np.int32)
        return Neighbors(distances, np.zeros(distances.shape, np.int64), values)


def numbered(batch: int) -> torch.Tensor:
    """Queries (B, 1) for ``Scripted``."""
    return torch.arange(batch, dtype=torch.float32)[:, None]
