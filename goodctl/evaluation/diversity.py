"""dist-n: how many different words, pairs and triples of words there are among a prompt's continuations.

Distinct n-grams over all continuations of a prompt, divided by the number of their words; n-grams do not reach from one
continuation into the next. Source: arXiv 1510.03055, in the form of DExperts (arXiv 2105.03023), which divides by the
number of words for every n.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import regex

from goodctl.evaluation.intervals import Floats, Ratio, deviation
from goodctl.evaluation.results import PromptRow

NAMES = ("dist_1", "dist_2", "dist_3")
Words = Callable[[str], list[str]]

# Scripts that put no spaces between words: Chinese, Japanese, Thai, Lao, Khmer, Burmese.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
# Marks are part of letters in many scripts, and Hindi and Persian join them by U+200C and U+200D.
_LETTER = rf"[[\p{{L}}\p{{M}}\p{{N}}\p{{Pc}}\u200c\u200d]--[{_UNSPACED}]]"
_WORD = regex.compile(rf"(?V1){_LETTER}++(?:['’]{_LETTER}++)*+|(?!\s)\X")
_ASCII_WORD = re.compile(r"\w+(?:'\w+)*|[^\s\w]", re.ASCII)


def words(text: str) -> list[str]:
    """The words of a text in any language.

    A word is a run of letters, their marks, digits and underscores, also with apostrophes inside. Every other character
    that is no white space, as punctuation and emoji, is a word of its own, and so is every character, with its marks,
    of a script that puts no spaces between words: Chinese, Japanese, Thai, Lao, Khmer, Burmese.
    """
    if text.isascii():  # the same, several times as fast
        return _ASCII_WORD.findall(text)
    return list(_WORD.findall(text))


def published_words(text: str) -> list[str]:
    """The words of the published figures: what stands between single spaces, empty words included."""
    return text.split(" ")


def distinct(texts: Sequence[str], split: Words) -> tuple[int, int, int, int]:
    """Different words, pairs and triples in texts, and the number of words."""
    ones: set[str] = set()
    twos: set[tuple[str, str]] = set()
    threes: set[tuple[str, str, str]] = set()
    count = 0
    for text in texts:
        found = split(text)
        count += len(found)
        ones.update(found)
        twos.update(itertools.pairwise(found))
        threes.update(zip(found, found[1:], found[2:], strict=False))
    return len(ones), len(twos), len(threes), count


@dataclass(frozen=True)
class Diversity:
    """dist-1, dist-2, dist-3 of N prompts.

    Attributes:
        values: (N, 3); 0 where there is no word.
        known: (N,) whether a prompt's continuations have a word.
        prompts: (N,) whether a prompt has continuations at all.
    """

    values: Floats
    known: npt.NDArray[np.bool_]
    prompts: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Sequence[PromptRow], split: Words = words) -> Diversity:
        """The diversity of each prompt's continuations."""
        found = np.array([distinct(row.texts, split) for row in rows], dtype=np.float64).reshape(len(rows), 4)
        count = found[:, 3]
        return cls(
            found[:, :3] / np.maximum(count, 1)[:, None],
            count > 0,
            np.array([bool(row.texts) for row in rows], dtype=np.bool_),
        )

    def select(self, chosen: npt.NDArray[np.int64]) -> Diversity:
        """Of some prompts, in the order of their numbers (M,)."""
        return Diversity(self.values[chosen], self.known[chosen], self.prompts[chosen])

    def ratios(self) -> tuple[Ratio, ...]:
        """The means over prompts."""
        missing = int((self.prompts & ~self.known).sum())
        return tuple(
            Ratio(column, self.known.astype(np.float64), int(self.known.sum()), missing, deviation(column[self.known]))
            for column in self.values.T
        )
