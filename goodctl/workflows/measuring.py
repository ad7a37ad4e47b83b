"""Measuring the distances in a version that is about to be committed, so that they are kept in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from goodctl.datastore.description import Distances, SegmentCodes
from goodctl.datastore.store import Datastore
from goodctl.errors import GoodctlError, Interrupted
from goodctl.index.calibrate import STAGE, measure_distances
from goodctl.index.fidelities import EXACT, HIGH
from goodctl.index.library import is_installed
from goodctl.index.search import Searcher
from goodctl.progress import Progress
from goodctl.workflows.coding import Coding

MOST_ROWS_BEFORE = 1_000_000
"""An addition costs what its own rows cost: in a store with more than these, it is left to the first use."""


def measured(coding: Coding, new: Datastore, codes: Mapping[str, SegmentCodes]) -> Distances | None:
    """The distances that queries meet in a store with its new segments.

    Rows are worth more than a figure that can be measured later: what fails is said, and is no error. A request to stop
    ends the measuring, and the version is committed, since nothing else is left to be done.

    Args:
        coding: Knows the version that is built upon, and who may ask to stop.
        new: The session's hierarchy, with the new segments alone.
        codes: What those were given.
    """
    before = coding.store.segments if coding.store else ()
    if sum(segment.rows for segment in before) > MOST_ROWS_BEFORE:
        return None
    segments = tuple(replace(segment, codes=codes.get(segment.id)) for segment in new.segments)
    coding.report(Progress(STAGE))
    distances = None
    try:
        version = replace(new, segments=(*before, *segments))
        fidelity = HIGH if is_installed() else EXACT
        searcher = Searcher.of([version], fidelity=fidelity, device=torch.device("cpu"))  # the model has the other one
        distances = measure_distances(searcher, seed=coding.choice.seed, on_step=lambda: _check_interrupted(coding))
    except GoodctlError as error:
        coding.say(f"note: distances are not measured: {error.message}")
    coding.report(Progress(STAGE, finished=True))
    return distances


def _check_interrupted(coding: Coding) -> None:
    if coding.interruption.requested:
        raise Interrupted("A stop was asked for.")
