"""The nucleus of a distribution from a partial sort: exact, at the cost of the tokens that are in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from goodctl.errors import UsageError

WIDTHS = (64, 512, 4096)
"""How many of the most probable tokens are looked at first, and then for the rows whose nucleus is larger."""


@dataclass(frozen=True)
class Nucleus:
    """The tokens of a nucleus, most probable first, equally probable ones by id.

    Attributes:
        tokens: (B, N) int64 token ids; a column that is not ``kept`` holds any id.
        log_probs: (B, N) float32 log probabilities in the whole distribution.
        kept: (B, N) bool, true in the first columns of a row, at least in one.
    """

    tokens: torch.Tensor
    log_probs: torch.Tensor
    kept: torch.Tensor

    @property
    def single(self) -> torch.Tensor:
        """(B,) bool, whether there is but one token: its outcome is fixed."""
        return self.kept.sum(1) == 1


def accurate(values: torch.Tensor) -> torch.Tensor:
    """Values in double precision, for sums over many; in single on MPS, which knows no other."""
    return values.float() if values.device.type == "mps" else values.double()


def check_share(p: float, name: str) -> None:
    """Check a probability that a nucleus is to reach.

    Raises:
        UsageError: It is not above 0 and at most 1.
    """
    if not 0 < p <= 1:
        raise UsageError(f"{name} is {p}: it must be above 0 and at most 1.", hint="Published work takes 0.9.")


def nucleus(logits: torch.Tensor, p: float) -> Nucleus:
    """The fewest tokens, most probable first, whose probability reaches ``p``.

    Args:
        logits: (B, V), at least one of each row above -inf.
        p: Above 0 and at most 1; 1 keeps every token whose logit is not -inf.

    Returns:
        The nucleus; N is the size of the largest.
    """
    totals = torch.logsumexp(logits.float(), dim=-1, keepdim=True)  # (B, 1)
    vocabulary = logits.shape[-1]
    rows = torch.arange(len(logits), device=logits.device)
    pieces: list[tuple[torch.Tensor, Nucleus]] = []
    first = () if p == 1 else WIDTHS
    for width in (*(width for width in first if width < vocabulary), vocabulary):
        found, complete = _among(logits[rows], totals[rows], p, width)
        pieces.append((rows[complete], Nucleus(*(each[complete] for each in found))))
        rows = rows[~complete]
        if not len(rows):
            break
    return _joined(pieces, len(logits))


def _among(
    logits: torch.Tensor, totals: torch.Tensor, p: float, width: int
) -> tuple[tuple[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]:
    """The nucleus among the ``width`` most probable tokens, and in which rows (B,) that is all of it."""
    vocabulary = logits.shape[-1]
    if width < vocabulary:
        values, tokens = torch.topk(logits, width, dim=-1, sorted=False)  # (B, W)
        tokens, order = tokens.sort(dim=-1)
        values = values.gather(-1, order)
    else:
        values, tokens = logits, torch.arange(vocabulary, device=logits.device).expand(logits.shape)
    values, order = values.float().sort(dim=-1, descending=True, stable=True)
    tokens, log_probs = tokens.gather(-1, order), values - totals
    probabilities = accurate(log_probs).exp()
    before = probabilities.cumsum(-1) - probabilities  # (B, W)
    # Rounded, their sum may reach 1 too early.
    kept = (values > -math.inf) & ((before < p) | (p == 1))
    kept[:, 0] = True
    if width == vocabulary:
        return (tokens, log_probs, kept), torch.ones(len(logits), dtype=torch.bool, device=logits.device)
    # Tokens as probable as the last one may not be among the most probable: which of them come first by id is unknown.
    last = values[:, -1:]
    complete = ~kept[:, -1] & ~(kept & (values == last)).any(-1)
    return (tokens, log_probs, kept), complete


def _joined(pieces: list[tuple[torch.Tensor, Nucleus]], batch: int) -> Nucleus:
    """Nuclei of different rows as one, no wider than the largest."""
    widest = max(int(each.kept.sum(1).max()) if len(rows) else 0 for rows, each in pieces)
    some = pieces[0][1]
    tokens = some.tokens.new_zeros(batch, widest)
    log_probs = some.log_probs.new_full((batch, widest), -math.inf)
    kept = some.kept.new_zeros(batch, widest)
    for rows, each in pieces:
        width = min(widest, each.tokens.shape[1])
        tokens[rows, :width] = each.tokens[:, :width]
        log_probs[rows, :width] = each.log_probs[:, :width]
        kept[rows, :width] = each.kept[:, :width]
    return Nucleus(tokens, log_probs, kept)
