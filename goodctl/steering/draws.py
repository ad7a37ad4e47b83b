"""Drawing a token: random numbers that belong to one continuation, and the inverse of a cumulative distribution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from goodctl.steering.nucleus import accurate


def uniforms(seed: int, prompts: Sequence[int], continuations: int, steps: int) -> npt.NDArray[np.float64]:
    """The random numbers of every continuation, each from a generator of its own.

    They depend on the seed, the prompt's number, the continuation and the step alone: not on the batch, nor on what
    came before.

    Args:
        seed: Of the run.
        prompts: Numbers of the prompts.
        continuations: How many of each prompt.
        steps: How many tokens at most.

    Returns:
        (prompts · continuations, steps) float64 in [0, 1), prompt by prompt.
    """
    numbers = np.empty((len(prompts) * continuations, steps))
    for place, prompt in enumerate(prompts):
        for continuation in range(continuations):
            generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, prompt, continuation])))
            numbers[place * continuations + continuation] = generator.random(steps)
    return numbers


def narrowed(log_probs: torch.Tensor, top_p: float) -> torch.Tensor:
    """The distribution cut to its own nucleus, over tokens in any order.

    Args:
        log_probs: (B, N) log probabilities, -inf where a token is impossible.
        top_p: Probability of the nucleus.

    Returns:
        (B, N) float64 weights, 0 outside of the nucleus; of equally probable tokens the first ones are in it.
    """
    weights = accurate(log_probs).softmax(-1)
    if top_p >= 1:
        return weights
    ordered, order = weights.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(-1) - ordered
    ordered = ordered.masked_fill((before >= top_p) & (torch.arange(ordered.shape[1], device=before.device) > 0), 0.0)
    return torch.zeros_like(weights).scatter(-1, order, ordered)


def drawn(weights: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """The columns that random numbers fall on when the weights lie side by side.

    The same number falls on the same token while the distribution changes little, as the order of the columns stays.

    Args:
        weights: (B, N) float64, at least one above 0 in each row.
        numbers: (B,) float64 in [0, 1).

    Returns:
        (B,) int64 columns of weight above 0.
    """
    ends = weights.cumsum(-1)  # (B, N)
    target = numbers[:, None] * ends[:, -1:]
    columns = (ends <= target).sum(-1)  # (B,)
    # A number so near to 1 that the product is rounded up falls on the last token.
    last = weights.shape[1] - 1 - weights.flip(-1).gt(0).int().argmax(-1)
    return torch.minimum(columns, last)
