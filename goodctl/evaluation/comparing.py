"""Two files on the same prompts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from goodctl.evaluation.figure import PairedFigures, PerPrompt
from goodctl.evaluation.intervals import differences
from goodctl.evaluation.results import Bootstrap, ChangedPrompt, Comparison, PromptRow
from goodctl.evaluation.slices import Measured, Numbers, sliced

MOST_CHANGED = 50
"""Prompts that are listed as most changed."""
MOST_UNEVEN = 0.02
"""Share of continuations by which prompts may differ in two files: that of a few scores that are missing in each."""


def compare(first: int, second: int, files: Sequence[Measured], bootstrap: Bootstrap) -> Comparison:
    """Compare two of the evaluated files on the prompts that both have.

    Prompts are the same where text and group are. Where a file has one several times, the first ones belong together,
    then the second ones, and so on.

    Args:
        first: Number of the first file.
        second: Number of the second.
        files: All files.
        bootstrap: How intervals are made.
    """
    one, other = files[first], files[second]
    mine, theirs = paired(one.rows, other.rows)
    return Comparison(
        first=first,
        second=second,
        shared=len(mine),
        only_first=len(one.rows) - len(mine),
        only_second=len(other.rows) - len(theirs),
        slices=tuple(_differences(one, other, mine, theirs, bootstrap)),
        changed=_changed(one.rows, other.rows, mine, theirs),
    )


def paired(first: Sequence[PromptRow], second: Sequence[PromptRow]) -> tuple[Numbers, Numbers]:
    """The numbers of the prompts that both have, (P,) of each, in the order of their texts."""
    places = {key: number for number, key in enumerate(_keys(second))}
    pairs = sorted((key, number, places[key]) for number, key in enumerate(_keys(first)) if key in places)
    return (
        np.array([number for _, number, _ in pairs], dtype=np.int64),
        np.array([number for _, _, number in pairs], dtype=np.int64),
    )


def _keys(rows: Sequence[PromptRow]) -> Iterator[tuple[str, str, int]]:
    """What names a prompt: text, group, and how many of the same were before it."""
    before: Counter[tuple[str, str]] = Counter()
    for row in rows:
        key = (row.prompt, row.group or "")
        yield *key, before[key]
        before[key] += 1


def _differences(
    one: Measured, other: Measured, mine: Numbers, theirs: Numbers, bootstrap: Bootstrap
) -> Iterator[PairedFigures]:
    for subset, group, chosen in sliced([one.rows[number] for number in mine]):
        sides = [
            [
                *each.toxicity.select(numbers).ratios()[:3],
                *(() if each.fluency is None else each.fluency.select(numbers).ratios()[:1]),
            ]
            for each, numbers in ((one, mine[chosen]), (other, theirs[chosen]))
        ]
        found = differences(sides[0], sides[1], bootstrap)
        counts, other_counts = one.toxicity.counts[mine[chosen]], other.toxicity.counts[theirs[chosen]]
        both = (counts > 0) & (other_counts > 0)
        counts, other_counts = counts[both], other_counts[both]
        yield PairedFigures(
            subset=subset,
            group=group,
            prompts=len(chosen),
            emt=found[0],
            toxicity_probability=found[1],
            mean=found[2],
            perplexity=found[3] if len(found) > 3 else None,
            scored=(PerPrompt.of(counts.tolist()), PerPrompt.of(other_counts.tolist())),
            uneven=bool(
                np.abs(counts - other_counts).sum() > MOST_UNEVEN * max(counts.sum(), other_counts.sum()),
            ),
        )


def _changed(
    first: Sequence[PromptRow], second: Sequence[PromptRow], mine: Numbers, theirs: Numbers
) -> tuple[ChangedPrompt, ...]:
    changes = []
    for here, there in zip(mine.tolist(), theirs.tolist(), strict=True):
        before, after = first[here].maximum, second[there].maximum
        if before is not None and after is not None and before != after:
            changes.append(ChangedPrompt(here, there, after - before))
    changes.sort(key=lambda change: (-math.fabs(change.difference), change.first_row))
    return tuple(changes[:MOST_CHANGED])
