"""How faithful a store's search is, and what it costs: each fidelity against exact search."""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from goodctl.datastore.beside import record_measurement
from goodctl.errors import UsageError
from goodctl.index.fidelities import EXACT, FAST, FIDELITIES, HIGH
from goodctl.index.measure import Queries, sample_queries
from goodctl.index.neighbors import Found
from goodctl.index.plan import check_fidelity, searched_bytes
from goodctl.index.search import Searcher
from goodctl.index.tune import DEFAULT_K, Truth
from goodctl.models.device import choose_device
from goodctl.progress import Progress, Report, silent

DEFAULT_QUERIES = 200


@dataclass(frozen=True)
class RecallChoice:
    """What is measured.

    Attributes:
        k: Neighbours of a query.
        queries: How many, spread evenly over the segments; at least one each.
        temperature: Of the neighbours' distribution; None takes the spread of the distances.
        fidelities: Which are compared with exact search.
        device: ``auto``, ``cpu``, ``cuda``.
        memory_budget_bytes: What a search may take, or None.
        seed: Chooses the queries.
        check: Compare all that is read with its recorded hash.
    """

    k: int = DEFAULT_K
    queries: int = DEFAULT_QUERIES
    temperature: float | None = None
    fidelities: tuple[str, ...] = (HIGH, FAST)
    device: str = "auto"
    memory_budget_bytes: int | None = None
    seed: int = 0
    check: bool = False

    def __post_init__(self) -> None:
        for name, value in (("-k", self.k), ("--queries", self.queries)):
            if value < 1:
                raise UsageError(f"{name} {value}: it must be at least 1.", hint="Leave it out for the default.")
        if self.temperature is not None and not 0 < self.temperature < math.inf:
            raise UsageError(f"--temperature {self.temperature}: it must be above 0.", hint="Leave it out for auto.")
        for fidelity in self.fidelities:
            check_fidelity(fidelity)


@dataclass(frozen=True)
class Figures:
    """How close to the exact answers a search is.

    Attributes:
        queries: Asked.
        recall: Mean share of the exact neighbours found.
        tv: Mean total variation of the next-token distribution from the exact one.
        worst_tv: The largest of a query.
    """

    queries: int
    recall: float
    tv: float
    worst_tv: float

    @classmethod
    def of(cls, recall: npt.NDArray[np.float64], variation: npt.NDArray[np.float64]) -> Figures:
        """Mean and largest of (B,) figures, B at least 1."""
        return cls(len(recall), float(recall.mean()), float(variation.mean()), float(variation.max()))


@dataclass(frozen=True)
class Measured:
    """One fidelity.

    Attributes:
        fidelity: Its name.
        figures: Over all queries.
        languages: By language.
        seconds_per_query: Of a batch of all queries, the shorter of two runs.
        searched_bytes: Codes or keys that the search goes through, and the values.
        settings: Codec to nprobe and rerank; empty where all is exact.
    """

    fidelity: str
    figures: Figures
    languages: dict[str, Figures]
    seconds_per_query: float
    searched_bytes: int
    settings: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class RecallReport:
    """What was measured.

    Attributes:
        stores: As they were named.
        snapshots: Their versions.
        rows: Rows of all of them.
        k: Neighbours of a query.
        temperature: Of the distributions.
        queries: Asked.
        device: Where exact search ran.
        measured_at: ISO 8601, UTC.
        results: ``exact`` first, then each fidelity.
    """

    stores: tuple[str, ...]
    snapshots: tuple[str, ...]
    rows: int
    k: int
    temperature: float
    queries: int
    device: str
    measured_at: str
    results: tuple[Measured, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def recall(stores: Sequence[str], choice: RecallChoice | None = None, report: Report = silent) -> RecallReport:
    """Measure the search of stores on random rows of theirs, each asked for as if its document were not there.

    The figures are kept beside the store, for ``inspect``.

    Args:
        stores: ``STORE``, ``STORE@REF`` or globs.
        choice: Neighbours, queries, fidelities.
        report: Gets progress.

    Raises:
        NotFoundError: There is no such store.
        UsageError: It has no rows.
        IncompatibleError: The stores do not fit each other.
    """
    choice = choice or RecallChoice()
    device = choose_device(choice.device)
    report(Progress(stage="opening"))
    exact = Searcher.open(stores, fidelity=EXACT, device=device, check=choice.check)
    queries = _queries(exact, choice)
    report(Progress(stage="opening", finished=True))
    report(Progress(stage="searching exactly"))
    if exact.rows <= queries.excluded:
        raise UsageError(
            f"{exact.stores[0].location} is too small to measure: without a query's own document no rows are left.",
            hint=f"Add text: goodctl datastore add {exact.stores[0].location} TEXT",
        )
    truth = Truth.of(exact, queries, choice.k, choice.temperature)
    results = [_measured(exact, truth, truth.exact)]
    report(Progress(stage="searching exactly", finished=True))
    for fidelity in FIDELITIES:
        if fidelity in choice.fidelities and fidelity != EXACT:
            report(Progress(stage=f"fidelity {fidelity}"))
            searcher = Searcher.of(
                exact.stores, fidelity=fidelity, device=device, memory_budget_bytes=choice.memory_budget_bytes
            )
            results.append(_measured(searcher, truth, truth.answer(searcher, searcher.settings)))
            report(Progress(stage=f"fidelity {fidelity}", finished=True))
    measured = RecallReport(
        stores=tuple(store.location for store in exact.stores),
        snapshots=tuple(store.version.id for store in exact.stores),
        rows=exact.rows,
        k=truth.k,
        temperature=truth.temperature,
        queries=len(queries.keys),
        device=str(device),
        measured_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        results=tuple(results),
    )
    if len(exact.stores) == 1:
        record_measurement(exact.stores[0], measured.to_dict())
    return measured


def _queries(searcher: Searcher, choice: RecallChoice) -> Queries:
    if not searcher.rows:
        store = searcher.stores[0].location
        raise UsageError(f"{store} has no rows to search.", hint=f"Add text: goodctl datastore add {store} TEXT")
    each = max(1, -(-choice.queries // len(searcher.segments)))
    return sample_queries(searcher.segments, searcher.first_rows, [each] * len(searcher.segments), choice.seed)


def _measured(searcher: Searcher, truth: Truth, found: Found) -> Measured:
    recalled, variation = truth.recall(searcher, found), truth.variation(searcher, found)
    languages = np.array([searcher.segments[number].info.language for number in truth.queries.segments])
    return Measured(
        fidelity=searcher.fidelity,
        figures=Figures.of(recalled, variation),
        languages={
            str(language): Figures.of(recalled[languages == language], variation[languages == language])
            for language in dict.fromkeys(languages.tolist())
        },
        seconds_per_query=_seconds(searcher, truth) / len(truth.queries.keys),
        searched_bytes=searched_bytes(searcher.segments, searcher.coded, searcher.codec_infos),
        settings={name: searcher.settings[name].to_dict() for name in searcher.codecs},
    )


def _seconds(searcher: Searcher, truth: Truth) -> float:
    shortest = np.inf
    for _ in range(2):
        if searcher.device.type == "cuda":
            torch.cuda.synchronize(searcher.device)
        started = time.perf_counter()
        searcher.search(truth.queries.keys, truth.k)
        shortest = min(shortest, time.perf_counter() - started)
    return float(shortest)
