"""What a command was asked about the search of its rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from goodctl.errors import UsageError
from goodctl.index.codec import check_supported
from goodctl.index.codec_choices import AUTO
from goodctl.index.growth import check_codec_choice
from goodctl.index.kinds import EXACT, FACTORY, NONE, kind_of
from goodctl.index.library import built, library
from goodctl.index.tune import DEFAULT_K, TARGET_RECALL


@dataclass(frozen=True)
class IndexChoice:
    """How rows are to be searched.

    Attributes:
        index: ``auto``, ``exact`` (no codes), ``ivf-sq8``, ``ivf-pq`` or a faiss factory string.
        codec: When adding to a store with codes: ``auto``, ``reuse`` or ``new``.
        memory_budget_bytes: What searching may take; None for half of the machine's memory.
        target_recall: That tuning aims at.
        k: Neighbours that tuning looks for.
        temperature: Of the neighbours' distribution, or None for the spread of the distances.
        seed: Of training and of the queries that tuning asks.
    """

    index: str = AUTO
    codec: str = AUTO
    memory_budget_bytes: int | None = None
    target_recall: float = TARGET_RECALL
    k: int = DEFAULT_K
    temperature: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        kind_of(self.index)
        check_codec_choice(self.codec)
        if not 0 < self.target_recall <= 1:
            raise UsageError(
                f"--target-recall {self.target_recall}: it must be above 0 and at most 1.",
                hint="Leave it out for 0.95.",
            )
        if self.k < 1:
            raise UsageError(f"-k {self.k}: it must be at least 1.", hint="Published work takes 1024.")
        if self.temperature is not None and not 0 < self.temperature < math.inf:
            raise UsageError(f"--temperature {self.temperature}: it must be above 0.", hint="Leave it out for auto.")

    @property
    def kind(self) -> str:
        """A name of ``kinds.KINDS``, ``none`` or ``factory``."""
        return kind_of(self.index)

    def check(self, dimension: int) -> None:
        """Check what can be checked before a model runs for hours.

        Raises:
            MissingDependency: Codes were asked for, and faiss is not installed.
            UsageError: faiss rejects the factory string.
        """
        if self.kind not in {AUTO, EXACT, NONE}:
            library()
        if self.kind == FACTORY:
            check_supported(built(self.index, dimension), self.index)
