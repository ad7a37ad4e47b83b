"""Decoding as simply as possible, for comparison: one continuation at a time, no cache, no padding, whole vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from goodctl.models.key_layer import capture, find_key_layer
from goodctl.models.load import LoadedModel
from goodctl.steering.decode import Sampling
from goodctl.steering.draws import uniforms

Choose = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From logits (1, V) and a query (1, D) to log weights (1, V)."""


def continuation(
    model: LoadedModel,
    prompt: Sequence[int],
    number: int,
    which: int,
    sampling: Sampling,
    choose: Choose,
    ends: frozenset[int] = frozenset(),
) -> list[int]:
    """The tokens of one continuation."""
    layer = find_key_layer(model.model, "ffn-input")
    random = uniforms(sampling.seed, [number], sampling.continuations, sampling.max_new_tokens)[which]
    tokens: list[int] = []
    with torch.inference_mode():
        for step in range(sampling.max_new_tokens):
            ids = torch.tensor([[*prompt, *tokens]])
            logits = model.model(input_ids=ids, use_cache=False).logits[:, -1]
            query = capture(model.model, layer, ids, None)[:, -1]
            tokens.append(_drawn(choose(logits, query)[0], sampling.top_p, float(random[step])))
            if tokens[-1] in ends:
                break
    return tokens


def _drawn(log_weights: torch.Tensor, top_p: float, number: float) -> int:
    """The token that a random number falls on, among those of the nucleus in the order of their ids.

    Args:
        log_weights: (V,).
        top_p: Of the nucleus.
        number: In [0, 1).
    """
    probabilities = torch.softmax(log_weights.double(), 0).numpy()
    order = np.lexsort((np.arange(len(probabilities)), -probabilities))
    size = int((np.cumsum(probabilities[order]) - probabilities[order] < top_p).sum())
    kept = order[:size]
    ends = np.cumsum(probabilities[kept])
    return int(kept[np.searchsorted(ends, number * ends[-1], side="right")])
