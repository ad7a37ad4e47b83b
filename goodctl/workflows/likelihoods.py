"""Log probabilities of tokens added up, language by language."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from goodctl.steering.likelihood import interpolated_at, proposed
from goodctl.workflows.blocks import Block
from goodctl.workflows.predicting import Predicted


@dataclass(frozen=True)
class Figures:
    """Perplexity over some tokens.

    Attributes:
        documents: That have tokens to predict.
        tokens: Predicted.
        base: Perplexity under the model; infinite where it rules a token out.
        knn: The same of the kNN-LM, or None without stores; infinite where ``impossible`` is not 0.
        proposed: Share of the tokens that are the next token of one of the neighbours, or None.
        impossible: Tokens without any probability under the kNN-LM, or None.
    """

    documents: int
    tokens: int
    base: float
    knn: float | None = None
    proposed: float | None = None
    impossible: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; JSON has no infinity, null stands for it."""
        return {
            name: None if isinstance(value, float) and math.isinf(value) else value
            for name, value in asdict(self).items()
        }


@dataclass
class _Sums:
    """What has been added up for one language; log probabilities are negated, so the sums are nats."""

    documents: int = 0
    tokens: int = 0
    base: float = 0.0
    knn: float = 0.0
    proposed: int = 0
    impossible: int = 0

    def and_(self, other: _Sums) -> _Sums:
        return _Sums(*(mine + theirs for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True)))

    def figures(self, *, searched: bool) -> Figures:
        base = Figures(self.documents, self.tokens, _perplexity(self.base, self.tokens))
        if not searched:
            return base
        knn = _perplexity(self.knn, self.tokens)
        return Figures(base.documents, base.tokens, base.base, knn, self.proposed / self.tokens, self.impossible)


@dataclass
class Likelihoods:
    """Adds up what a ``Predictor`` gives.

    Attributes:
        temperature: Of the neighbours.
        lam: Share of the neighbours.
    """

    temperature: float
    lam: float
    _sums: dict[str, _Sums] = field(default_factory=dict)
    _searched: bool = False

    def add(self, predicted: Predicted, languages: Sequence[str]) -> None:
        """Count a batch.

        Args:
            predicted: Of a block.
            languages: Of the block's documents.
        """
        base = -predicted.base.double().numpy()  # (N,) nats
        knn, found = np.zeros_like(base), np.zeros(len(base), dtype=bool)
        if predicted.distances is not None and predicted.values is not None:
            self._searched = True
            distances, values, tokens = predicted.distances, predicted.values, predicted.tokens
            mixed = interpolated_at(predicted.base, distances, values, tokens, self.temperature, self.lam)
            knn, found = -mixed.double().numpy(), proposed(distances, values, tokens).numpy()
        for language in dict.fromkeys(languages):
            these = np.array([each == language for each in languages])[predicted.documents]  # (N,)
            if these.any():
                added = _added(base[these], knn[these], found[these])
                self._sums[language] = self._sums.get(language, _Sums()).and_(added)

    def count(self, block: Block) -> None:
        """Count a block's documents."""
        for document in block.documents:
            self._sums.setdefault(document.language, _Sums()).documents += 1

    @property
    def tokens(self) -> int:
        """So far."""
        return sum(sums.tokens for sums in self._sums.values())

    def total(self) -> Figures:
        """Over all languages; there must be a token."""
        total = _Sums()
        for sums in self._sums.values():
            total = total.and_(sums)
        return total.figures(searched=self._searched)

    def languages(self) -> dict[str, Figures]:
        """Of each language, sorted by tokens, most first."""
        order = sorted(self._sums, key=lambda language: (-self._sums[language].tokens, language))
        return {language: self._sums[language].figures(searched=self._searched) for language in order}


def _added(base: npt.NDArray[np.float64], knn: npt.NDArray[np.float64], found: npt.NDArray[np.bool_]) -> _Sums:
    return _Sums(0, len(base), float(base.sum()), float(knn.sum()), int(found.sum()), int(np.isinf(knn).sum()))


def _perplexity(nats: float, tokens: int) -> float:
    """``exp`` of the mean, infinite where that is beyond a double."""
    mean = nats / tokens
    return math.exp(mean) if mean < math.log(np.finfo(np.float64).max) else math.inf
