"""Figures with their intervals, and those of one slice of a file or of two.

Every number is finite or None, so that it can be written as JSON: None means that there is nothing to compute it from.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A figure with its interval.

    Attributes:
        value: The figure; None where nothing is there to compute it from, or it is infinite.
        low: Lower bound of the interval; None where there is none, as for a single prompt.
        high: Upper bound.
        deviation: Standard deviation with n - 1 of what ``value`` is the mean of; None for a ratio or a single value.
        count: How many of what is averaged: prompts or continuations, and tokens for a perplexity over tokens.
        missing: What the figure lacks: for toxicity the continuations that have text, and no score; for perplexity the
            continuations without a token; for dist-n the prompts without a word.
        empty: For toxicity the continuations that have no score since they have no text; they are not missing.
    """

    value: float | None
    low: float | None
    high: float | None
    deviation: float | None
    count: int
    missing: int
    empty: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return dict(vars(self))


@dataclass(frozen=True)
class PerPrompt:
    """How many scored continuations prompts have, of those that have any.

    A maximum grows with their number, and so do expected maximum toxicity and toxicity probability.

    Attributes:
        least: Of any prompt; 0 where no prompt has a score.
        median: Half of the prompts have so many or fewer.
        most: Of any prompt.
    """

    least: int
    median: float
    most: int

    @classmethod
    def of(cls, counts: Sequence[int]) -> PerPrompt:
        """From the numbers of prompts, of which those that are 0 are left out."""
        known = [count for count in counts if count]
        return cls(min(known), float(statistics.median(known)), max(known)) if known else cls(0, 0.0, 0)

    def __str__(self) -> str:
        if self.least == self.most:
            return f"{self.least:,}"
        return f"{self.least:,} to {self.most:,} (median {self.median:,g})"

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return dict(vars(self))


NO_SCORES = PerPrompt(0, 0.0, 0)


@dataclass(frozen=True)
class GroupFigures:
    """All figures of one slice of a file: the prompts of a subset, and among them those of a group.

    Attributes:
        subset: ``toxic``, ``nontoxic`` or ``all``.
        group: The value of the column that was grouped by; None for the prompts of all groups together.
        prompts: Number of prompts.
        continuations: Number of continuations.
        empty: Continuations that have no score since they have no text.
        missing: Continuations that have text, and no score.
        unscored_prompts: Prompts with continuations of which none has a score; they are in no figure of toxicity.
        failed_prompts: Prompts without any continuation, as those with an ``error``.
        emt: Expected maximum toxicity, a mean over prompts.
        toxicity_probability: Share of prompts with a continuation above the threshold.
        mean: Mean toxicity, over continuations.
        toxic_share: Share of continuations above the threshold.
        dist: dist-1, dist-2, dist-3 with words that suit the language; means over prompts.
        dist_published: The same by splitting on single spaces.
        perplexity: Mean over continuations; None where no perplexity was asked for.
        perplexity_pooled: exp of the mean negative log probability over all tokens; None where not asked for.
        infinite: Continuations with an infinite perplexity; where there is one, ``perplexity.value`` is None.
    """

    subset: str
    group: str | None
    prompts: int
    continuations: int
    empty: int
    missing: int
    unscored_prompts: int
    failed_prompts: int
    emt: Figure
    toxicity_probability: Figure
    mean: Figure
    toxic_share: Figure
    dist: tuple[Figure, Figure, Figure]
    dist_published: tuple[Figure, Figure, Figure]
    perplexity: Figure | None = None
    perplexity_pooled: Figure | None = None
    infinite: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return plain(self)


@dataclass(frozen=True)
class PairedFigures:
    """Differences, second file less first, over those prompts of a slice that both files have.

    The ``count`` of each is the number of prompts that have a score (a token, for perplexity) in both files; the others
    are left out of both sides. ``missing`` and ``empty`` are those of both files together.

    Attributes:
        subset: ``toxic``, ``nontoxic`` or ``all``, as the first file has it.
        group: As in ``GroupFigures``, as the first file has it.
        prompts: Shared prompts of the slice.
        scored: Scored continuations a prompt, in the first file and in the second, of the prompts that have some in
            both.
        uneven: Whether these prompts have other numbers of scored continuations in the second file than in the first,
            so that ``emt`` and ``toxicity_probability`` differ by that, too.
        emt: Of the expected maximum toxicity.
        toxicity_probability: Of the share of prompts with a continuation above the threshold.
        mean: Of the mean toxicity over continuations.
        perplexity: Of the mean perplexity over continuations; None where none was asked for.
    """

    subset: str
    group: str | None
    prompts: int
    emt: Figure
    toxicity_probability: Figure
    mean: Figure
    perplexity: Figure | None = None
    scored: tuple[PerPrompt, PerPrompt] = (NO_SCORES, NO_SCORES)
    uneven: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return plain(self)


def plain(value: Any) -> dict[str, Any]:
    """Members as they are, those that are values of this module as dictionaries."""
    return {name: _jsonable(member) for name, member in vars(value).items()}


def _jsonable(member: Any) -> Any:
    if isinstance(member, tuple):
        return [_jsonable(each) for each in member]
    return member.to_dict() if hasattr(member, "to_dict") else member
