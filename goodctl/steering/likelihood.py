"""What the distributions give to one token of each row: the likelihood of text that is there already.

As in ``logits``, without a tensor over the vocabulary beside the logits. N is the number of rows, V the vocabulary, K
the neighbours of a row.
"""

from __future__ import annotations

import math

import torch

from goodctl.steering.logits import mixture, neighbor_weights

BLOCK_BYTES = 16 * 2**20
"""Logits that are taken to float32 at a time."""


def log_probs_at(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """The log softmax at one token of each row.

    Args:
        logits: (N, V) of any floating dtype.
        tokens: (N,) int64 token ids.

    Returns:
        (N,) float32; NaN where a row of logits holds NaN or infinity, or nothing but -inf.
    """
    rows = max(1, BLOCK_BYTES // (4 * logits.shape[-1]))
    found = logits.new_empty(len(logits), dtype=torch.float32)
    for start in range(0, len(logits), rows):
        these = slice(start, start + rows)
        block = logits[these].float()
        totals = block.logsumexp(-1)  # (rows,)
        at = block.gather(-1, tokens[these, None])[:, 0] - totals
        found[these] = at.masked_fill(~torch.isfinite(totals), math.nan)
    return found


def interpolated_at(
    base: torch.Tensor,
    distances: torch.Tensor,
    neighbor_values: torch.Tensor,
    tokens: torch.Tensor,
    temperature: float,
    lam: float,
) -> torch.Tensor:
    """``logits.interpolate`` at one token of each row: log((1 - lam) · p_LM + lam · p_kNN).

    Source: arXiv 1911.00172, equations 2 and 3.

    Args:
        base: (N,) log p_LM of the tokens.
        distances: (N, K) squared L2, infinite where there is no neighbour.
        neighbor_values: (N, K) token ids.
        tokens: (N,) int64 token ids.
        temperature: In units of the distances, above 0.
        lam: Share of the neighbours, from 0 to 1.

    Returns:
        (N,) float32 log probabilities: -inf where lam is 1 and no neighbour proposes the token. A row without any
        neighbour keeps p_LM.
    """
    weights, values = neighbor_weights(distances, neighbor_values, temperature)  # (N, K)
    neighbors = (weights * (values == tokens[:, None])).sum(-1).log()  # (N,)
    nothing = ~torch.isfinite(distances).any(-1)
    return mixture(base, torch.where(nothing, base, neighbors), lam)


def proposed(distances: torch.Tensor, neighbor_values: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Whether a row's token is the next token of one of its neighbours, however far: (N,) bool."""
    return ((neighbor_values == tokens[:, None]) & torch.isfinite(distances)).any(-1)
