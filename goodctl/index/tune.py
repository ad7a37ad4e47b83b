"""Finding the cheapest settings of a codec that are faithful enough, on queries whose own document is left out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from goodctl.index import exact
from goodctl.index.fidelities import FAST, HIGH
from goodctl.index.measure import Queries, recall, spread, total_variation
from goodctl.index.neighbors import Found
from goodctl.index.plan import Settings
from goodctl.index.search import Searcher

TARGET_TV = {HIGH: 0.02, FAST: 0.06}
"""Mean total variation that a fidelity may have."""
AIM = 0.8
"""Share of the target that is aimed at: other queries meet somewhat more."""
TARGET_RECALL = 0.95
RERANKS = (0, 1, 2, 4, 8)
CANDIDATE_ROWS = 5
"""What comparing a candidate by its key costs, in rows of a list that are looked at (benchmarks/index_recall.py)."""
SATURATED = 0.97
"""Where twice the lists leave more than this share of the variation, the codes and not the lists are what limits."""
DEFAULT_K = 1024


@dataclass(frozen=True)
class Truth:
    """What exact search finds for some queries, and how that is compared.

    Attributes:
        queries: What is asked.
        exact: (B, K) exact neighbours without the queries' own documents.
        temperature: Of the neighbours' distribution.
    """

    queries: Queries
    exact: Found
    temperature: float

    @classmethod
    def of(
        cls, searcher: Searcher, queries: Queries, k: int, temperature: float | None, device: torch.device | None = None
    ) -> Truth:
        """Search exactly on a device; without a temperature, take the spread of the distances."""
        k = min(k, max(1, searcher.rows - queries.excluded))
        wide = min(k + queries.excluded, searcher.rows)
        found = exact.search(searcher.places(), queries.keys, wide, device or searcher.device)
        kept = queries.without_own_document(found, k)
        return cls(queries, kept, spread(kept) if temperature is None else temperature)

    @property
    def k(self) -> int:
        """Neighbours of a query."""
        return int(self.exact.rows.shape[1])

    def answer(self, searcher: Searcher, settings: dict[str, Settings]) -> Found:
        """What settings find, without the queries' own documents: (B, K), no more lists than they say."""
        found = searcher.find(self.queries.keys, self.k, settings, self.queries.excluded)
        return self.queries.without_own_document(found, self.k)

    def variation(self, searcher: Searcher, found: Found) -> npt.NDArray[np.float64]:
        """Total variation of an answer from the exact one, for each query."""
        return total_variation(self.exact, found, searcher.values, self.temperature)

    def recall(self, searcher: Searcher, found: Found) -> npt.NDArray[np.float64]:
        """Share of the exact neighbours in an answer, for each query."""
        return recall(self.exact, found, searcher.places(), self.queries.keys)


def tuned(
    searcher: Searcher,
    codec: str,
    truth: Truth,
    *,
    target_recall: float = TARGET_RECALL,
    on_step: Callable[[str], None] = lambda _what: None,
) -> dict[str, dict[str, Any]]:
    """The cheapest settings of a codec for each fidelity.

    Cost is counted in rows looked at, a candidate compared by its key as several. Nothing is decided by a clock: the
    same store gives the same settings.

    Args:
        searcher: Of this codec alone.
        codec: Its fingerprint.
        truth: Exact answers.
        target_recall: That ``high`` must reach beside its total variation.
        on_step: Told of each setting that is tried.

    Returns:
        Fidelity to nprobe, rerank and what was measured with them: tv, recall, k, temperature, queries, reached.
    """
    tried: dict[Settings, tuple[float, float]] = {}
    lists = searcher.codecs[codec].lists
    first = max(1, math.ceil(truth.k * lists / searcher.rows))  # fewer lists do not even hold k rows

    def measured(settings: Settings) -> tuple[float, float]:
        if settings not in tried:
            on_step(f"{settings.nprobe} lists, re-rank {settings.rerank}")
            found = truth.answer(searcher, {codec: settings})
            tried[settings] = (
                float(truth.variation(searcher, found).mean()),
                float(truth.recall(searcher, found).mean()),
            )
        return tried[settings]

    result = {}
    for fidelity, needed in ((HIGH, target_recall), (FAST, 0.0)):

        def good(settings: Settings, fidelity: str = fidelity, needed: float = needed) -> bool:
            variation, found = measured(settings)
            return variation <= AIM * TARGET_TV[fidelity] and found >= needed

        per_list = searcher.rows / max(1, lists)
        chosen = _cheapest(first, max(1, lists), per_list, truth.k, measured, good)
        reached = chosen is not None
        best = chosen or min(tried, key=lambda settings: (tried[settings][0], settings.rerank, settings.nprobe))
        variation, found = measured(best)
        result[fidelity] = {
            **best.to_dict(),
            "tv": variation,
            "recall": found,
            "k": truth.k,
            "temperature": truth.temperature,
            "queries": len(truth.queries.keys),
            "reached": reached,
        }
    return result


def _cheapest(
    first: int,
    lists: int,
    per_list: float,
    k: int,
    measured: Callable[[Settings], tuple[float, float]],
    good: Callable[[Settings], bool],
) -> Settings | None:
    """The cheapest settings that are good: of each re-rank depth those with the fewest lists. None where nothing is."""
    best, least = None, np.inf
    for rerank in RERANKS:
        comparing = CANDIDATE_ROWS * rerank * k
        affordable = min(lists, int((least - comparing) / per_list)) if best else lists
        found = _fewest_lists(min(first, lists), affordable, rerank, measured, good)
        if found is not None and found.nprobe * per_list + comparing < least:
            best, least = found, found.nprobe * per_list + comparing
    return best


def _fewest_lists(
    first: int,
    most: int,
    rerank: int,
    measured: Callable[[Settings], tuple[float, float]],
    good: Callable[[Settings], bool],
) -> Settings | None:
    """The fewest lists, up to some number, that are good with a re-rank depth; None where none are."""
    if most < first:
        return None
    low, high, before = 0, first, (np.inf, 0.0)
    while not good(Settings(high, rerank)):
        variation, found = measured(Settings(high, rerank))
        saturated = variation > SATURATED * before[0] and found < before[1] + (1 - SATURATED) / 10
        if saturated or high == most:
            return None
        low, high, before = high, min(2 * high, most), (variation, found)
    while high - low > max(1, high // 16):
        middle = (low + high) // 2
        low, high = (low, middle) if good(Settings(middle, rerank)) else (middle, high)
    return Settings(high, rerank)
