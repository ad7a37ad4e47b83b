"""Asking a model for the logits of its last positions only."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def last_logits(model: Any, length: int, count: int, device: torch.device) -> dict[str, Any]:
    """Arguments of a forward pass that spare the LM head the positions nobody asks about.

    By their indices: a slice of positions is no matrix in memory, and torch would copy the head's weights for every
    sequence of the batch to multiply it (docs/benchmarks.md).

    Args:
        model: A causal language model.
        length: T of the input.
        count: How many of the last positions are wanted.
        device: Of the input.

    Returns:
        ``logits_to_keep`` as (count,) int64 positions; nothing where the model gives all logits anyway.
    """
    import torch

    if "logits_to_keep" not in inspect.signature(model.forward).parameters:
        return {}
    return {"logits_to_keep": torch.arange(length - count, length, device=device)}
