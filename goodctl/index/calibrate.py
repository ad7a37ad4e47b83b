"""The distances that queries meet in a store: the scale that a temperature of its neighbours is chosen on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from goodctl.datastore.beside import known_distances, record_distances
from goodctl.datastore.description import Distances, distances_in_force
from goodctl.datastore.store import Datastore
from goodctl.errors import UsageError
from goodctl.index.measure import Queries, sample_queries
from goodctl.index.search import Searcher
from goodctl.progress import Progress, Report, silent

STAGE = "measuring distances"
QUERIES = 128
LADDER = tuple(2**power for power in range(13))
"""The k that are measured; between them a spread is interpolated."""
BATCH = 64
"""Queries of one search; between two of them somebody may ask to stop."""


def measure_distances(
    searcher: Searcher, *, queries: int = QUERIES, seed: int = 0, on_step: Callable[[], None] = lambda: None
) -> Distances | None:
    """Measure the distances that random rows meet, each asked for as if its document was not there.

    Args:
        searcher: Stores searched as one; its fidelity and settings are used.
        queries: How many rows are asked for, in proportion to the segments' rows, but at least one of each segment
            where there are enough queries.
        seed: Chooses them.
        on_step: Called before each search.

    Returns:
        Medians over the queries, and the mean first distance; None where without a query's own document no rows are
        left.
    """
    asked = sample_queries(searcher.segments, searcher.first_rows, _shared_out(searcher, queries), seed)
    ladder = [k for k in LADDER if k <= searcher.rows - asked.excluded]
    if not ladder:
        return None
    columns = np.array(ladder) - 1
    found = []  # (B, len(ladder)) of each batch
    for start in range(0, len(asked.keys), BATCH):
        on_step()
        found.append(_distances(searcher, asked.between(start, start + BATCH), ladder[-1], asked.excluded)[:, columns])
    distances = np.concatenate(found)
    # The median: keys of first tokens are far from all others, and a few such queries would outweigh the rest.
    spreads = np.median(distances - distances[:, :1], axis=0)
    return Distances(
        rows=searcher.rows,
        queries=len(distances),
        firsts=float(distances[:, 0].mean()),
        spreads={k: float(spread) for k, spread in zip(ladder, spreads, strict=True)},
    )


def _shared_out(searcher: Searcher, queries: int) -> list[int]:
    """How many of the queries each segment is asked: those of rows at even steps through all of them."""
    rows = [segment.rows for segment in searcher.segments]
    steps = (np.arange(queries) + 0.5) * (sum(rows) / queries)
    counts = np.bincount(np.searchsorted(np.cumsum(rows), steps, side="right"), minlength=len(rows))[: len(rows)]
    if len(rows) <= queries:
        for without in np.flatnonzero(counts == 0):
            counts[counts.argmax()] -= 1
            counts[without] = 1
    return [int(count) for count in counts]


def _distances(searcher: Searcher, asked: Queries, k: int, spare: int) -> npt.NDArray[np.float64]:
    """Distances (B, k) of the nearest rows that are not of a query's own document."""
    found = searcher.find(asked.keys, k, searcher.settings, spare)
    found = searcher.completed(asked.keys, found, searcher.settings)
    return asked.without_own_document(found, k).distances.astype(np.float64)


def spread_at(distances: Distances, k: int) -> float:
    """The k-th distance less the first, squared L2: interpolated over log k, and above 0.

    A store of duplicates, or a k of 1, has no spread. Then the smallest one that there is stands for it, or 1.

    Args:
        distances: Measured.
        k: Neighbours, at least 1; beyond what was measured the nearest k that was measured stands for it.
    """
    positive = [spread for spread in distances.spreads.values() if spread > 0]
    if not positive:
        return 1.0
    logarithms = [math.log(each) for each in distances.spreads]
    return max(float(np.interp(math.log(k), logarithms, list(distances.spreads.values()))), min(positive))


def recorded(store: Datastore) -> Distances | None:
    """What a version says of the distances in it; None where nothing is recorded that still holds."""
    return distances_in_force(store.segments)


def distances_of(searcher: Searcher, report: Report = silent) -> Distances:
    """The distances that queries meet in what is searched: as recorded in a store, else as measured once.

    Several stores are measured as one: the union is denser than each of them, so no mean of what they record would do.
    What is measured is kept beside the first store, for the same versions.

    Args:
        searcher: One store or several; its fidelity is used where there is something to measure.
        report: Gets progress of a measurement.

    Raises:
        UsageError: Without a query's own document no rows are left.
    """
    single = recorded(searcher.stores[0]) if len(searcher.stores) == 1 else None
    known = single or known_distances(searcher.stores)
    if known is not None:
        return known
    report(Progress(STAGE))
    measured = measure_distances(searcher)
    report(Progress(STAGE, finished=True))
    if measured is None:
        raise UsageError(
            f"{searcher.stores[0].location} is too small to choose a temperature by: without a query's own document no "
            "rows are left.",
            hint="Name one, such as --temperature 10.",
        )
    record_distances(searcher.stores, measured)
    return measured


def auto_temperature(spreads: Sequence[float], share: float) -> float:
    """A temperature on the scale of the distances: a share of the mean of the sides' spreads.

    Args:
        spreads: Of each side that votes, at the k in use; squared L2.
        share: Of their mean.

    Raises:
        UsageError: The result is no temperature: not above 0, or infinite.
    """
    temperature = share * math.fsum(spreads) / max(len(spreads), 1)
    if not 0 < temperature < math.inf:
        raise UsageError(
            f"A share of {share} of the spreads {', '.join(f'{spread:.3g}' for spread in spreads)} is no temperature.",
            hint="Name one, such as --temperature 10.",
        )
    return temperature
