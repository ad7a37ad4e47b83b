"""The distributions of the methods, as pure functions of tensors.

No function changes its arguments, and each row of a result depends on the same row of the arguments alone. Logits may
be of any floating dtype; results are float32. B is the batch, V the vocabulary, K the neighbours of a query.
"""

from __future__ import annotations

import math

import torch

from goodctl.errors import UsageError
from goodctl.steering.nucleus import check_share, nucleus

NOT_RETRIEVED = -50.0
"""A log probability up to this counts as that of a token which no neighbour proposes, as in the published method."""
RULED_OUT = -1e4
"""The least logit of a companion: what it makes impossible stays a number, of which others can be subtracted."""
LEAST_TEMPERATURE = 1e-30
"""Below it only the nearest neighbours count anyway, and float32 has no such numbers."""
STRONGEST = 1e30
"""A strength beyond it has no further effect: only the largest difference counts by then, and float32 has an end."""


def knn_log_probs(
    distances: torch.Tensor, neighbor_values: torch.Tensor, vocab_size: int, temperature: float
) -> torch.Tensor:
    """The neighbours' distribution over next tokens: p(x) ∝ Σ exp(-d / temperature) over the neighbours of value x.

    Source: arXiv 1911.00172, equation 3.

    Args:
        distances: (B, K) squared L2; infinite where there is no neighbour.
        neighbor_values: (B, K) integer token ids below ``vocab_size``; what stands beside an infinite distance is not
            looked at.
        vocab_size: V.
        temperature: In units of the distances, above 0.

    Returns:
        (B, V) float32 log probabilities, -inf where no neighbour proposes the token.

    Raises:
        UsageError: The temperature is not above 0.
    """
    weights, values = neighbor_weights(distances, neighbor_values, temperature)
    probabilities = weights.new_zeros(len(weights), vocab_size).scatter_add(1, values, weights)  # (B, V)
    return probabilities.log()


def ensemble(
    base_logits: torch.Tensor,
    toxic_log_probs: torch.Tensor | None,
    nontoxic_log_probs: torch.Tensor | None,
    alpha: float,
    filter_p: float,
) -> torch.Tensor:
    """The ensemble: log p(x) ∝ log p_LM(x) + alpha · (log p_nontoxic(x) - log p_toxic(x)) over its nucleus.

    A token that a side does not propose gets that row's floor: its smallest log probability above ``NOT_RETRIEVED``.
    In place of a side that is None stands p_LM; a side that proposes nothing in a row has no effect there.

    Source: arXiv 2310.07589, equation 2; arXiv 2105.03023, equation 2.

    Args:
        base_logits: (B, V).
        toxic_log_probs: (B, V), or None.
        nontoxic_log_probs: (B, V), or None.
        alpha: Strength; 0 leaves the base distribution, cut to its nucleus.
        filter_p: Probability of the nucleus, above 0 and at most 1.

    Returns:
        (B, V) float32 log probabilities, -inf outside of the nucleus.
    """
    base = base_logits.float().log_softmax(-1)
    mask = nucleus_mask(base_logits, filter_p)
    sides = [None if side is None else floored(side.float()) for side in (toxic_log_probs, nontoxic_log_probs)]
    return combined(base, mask, sides[0], sides[1], alpha)


def interpolate(base_logits: torch.Tensor, knn_log_probs: torch.Tensor, lam: float) -> torch.Tensor:
    """The mixture log((1 - lam) · p_LM + lam · p_kNN); a row without any neighbour keeps p_LM.

    Source: arXiv 1911.00172, equation 2.

    Args:
        base_logits: (B, V).
        knn_log_probs: (B, V), -inf where nothing was retrieved.
        lam: Share of the neighbours, from 0 to 1.

    Returns:
        (B, V) float32 log probabilities.
    """
    return mixture(base_logits.float().log_softmax(-1), _found_or(knn_log_probs, base_logits), lam)


def mixture(base: torch.Tensor, neighbors: torch.Tensor, lam: float) -> torch.Tensor:
    """Log probabilities log((1 - lam) · exp(base) + lam · exp(neighbors)), of any shape; lam from 0 to 1."""
    return torch.logaddexp(base + _log(1 - lam), neighbors + _log(lam))


def discourage(base_logits: torch.Tensor, knn_log_probs: torch.Tensor, lam: float) -> torch.Tensor:
    """Weights log relu((1 + lam) · p_LM - lam · p_kNN), away from the neighbours.

    What is left does not sum to one where the difference is cut off at zero. A row without any neighbour keeps p_LM.

    Args:
        base_logits: (B, V).
        knn_log_probs: (B, V), -inf where nothing was retrieved.
        lam: Strength, at least 0.

    Returns:
        (B, V) float32 log weights, -inf where the neighbours outweigh the base.
    """
    base = base_logits.float().log_softmax(-1).exp()
    neighbors = _found_or(knn_log_probs, base_logits).exp()
    # Written in this way, equal probabilities cancel exactly, however strong it is.
    return (base + min(lam, STRONGEST) * (base - neighbors)).relu().log()


