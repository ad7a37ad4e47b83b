"""How each segment is searched: exactly, or from the codes of its codec with which settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from goodctl.datastore.codes import CodecInfo
from goodctl.errors import UsageError
from goodctl.index.fidelities import EXACT, FIDELITIES, HIGH
from goodctl.index.kinds import ROW_BYTES, VALUE_BYTES
from goodctl.index.segment import Segment

MOST_RERANK = 16
CUDA_SHARE = 0.25
"""Of a GPU's memory that the keys of one side may take: two sides, and beside them the model.

Of all its memory and not of what is free, so that the way of searching, and with it the text, does not depend on what
else runs there."""


@dataclass(frozen=True)
class Settings:
    """How a codec is searched.

    Attributes:
        nprobe: Inverted lists that are looked at, the nearest ones.
        rerank: How many times k candidates are compared by their exact distances; 0 takes the codes' distances.
    """

    nprobe: int
    rerank: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def settings_of(info: CodecInfo, lists: int, fidelity: str) -> Settings:
    """What was tuned for a codec, or a cautious guess where nothing was."""
    tuned = info.settings.get(fidelity)
    if tuned is not None:
        return Settings(max(1, min(int(tuned["nprobe"]), lists or 1)), max(0, min(int(tuned["rerank"]), MOST_RERANK)))
    share = 16 if fidelity == HIGH else 64
    return Settings(max(1, lists // share), 0 if info.code_size >= info.dimension else 4 if fidelity == HIGH else 1)


def check_fidelity(fidelity: str) -> None:
    """Check the name of a fidelity.

    Raises:
        UsageError: There is no such one.
    """
    if fidelity not in FIDELITIES:
        raise UsageError(f"There is no fidelity {fidelity!r}.", hint=f"Choose one of {', '.join(FIDELITIES)}.")


def key_bytes(segments: Sequence[Segment]) -> int:
    """Bytes of the segments' flat keys."""
    return sum(
        segment.rows * segment.store.header.dimension * np.dtype(segment.store.header.key_dtype).itemsize
        for segment in segments
    )


def uses_codes(segments: Sequence[Segment], fidelity: str, device: torch.device) -> list[bool]:
    """For each segment, whether its codes are searched rather than its keys.

    On a GPU that holds all keys the exact search is the fastest as well.
    """
    if fidelity == EXACT:
        return [False] * len(segments)
    if device.type == "cuda" and key_bytes(segments) <= CUDA_SHARE * device_bytes(device):
        return [False] * len(segments)
    return [segment.info.codes is not None for segment in segments]


def device_bytes(device: torch.device) -> int:
    """Memory of a GPU, whoever uses it."""
    return int(torch.cuda.get_device_properties(device).total_memory)


def searched_bytes(segments: Sequence[Segment], coded: Sequence[bool], codecs: Mapping[str, CodecInfo]) -> int:
    """Bytes that a search goes through: the keys or codes that are searched, and the values.

    Keys that only serve to rerank are not counted: few of them are read, and the rest stays on the disk.
    """
    exact = [segment for segment, by_codes in zip(segments, coded, strict=True) if not by_codes]
    total = sum(segment.rows for segment in segments) * VALUE_BYTES + key_bytes(exact)
    for segment, by_codes in zip(segments, coded, strict=True):
        if by_codes and segment.info.codes is not None:
            total += segment.rows * (codecs[segment.info.codes.codec].code_size + ROW_BYTES)
    return total


def check_budget(
    segments: Sequence[Segment], coded: Sequence[bool], codecs: Mapping[str, CodecInfo], budget_bytes: int | None
) -> None:
    """Check that what a search goes through fits into a memory budget.

    Raises:
        UsageError: It does not fit; says how much it needs and what would help.
    """
    if budget_bytes is None:
        return
    needed = searched_bytes(segments, coded, codecs)
    if needed > budget_bytes:
        store = segments[0].store.location
        if not any(coded) and any(segment.info.codes for segment in segments):
            hint = "Search its codes: --fidelity high"
        elif not all(coded):
            hint = f"Use smaller codes: goodctl datastore index {store} --memory-budget SIZE"
        else:
            hint = f"Use ivf-pq: goodctl datastore index {store} --index ivf-pq, or raise --memory-budget."
        raise UsageError(
            f"Searching {store} so needs {needed / 1e6:,.1f} MB; the memory budget is {budget_bytes / 1e6:,.1f} MB.",
            hint=hint,
        )
