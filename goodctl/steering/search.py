"""What steering asks of datastores: neighbours of hidden states. Whoever can search in this way can steer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch


class Found(Protocol):
    """Neighbours of queries.

    Attributes:
        distances: (B, K) float32 squared L2.
        rows: (B, K) int64 row numbers.
        values: (B, K) int32 next-token ids.
    """

    @property
    def distances(self) -> npt.NDArray[np.float32]: ...  # noqa: D102
    @property
    def rows(self) -> npt.NDArray[np.int64]: ...  # noqa: D102
    @property
    def values(self) -> npt.NDArray[np.int32]: ...  # noqa: D102


class Searcher(Protocol):
    """Open stores that are searched as one, such as ``goodctl.Searcher``."""

    def search(self, queries: npt.NDArray[np.floating[Any]], k: int) -> Found:
        """The k nearest rows of queries (B, D), or all rows where there are fewer."""


@dataclass(frozen=True)
class Side:
    """One side of a steering method: stores and how many neighbours they are asked for.

    Attributes:
        name: ``toxic``, ``nontoxic`` or ``store``.
        searcher: What is searched.
        k: Neighbours of a query.
        temperature: Of the neighbours' distribution, in units of the distances.
    """

    name: str
    searcher: Searcher
    k: int
    temperature: float

    def neighbors(self, queries: torch.Tensor) -> Found:
        """The neighbours of hidden states (B, D) on any device, in any dtype."""
        return self.searcher.search(queries.float().cpu().numpy(), self.k)


def as_tensors(found: Found, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Distances (B, K) float32 and values (B, K) int32 on a device."""
    return torch.from_numpy(found.distances).to(device), torch.from_numpy(found.values).to(device)
