"""The texts of the report page: which prompts are shown, and how any text is shown without doing harm."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from goodctl.evaluation.plots import short_name
from goodctl.evaluation.results import Evaluation, FileEvaluation, PromptRow

MOST_PROMPTS = 36
"""Of all comparisons together."""
MOST_OF_ONE = 12
FEWEST_OF_ONE = 3
MOST_TEXTS = 25
MOST_LETTERS = 1500
_JOINERS = {"\u200c", "\u200d"}  # of Persian and Indic words and of emoji; harmless between their letters
_SHOWN_AS_CODES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_FILLERS = {"\u00ad", "\u034f", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u3164", "\uffa0"}


@dataclass(frozen=True)
class Continuation:
    """A text with its score, None where it is missing."""

    text: str
    score: float | None


@dataclass(frozen=True)
class Column:
    """What one file makes of a prompt.

    Attributes:
        file: Its place in the evaluation.
        maximum: The highest score, or None.
        texts: The most toxic first, those without a score last.
        left_out: How many more there are.
    """

    file: int
    maximum: float | None
    texts: tuple[Continuation, ...]
    left_out: int


@dataclass(frozen=True)
class ShownPrompt:
    """A prompt with the continuations of one file, or of two side by side.

    Attributes:
        prompt: Its text.
        line: In the first of the files.
        subset: ``toxic``, ``nontoxic`` or ``unknown``.
        group: The group, or None.
        difference: Of the maximum toxicity, second less first; None for a single file.
        columns: One or two.
    """

    prompt: str
    line: int
    subset: str
    group: str | None
    difference: float | None
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Prompts:
    """A part of the page with prompts.

    Attributes:
        title: What they are.
        prompts: At least one.
    """

    title: str
    prompts: tuple[ShownPrompt, ...]


def prompts(evaluation: Evaluation) -> list[Prompts]:
    """The prompts that changed most in each comparison; the most toxic ones where nothing is compared."""
    if evaluation.comparisons:
        return list(_compared(evaluation))
    return list(_most_toxic(evaluation))


def _compared(evaluation: Evaluation) -> Iterator[Prompts]:
    comparisons = evaluation.comparisons[: MOST_PROMPTS // FEWEST_OF_ONE]
    each_at_most = min(MOST_OF_ONE, MOST_PROMPTS // len(comparisons))
    for comparison in comparisons:
        places = (comparison.first, comparison.second)
        first, second = (evaluation.files[place] for place in places)
        found = []
        for changed in comparison.changed[:each_at_most]:
            rows = (first.rows[changed.first_row], second.rows[changed.second_row])
            columns = tuple(_column(place, row) for place, row in zip(places, rows, strict=True))
            head = rows[0]
            found.append(ShownPrompt(head.prompt, head.line, head.subset, head.group, changed.difference, columns))
        if found:
            names = " and ".join(short_name(evaluation, place) for place in places)
            yield Prompts(f"{names}: the prompts that changed most", tuple(found))


def _most_toxic(evaluation: Evaluation) -> Iterator[Prompts]:
    each_at_most = max(FEWEST_OF_ONE, MOST_PROMPTS // len(evaluation.files))
    for place, file in enumerate(evaluation.files[: MOST_PROMPTS // FEWEST_OF_ONE]):
        found = tuple(
            ShownPrompt(row.prompt, row.line, row.subset, row.group, None, (_column(place, row),))
            for row in _by_maximum(file)[:each_at_most]
        )
        if found:
            yield Prompts(f"{short_name(evaluation, place)}: the most toxic prompts", found)


def _by_maximum(file: FileEvaluation) -> Sequence[PromptRow]:
    scored = [row for row in file.rows if row.maximum is not None]
    return sorted(scored, key=lambda row: -(row.maximum or 0.0))


def _column(file: int, row: PromptRow) -> Column:
    texts = [Continuation(text, score) for text, score in zip(row.texts, row.scores, strict=True)]
    texts.sort(key=lambda each: -1.0 if each.score is None else each.score, reverse=True)
    return Column(file, row.maximum, tuple(texts[:MOST_TEXTS]), max(0, len(texts) - MOST_TEXTS))


def shown(text: str) -> Markup:
    """A text as markup: escaped, cut where it is very long, letters that cannot be seen as their codes.

    What would turn the writing direction of the page around, hide letters or end its markup is shown, not obeyed.
    """
    parts = [_letter(text, place) for place in range(min(len(text), MOST_LETTERS))]
    more = len(text) - MOST_LETTERS
    if more > 0:
        parts.append(Markup('<span class="more"> … and {} more characters</span>').format(f"{more:,}"))
    return Markup("").join(parts) if text else Markup('<span class="more">(empty)</span>')


def _letter(text: str, place: int) -> Markup:
    each = text[place]
    if each in "\n\t" or (each in _JOINERS and _between_letters(text, place)):
        return escape(each)
    if unicodedata.category(each) in _SHOWN_AS_CODES or each in _FILLERS:
        return Markup('<span class="code">U+{}</span>').format(f"{ord(each):04X}")
    return escape(each)


def _between_letters(text: str, place: int) -> bool:
    """Whether letters beyond ASCII, or signs like emoji, stand on both sides."""
    sides = (text[place - 1 : place], text[place + 1 : place + 2])
    return all(side and not side.isascii() and unicodedata.category(side)[0] in "LMS" for side in sides)
