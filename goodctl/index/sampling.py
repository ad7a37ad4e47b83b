"""Random keys of a version, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from goodctl.datastore.description import SegmentInfo
from goodctl.datastore.format import KEYS
from goodctl.datastore.store import Datastore


def sample_keys(
    version: Datastore, segments: Sequence[SegmentInfo], count: int, seed: int
) -> npt.NDArray[np.floating[Any]]:
    """Random keys (n, D) of segments in random order, n at most ``count``; parts are read one at a time."""
    rng = np.random.default_rng(seed)
    total = sum(segment.rows for segment in segments)
    chosen = np.sort(rng.choice(total, min(count, total), replace=False))
    found = list(_chosen_keys(version, segments, chosen))
    sample = np.concatenate(found)
    rng.shuffle(sample)
    return sample


def _chosen_keys(
    version: Datastore, segments: Sequence[SegmentInfo], chosen: npt.NDArray[np.int64]
) -> Iterator[npt.NDArray[np.floating[Any]]]:
    start = 0
    for segment in segments:
        for part in version.parts(segment):
            first, last = np.searchsorted(chosen, (start, start + part.rows))
            if last > first:
                yield part.read(KEYS)[chosen[first:last] - start]
            start += part.rows
