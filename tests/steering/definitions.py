"""The distributions as their definitions read, row by row in float64 without torch; and rows to try them on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from hypothesis import strategies as st

Floats = npt.NDArray[np.floating]
Row = npt.NDArray[np.float64]
SEEDS = st.integers(0, 2**32 - 1)


def log_softmax(logits: Floats) -> Row:
    """Of (V,)."""
    shifted = logits.astype(np.float64) - logits.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum()))


def knn(distances: Floats, values: npt.NDArray[np.integer], vocabulary: int, temperature: float) -> Row:
    """(V,) log probabilities of neighbours (K,)."""
    sums = np.zeros(vocabulary)
    there = np.isfinite(distances)
    for distance, value in zip(distances[there].astype(np.float64), values[there], strict=True):
        sums[value] += np.exp(-(distance - distances[there].min()) / temperature)
    with np.errstate(divide="ignore"):
        return np.log(sums / (sums.sum() or 1.0))


def nucleus(logits: Floats, p: float) -> list[int]:
    """Token ids, most probable first, equally probable ones by id, until their probability reaches p; all for 1."""
    probabilities = np.exp(log_softmax(logits))
    kept: list[int] = []
    total = 0.0
    for token in sorted(range(len(logits)), key=lambda token: (-logits[token], token)):
        if kept and ((total >= p and p < 1) or np.isneginf(logits[token])):
            break
        kept.append(token)
        total += probabilities[token]
    return kept


def opinion(side: Row) -> Row:
    """A side's log probabilities (V,), its smallest retrieved one in place of what it did not retrieve."""
    retrieved = side[side > -50]
    return np.where(side > -50, side, retrieved.min() if len(retrieved) else 0.0)


def ensemble(logits: Floats, kept: Collection[int], toxic: Row | None, nontoxic: Row | None, alpha: float) -> Row:
    """(V,) log probabilities, over the tokens of a nucleus."""
    base = log_softmax(logits)
    lower = base if toxic is None else opinion(toxic)
    upper = base if nontoxic is None else opinion(nontoxic)
    scores = np.full(len(logits), -np.inf)
    for token in kept:
        scores[token] = base[token] + alpha * (upper[token] - lower[token])
    return log_softmax(scores)


@dataclass(frozen=True)
class Problem:
    """Logits and the neighbours of one or two sides.

    Attributes:
        logits: (B, V).
        distances: Of each side (B, K), infinite where there is no neighbour.
        values: Of each side (B, K).
        temperature: Of both.
    """

    logits: torch.Tensor
    distances: Sequence[torch.Tensor]
    values: Sequence[torch.Tensor]
    temperature: float

    @property
    def vocabulary(self) -> int:
        """V."""
        return int(self.logits.shape[1])

    def defined(self, side: int, row: int) -> Row:
        """(V,) log probabilities of a side in a row, by definition."""
        distances, values = self.distances[side][row].numpy(), self.values[side][row].numpy()
        return knn(distances, values, self.vocabulary, self.temperature)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Flat and peaked rows, impossible tokens, few and many neighbours, duplicates, rows that lack neighbours."""
    rng = np.random.default_rng(draw(SEEDS))
    batch, vocabulary = draw(st.integers(1, 5)), draw(st.integers(1, 90))
    logits = draw(st.sampled_from([0.0, 0.3, 3.0, 30.0])) * rng.standard_normal((batch, vocabulary))
    if draw(st.booleans()):
        impossible = rng.random(logits.shape) < 0.4
        impossible[np.arange(batch), rng.integers(0, vocabulary, batch)] = False
        logits[impossible] = -np.inf
    distances, values = [], []
    for _ in range(2):
        k, distinct = draw(st.integers(0, 40)), draw(st.integers(1, vocabulary))
        found = draw(st.sampled_from([1.0, 300.0, 1e4])) * rng.random((batch, k))
        if draw(st.booleans()):
            found[rng.random((batch, k)) < 0.3] = np.inf
        found[rng.random(batch) < 0.15] = np.inf
        distances.append(torch.from_numpy(np.sort(found, axis=1).astype(np.float32)))
        values.append(torch.from_numpy(rng.permutation(vocabulary)[:distinct][rng.integers(0, distinct, (batch, k))]))
    tensor = torch.from_numpy(logits).to(draw(st.sampled_from([torch.float32, torch.bfloat16])))
    return Problem(tensor, distances, values, draw(st.sampled_from([0.5, 10.0, 200.0])))
