"""Decoding as simply as possible, for comparison: one continuation at a time, no cache, no padding, all tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from goodctl.models.key_layer import capture, find_key_layer
from goodctl.models.load import LoadedModel
from goodctl.steering.decode import Sampling
from goodctl.steering.draws import uniforms

Choose = Callable[[list[torch.Tensor], torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""From the logits (1, V) of each model and a query (1, D) to the log weights (1, V) that are sampled, and to those in
whose order the tokens lie side by side."""


def base(logits: list[torch.Tensor], _query: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The first model as it is."""
    return logits[0], logits[0]


def continuation(
    models: Sequence[LoadedModel],
    prompt: Sequence[int],
    number: int,
    which: int,
    sampling: Sampling,
    choose: Choose = base,
    ends: frozenset[int] = frozenset(),
) -> list[int]:
    """The tokens of one continuation."""
    layer = find_key_layer(models[0].model, "ffn-input")
    random = uniforms(sampling.seed, [number], sampling.continuations, sampling.max_new_tokens)[which]
    tokens: list[int] = []
    with torch.inference_mode():
        for step in range(sampling.max_new_tokens):
            ids = torch.tensor([[*prompt, *tokens]])
            logits = [each.model(input_ids=ids, use_cache=False).logits[:, -1] for each in models]
            query = capture(models[0].model, layer, ids, None)[:, -1]
            weights, order = choose(logits, query)
            tokens.append(_drawn(weights[0], order[0], sampling.top_p, float(random[step])))
            if tokens[-1] in ends:
                break
    return tokens


def _drawn(log_weights: torch.Tensor, order: torch.Tensor, top_p: float, number: float) -> int:
    """The token that a random number falls on, among those of the nucleus.

    Args:
        log_weights: (V,), what is sampled.
        order: (V,); the tokens lie side by side from the most probable one to the least, equal ones by their ids.
        top_p: Of the nucleus.
        number: In [0, 1).
    """
    probabilities = torch.softmax(log_weights.double(), 0).numpy()
    places = np.lexsort((np.arange(len(probabilities)), -order.double().numpy()))
    probable = places[np.argsort(-probabilities[places], kind="stable")]
    before = np.cumsum(probabilities[probable]) - probabilities[probable]
    kept = set(probable[: max(1, int((before < top_p).sum()))].tolist())
    tokens = [token for token in places.tolist() if token in kept and probabilities[token] > 0]
    ends = np.cumsum(probabilities[tokens])
    return int(tokens[np.searchsorted(ends, number * ends[-1], side="right")])
