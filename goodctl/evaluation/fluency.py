"""Perplexity of continuations, from the log probabilities of their tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from goodctl.evaluation.intervals import Floats, Ratio, deviation

NAMES = ("perplexity", "perplexity_pooled")


@dataclass(frozen=True)
class Fluency:
    """What a model makes of the continuations of some prompts: N prompts, S continuations.

    Attributes:
        nll: (S,) negative log probability of each continuation, given its prompt; nats.
        tokens: (S,) int64 number of its tokens; 0 for one without text, or with white space alone.
        owners: (S,) int64 prompt of each, not descending.
        prompts: N.
    """

    nll: Floats
    tokens: npt.NDArray[np.int64]
    owners: npt.NDArray[np.int64]
    prompts: int

    def select(self, chosen: npt.NDArray[np.int64]) -> Fluency:
        """Of some prompts, in the order of their numbers (M,), each at most once."""
        place = np.full(self.prompts, -1, dtype=np.int64)
        place[chosen] = np.arange(len(chosen))
        owners = place[self.owners]
        these = owners >= 0
        return Fluency(self.nll[these], self.tokens[these], owners[these], len(chosen))

    @property
    def infinite(self) -> int:
        """Continuations with a token that is impossible to the model, or with a perplexity beyond all numbers."""
        return int(np.isinf(_perplexities(self.nll, self.tokens)).sum())

    def per_prompt(self) -> list[float | None]:
        """Mean perplexity of each prompt's continuations; None without a token, or where it is infinite."""
        ratio = self.ratios()[0]
        with np.errstate(all="ignore"):
            means = ratio.numerators / ratio.denominators
        return [float(mean) if np.isfinite(mean) else None for mean in means]

    def ratios(self) -> tuple[Ratio, ...]:
        """Mean of the continuations' perplexities; perplexity over all their tokens together."""
        each = _perplexities(self.nll, self.tokens)
        known = self.tokens > 0
        empty = int((~known).sum())
        return (
            Ratio(
                self._sums(np.where(known, each, 0.0)),
                self._sums(known.astype(np.float64)),
                int(known.sum()),
                empty,
                deviation(each[known]),
            ),
            Ratio(
                self._sums(np.where(known, self.nll, 0.0)),
                self._sums(self.tokens.astype(np.float64)),
                int(self.tokens.sum()),
                empty,
                exponential=True,
            ),
        )

    def _sums(self, values: Floats) -> Floats:
        return np.bincount(self.owners, values, self.prompts).astype(np.float64)


def _perplexities(nll: Floats, tokens: npt.NDArray[np.int64]) -> Floats:
    with np.errstate(all="ignore"):
        return np.where(tokens > 0, np.exp(nll / tokens), np.nan)
