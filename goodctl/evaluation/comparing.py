"""Two files on the same prompts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from goodctl.evaluation.figure import PairedFigures, PerPrompt
from goodctl.evaluation.intervals import differences
from goodctl.evaluation.results import Bootstrap, ChangedPrompt, Comparison, PromptRow
from goodctl.evaluation.slices import Measured, Numbers, sliced

MOST_CHANGED = 50
"""Prompts that are listed as most changed."""
MOST_UNEVEN = 0.02
"""Share of continuations by which prompts may differ in two files: that of a few scores that are missing in each."""


@dataclass(frozen=True)
class Pairs:
    """The prompts that two files have.

    Attributes:
        first: (P,) their numbers in the first file.
        second: (P,) their numbers in the second.
        repeated: As in ``Comparison``.
    """

    first: Numbers
    second: Numbers
    repeated: int


def compare(first: int, second: int, files: Sequence[Measured], bootstrap: Bootstrap) -> Comparison:
    """Compare two of the evaluated files on the prompts that both have.

    Prompts are the same where text, group, language and the prompt's own toxicity are; what is left is matched without
    that toxicity, which another scorer may have given. Where a file has a prompt several times, those with the same
    continuations belong together, then the others in the order of their continuations' texts.

    Args:
        first: Number of the first file.
        second: Number of the second.
        files: All files.
        bootstrap: How intervals are made.
    """
    one, other = files[first], files[second]
    pairs = paired(one.rows, other.rows)
    mine, theirs = pairs.first, pairs.second
    return Comparison(
        first=first,
        second=second,
        shared=len(mine),
        only_first=len(one.rows) - len(mine),
        only_second=len(other.rows) - len(theirs),
        slices=tuple(_differences(one, other, mine, theirs, bootstrap)),
        changed=_changed(one.rows, other.rows, mine, theirs),
        repeated=pairs.repeated,
    )


def paired(first: Sequence[PromptRow], second: Sequence[PromptRow]) -> Pairs:
    """The prompts that both have; neither file's order of lines matters."""
    mine, theirs, repeated = list[int](), list[int](), 0
    left, others = list(range(len(first))), list(range(len(second)))
    for key in (_same_texts, _same_prompt, _same_words):
        here, there = _by_key(first, left, key), _by_key(second, others, key)
        for name in sorted(here.keys() & there.keys()):
            ones, twos = here[name], there[name]
            pairs = list(zip(ones, twos, strict=False))
            mine += [one for one, _ in pairs]
            theirs += [two for _, two in pairs]
            if key is not _same_texts and max(len(ones), len(twos)) > 1:
                repeated += len(pairs)
        left, others = sorted(set(left) - set(mine)), sorted(set(others) - set(theirs))
    return Pairs(np.array(mine, dtype=np.int64), np.array(theirs, dtype=np.int64), repeated)


_Key = tuple[str | float | tuple[str, ...], ...]


def _same_words(row: PromptRow) -> _Key:
    """For prompts whose own toxicity was scored by another scorer, or in one file alone."""
    return row.prompt, row.group or "", row.language or ""


def _same_prompt(row: PromptRow) -> _Key:
    return *_same_words(row), row.subset, -1.0 if row.toxicity is None else row.toxicity


def _same_texts(row: PromptRow) -> _Key:
    """Of the same texts, which another scorer has scored, or which one of the files has more of."""
    return *_same_prompt(row), row.texts


def _by_key(
    rows: Sequence[PromptRow], numbers: Sequence[int], key: Callable[[PromptRow], _Key]
) -> dict[_Key, list[int]]:
    """The numbers of rows by their key; those of one key in an order that does not depend on the rows' order."""
    found: dict[_Key, list[int]] = {}
    for number in numbers:
        found.setdefault(key(rows[number]), []).append(number)
    for each in found.values():
        if len(each) > 1:
            each.sort(key=lambda number: _content(rows[number]))
    return found


def _content(row: PromptRow) -> tuple[tuple[str, ...], str, float, tuple[float, ...]]:
    toxicity = -1.0 if row.toxicity is None else row.toxicity
    return row.texts, row.subset, toxicity, tuple(-1.0 if score is None else score for score in row.scores)


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
