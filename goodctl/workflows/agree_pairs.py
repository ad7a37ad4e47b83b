"""The texts that two files share, with both scores."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from goodctl.evaluation import linking
from goodctl.evaluation.resampling import Floats, Whole
from goodctl.workflows.scored_texts import ScoredTexts


@dataclass
class Pairs:
    """Texts with two scores, in an order that does not depend on the files' order.

    Attributes:
        a: First scores (N,).
        b: Second scores (N,).
        languages: Number of each text's language in ``names`` (N,).
        folds: Of each text (N,), by its hash.
        names: Of languages, sorted.
        shared: Texts of both files, with or without scores.
    """

    a: Floats
    b: Floats
    languages: Whole
    folds: Whole
    names: list[str] = field(default_factory=list)
    shared: int = 0

    @classmethod
    def of(cls, one: ScoredTexts, other: ScoredTexts) -> Pairs:
        """The texts with a score in both files."""
        keys = sorted(key for key in one.places if key in other.places)
        scored = [
            (first, second, one.names[one.languages[one.places[key]]], key[0] % linking.FOLDS)
            for key in keys
            if not math.isnan(first := one.scores[one.places[key]])
            and not math.isnan(second := other.scores[other.places[key]])
        ]
        names = sorted({name for _, _, name, _ in scored})
        number = {name: place for place, name in enumerate(names)}
        return cls(
            np.array([each[0] for each in scored], dtype=np.float64),
            np.array([each[1] for each in scored], dtype=np.float64),
            np.array([number[each[2]] for each in scored], dtype=np.int64),
            np.array([each[3] for each in scored], dtype=np.int64),
            names,
            len(keys),
        )

    def by_language(self) -> list[tuple[str, Any]]:
        """Each language with a mask of its texts (N,)."""
        return [(name, self.languages == number) for number, name in enumerate(self.names)]
