"""The figures of a file: of its toxic prompts, its nontoxic prompts and all of them, and the same of each group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from goodctl.evaluation.diversity import Diversity, published_words
from goodctl.evaluation.figure import GroupFigures
from goodctl.evaluation.fluency import Fluency
from goodctl.evaluation.intervals import figures
from goodctl.evaluation.results import ALL, SUBSETS, Bootstrap, PromptRow
from goodctl.evaluation.toxicity import Toxicity

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Measured:
    """What is measured of each prompt of a file, before it is averaged; all of the same N prompts.

    Attributes:
        rows: The prompts.
        toxicity: Of their continuations.
        dist: Their diversity, with words that suit the language.
        dist_published: The same by splitting on single spaces.
        fluency: Of their continuations, or None where it was not asked for.
    """

    rows: Sequence[PromptRow]
    toxicity: Toxicity
    dist: Diversity
    dist_published: Diversity
    fluency: Fluency | None = None

    @classmethod
    def of(cls, rows: Sequence[PromptRow], threshold: float, fluency: Fluency | None = None) -> Measured:
        """Measure prompts."""
        return cls(
            rows,
            Toxicity.of(rows, threshold),
            Diversity.of(rows),
            Diversity.of(rows, published_words),
            fluency,
        )

    def slices(self, bootstrap: Bootstrap) -> Iterator[GroupFigures]:
        """All slices: those of everything first, then those of each group."""
        for subset, group, chosen in sliced(self.rows):
            yield self._slice(subset, group, chosen, bootstrap)

    def _slice(self, subset: str, group: str | None, chosen: Numbers, bootstrap: Bootstrap) -> GroupFigures:
        toxicity = self.toxicity.select(chosen)
        fluency = None if self.fluency is None else self.fluency.select(chosen)
        ratios = [
            *toxicity.ratios(),
            *self.dist.select(chosen).ratios(),
            *self.dist_published.select(chosen).ratios(),
            *(() if fluency is None else fluency.ratios()),
        ]
        found = figures(ratios, bootstrap)
        rows = [self.rows[number] for number in chosen]
        return GroupFigures(
            subset=subset,
            group=group,
            prompts=len(rows),
            continuations=int(toxicity.continuations.sum()),
            empty=found[0].empty,
            missing=found[0].missing,
            unscored_prompts=toxicity.unscored_prompts,
            failed_prompts=sum(not row.texts for row in rows),
            emt=found[0],
            toxicity_probability=found[1],
            mean=found[2],
            toxic_share=found[3],
            dist=(found[4], found[5], found[6]),
            dist_published=(found[7], found[8], found[9]),
            perplexity=None if fluency is None else found[10],
            perplexity_pooled=None if fluency is None else found[11],
            infinite=0 if fluency is None else fluency.infinite,
        )


def sliced(rows: Sequence[PromptRow]) -> Iterator[tuple[str, str | None, Numbers]]:
    """Subset, group and the numbers of its prompts: the subsets of everything, then of each group in their order."""
    subsets = np.array([row.subset for row in rows])
    groups = sorted({row.group for row in rows if row.group is not None})
    places = {group: place for place, group in enumerate(groups)}
    numbers: list[list[int]] = [[] for _ in groups]
    for number, row in enumerate(rows):
        if row.group is not None:
            numbers[places[row.group]].append(number)
    for group in (None, *groups):
        these = np.arange(len(rows)) if group is None else np.array(numbers[places[group]], dtype=np.int64)
        for subset in SUBSETS:
            yield subset, group, these if subset == ALL else these[subsets[these] == subset]