def nucleus_mask(logits: torch.Tensor, p: float) -> torch.Tensor:
    """The nucleus: the fewest tokens, most probable first, whose probability reaches ``p``.

    Of equally probable tokens those with the lower ids come first. Source: arXiv 1904.09751, section 3.1.

    Args:
        logits: (B, V).
        p: Above 0 and at most 1; 1 keeps every token whose logit is not -inf.

    Returns:
        (B, V) bool, at least one true in each row.
    """
    check_share(p, "p")
    found = nucleus(logits, p)
    mask = torch.zeros(logits.shape, dtype=torch.bool, device=logits.device)
    row, column = torch.nonzero(found.kept, as_tuple=True)
    mask[row, found.tokens[row, column]] = True
    return mask


def combined(
    base: torch.Tensor,
    mask: torch.Tensor,
    toxic: torch.Tensor | None,
    nontoxic: torch.Tensor | None,
    alpha: float,
) -> torch.Tensor:
    """The ensemble over any set of tokens: the whole vocabulary, or a nucleus's.

    Args:
        base: (B, N) log probabilities of the base model, up to a constant of each row.
        mask: (B, N) bool, which of the tokens are in the nucleus; at least one in each row.
        toxic: (B, N) log probabilities, finite, or None for the base's.
        nontoxic: The same of the other side.
        alpha: Strength.

    Returns:
        (B, N) float32 log probabilities, -inf outside of the mask.
    """
    # Outside of the mask the base may be -inf, and -inf - -inf is not a number: nothing is computed there.
    inside = base.masked_fill(~mask, 0.0)
    lower = inside if toxic is None else toxic
    upper = inside if nontoxic is None else nontoxic
    alpha = min(max(alpha, -STRONGEST), STRONGEST)
    return (inside + alpha * (upper - lower)).masked_fill(~mask, -math.inf).log_softmax(-1)


def floored(log_probs: torch.Tensor) -> torch.Tensor:
    """Log probabilities (B, N) with the row's floor in place of what was not retrieved; 0 where nothing was."""
    return with_floor(log_probs, row_floor(log_probs))


def row_floor(log_probs: torch.Tensor) -> torch.Tensor:
    """The smallest log probability (B, 1) of a row that is above ``NOT_RETRIEVED``; 0 where none is."""
    retrieved = log_probs > NOT_RETRIEVED
    floor = log_probs.masked_fill(~retrieved, math.inf).amin(-1, keepdim=True)
    return floor.masked_fill(torch.isinf(floor), 0.0)


def with_floor(log_probs: torch.Tensor, floor: torch.Tensor) -> torch.Tensor:
    """Log probabilities (B, N) with a floor (B, 1) in place of those up to ``NOT_RETRIEVED``."""
    return torch.where(log_probs > NOT_RETRIEVED, log_probs, floor)


def neighbor_weights(
    distances: torch.Tensor, neighbor_values: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Each neighbour's share of the distribution, and its token.

    Args:
        distances: (B, K) squared L2, infinite where there is no neighbour.
        neighbor_values: (B, K) token ids.
        temperature: In units of the distances.

    Returns:
        (B, K) float32 weights that sum to 1, or are all 0 in a row without neighbours; (B, K) int64 token ids.

    Raises:
        UsageError: The temperature is not above 0.
    """
    if not 0 < temperature < math.inf:
        raise UsageError(f"The temperature is {temperature}: it must be above 0.", hint="Leave it out for auto.")
    there = torch.isfinite(distances)
    # From the nearest on, so that it has a weight however low the temperature is.
    nearest = distances.float().amin(-1, keepdim=True) if distances.shape[-1] else distances.float()
    beyond = (distances.float() - nearest).masked_fill(~there, math.inf)
    logits = -beyond / max(temperature, LEAST_TEMPERATURE)
    # Softmax over nothing but -inf is not a number.
    weights = logits.softmax(-1).masked_fill(~there, 0.0) if logits.shape[-1] else logits
    return weights, neighbor_values.long().masked_fill(~there, 0)


def _found_or(knn_log_probs: torch.Tensor, base_logits: torch.Tensor) -> torch.Tensor:
    """The neighbours' log probabilities (B, V), in rows without any those of the base."""
    nothing = torch.isneginf(knn_log_probs).all(-1, keepdim=True)
    return torch.where(nothing, base_logits.float().log_softmax(-1), knn_log_probs.float())


def _log(share: float) -> float:
    return math.log(share) if share > 0 else -math.inf
