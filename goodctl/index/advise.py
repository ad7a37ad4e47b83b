"""Which kind of index suits so many rows, this device and this memory, and why."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from goodctl.errors import UsageError
from goodctl.index.kinds import EXACT, IVF_PQ, IVF_SQ8, ROW_BYTES, VALUE_BYTES, factory_for, pq_bytes

EXACT_ROWS = 50_000
"""Up to so many rows exact search on a CPU is taken for fast enough: a rule of thumb, not a measured crossing."""
MEMORY_SHARE = 0.5
"""Of the machine's memory that a search may take where no budget is given."""
LIST_NUMBER_BYTES = 2


@dataclass(frozen=True)
class Advice:
    """A choice with its reason.

    Attributes:
        kind: ``exact``, ``ivf-sq8`` or ``ivf-pq``.
        factory: faiss factory string; empty for ``exact``.
        needed_bytes: What a search of it goes through.
        reason: One phrase for people.
    """

    kind: str
    factory: str
    needed_bytes: int
    reason: str


def default_budget_bytes() -> int:
    """Half of the machine's memory, or 8 GB where that is unknown."""
    try:
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * MEMORY_SHARE)
    except (AttributeError, ValueError, OSError):
        return 8 * 10**9


def advise(
    rows: int,
    dimension: int,
    key_bytes: int,
    *,
    device: torch.device,
    budget_bytes: int | None = None,
    faiss_installed: bool = True,
) -> Advice:
    """Choose an index.

    Args:
        rows: Rows that will be searched.
        dimension: D of the keys.
        key_bytes: Bytes of a number of a key: 2 or 4.
        device: Where searches will run.
        budget_bytes: Memory that searching may take; by default half of the machine's.
        faiss_installed: Without it only exact search is possible.

    Raises:
        UsageError: Nothing fits into the budget.
    """
    budget = default_budget_bytes() if budget_bytes is None else budget_bytes
    exact = rows * (dimension * key_bytes + VALUE_BYTES)
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        if exact <= total * MEMORY_SHARE:
            return Advice(EXACT, "", exact, f"its {_size(exact)} of keys fit on the GPU, where exact search is fastest")
    if exact <= budget and (rows <= EXACT_ROWS or not faiss_installed):
        small = f"up to {EXACT_ROWS:,} rows exact search is fast enough"
        return Advice(EXACT, "", exact, small if rows <= EXACT_ROWS else "faiss is not installed")
    shared = rows * (LIST_NUMBER_BYTES + ROW_BYTES + VALUE_BYTES)
    quantised = shared + rows * dimension
    if quantised <= budget:
        text = f"{rows:,} rows are more than exact search is fast for, and {_size(quantised)} fit into {_size(budget)}"
        return Advice(IVF_SQ8, factory_for(IVF_SQ8, rows, dimension), quantised, text)
    most = pq_bytes(dimension)
    while shared + rows * most > budget and most > 1:
        most = pq_bytes(dimension, most - 1)
    needed = shared + rows * most
    if needed > budget:
        raise UsageError(
            f"No index of {rows:,} rows fits into {_size(budget)}: the smallest needs {_size(needed)}.",
            hint=f"Give at least --memory-budget {_at_least(needed)}, or make several stores.",
        )
    text = f"codes of {dimension} bytes need {_size(quantised)}, and the memory budget is {_size(budget)}"
    return Advice(IVF_PQ, factory_for(IVF_PQ, rows, dimension, most), needed, text)


def _size(count: float) -> str:
    unit, name = next((each for each in _UNITS if count >= each[0]), (1, "B"))
    return f"{count / unit:,.1f} {name}" if unit > 1 else f"{count:,.0f} B"


def _at_least(count: int) -> str:
    """A size as an option takes it, rounded up."""
    return f"{-(-count // 10**6)}MB" if count >= 10**6 else f"{-(-count // 1000)}kB"


_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
