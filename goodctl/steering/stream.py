"""One model's side of decoding: the prompts once, then one token of every continuation at a time."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from goodctl.errors import IncompatibleError
from goodctl.models.key_layer import KeyLayer
from goodctl.models.positions import last_logits
from goodctl.models.tap import Tap, tapped
from goodctl.steering.cache import can_repeat, new_cache, repeated


@dataclass
class Stream:
    """A model that reads the same tokens as others do. Use ``opened``.

    Attributes:
        model: A causal language model.
        device: Where it is.
        tap: Reads its key layer, or None.
    """

    model: Any
    device: torch.device
    tap: Tap | None
    _cache: Any = None
    _mask: torch.Tensor | None = None
    _positions: torch.Tensor | None = None
    _batch: int = 0
    _stride: int = 1

    @classmethod
    @contextlib.contextmanager
    def opened(cls, model: Any, device: torch.device, key_layer: KeyLayer | None = None) -> Iterator[Stream]:
        """A stream whose key layer is read while inside."""
        if key_layer is None:
            yield cls(model, device, None)
            return
        with tapped(model, key_layer) as tap:
            yield cls(model, device, tap)

    def prefill(self, prompts: Sequence[Sequence[int]], repeats: int, room: int) -> torch.Tensor:
        """Read the prompts.

        Prompts of different length are padded on the left, out of sight of attention and not counted as positions.

        Args:
            prompts: Token ids of each, at least one.
            repeats: Continuations of each prompt.
            room: Most tokens of a continuation.

        Returns:
            Logits (P, V) of what comes after each prompt.
        """
        logits = self._read(prompts)
        if not can_repeat(self._cache):
            self._stride = repeats
            return self._read([prompt for prompt in prompts for _ in range(repeats)])[::repeats]
        self._cache = repeated(self._cache, repeats, room)
        assert self._mask is not None and self._positions is not None
        self._mask = self._mask.repeat_interleave(repeats, 0)
        self._positions = self._positions.repeat_interleave(repeats, 0)
        return logits

    def _read(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        longest = max(len(prompt) for prompt in prompts)
        ids = torch.zeros(len(prompts), longest, dtype=torch.int64)  # (P, T)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
            mask[row, longest - len(prompt) :] = 1
        self._cache, self._mask = new_cache(self.model), mask.to(self.device)
        positions = (self._mask.cumsum(1) - 1).clamp(min=0)
        self._positions = positions[:, -1:] + 1
        return self._forward(ids.to(self.device), self._mask, positions)

    def advance(self, tokens: torch.Tensor) -> torch.Tensor:
        """Read one more token (B,) int64 of each continuation; gives the logits (B, V) of the next."""
        assert self._mask is not None and self._positions is not None
        self._mask = torch.nn.functional.pad(self._mask, (0, 1), value=1)
        logits = self._forward(tokens[:, None], self._mask, self._positions)
        self._positions, self._stride = self._positions + 1, 1
        return logits

    def queries(self) -> torch.Tensor | None:
        """The key layer's states of the last position, for each row of the last logits; None where they are not read.

        Returns:
            (P, D) after ``prefill``, (B, D) after ``advance``.
        """
        return None if self.tap is None else self.tap.last(self._batch)[:: self._stride]

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        self._batch = len(ids)
        asked = last_logits(self.model, ids.shape[1], 1, ids.device)
        if "position_ids" in inspect.signature(self.model.forward).parameters:
            asked["position_ids"] = positions
        output = self.model(
            input_ids=ids,
            attention_mask=mask,
            past_key_values=self._cache,
            use_cache=True,
            **asked,
        )
        self._cache = getattr(output, "past_key_values", None)
        if self._cache is None:
            raise IncompatibleError(
                f"{type(self.model).__name__} keeps no attention cache, so goodctl cannot decode with it.",
                hint="Use a model with attention; purely recurrent ones, such as Mamba and RWKV, have none.",
            )
        logits: torch.Tensor = output.logits
        return logits[:, -1]  # (B, V)
