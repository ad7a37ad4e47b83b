"""Room for the keys and values of the tokens to come: written in place, where a growing cache is copied every step."""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, DynamicSlidingWindowLayer


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """A layer's attention cache in a buffer that is large enough from the beginning.

    It behaves as the layer it is made of, as long as there is room, and gives views of the buffer.

    Args:
        layer: A filled layer of a ``DynamicCache``.
        repeats: How many continuations share each of its sequences.
        room: How many tokens will follow.
    """

    def __init__(self, layer: DynamicLayer, repeats: int, room: int) -> None:
        super().__init__()
        self.is_sliding = layer.is_sliding
        self.dtype, self.device = layer.dtype, layer.device
        self._filled = int(layer.keys.shape[-2])
        self._key_buffer = self._with_room(layer.keys, repeats, room)
        self._value_buffer = self._with_room(layer.values, repeats, room)
        self.is_initialized = True
        self._show()

    @staticmethod
    def _with_room(states: torch.Tensor, repeats: int, room: int) -> torch.Tensor:
        batch, heads, length, width = states.shape
        buffer = states.new_empty(batch, repeats, heads, length + room, width)
        buffer[..., :length, :] = states[:, None]
        return buffer.view(batch * repeats, heads, length + room, width)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the new states (B, H, T, D) behind the others; gives all of them.

        Raises:
            IndexError: There is no room left; written nevertheless, the states would be lost without a sound.
        """
        end = self._filled + key_states.shape[-2]
        if end > self._key_buffer.shape[-2]:
            raise IndexError(f"{end} tokens in a cache with room for {self._key_buffer.shape[-2]}")
        self._key_buffer[..., self._filled : end, :] = key_states
        self._value_buffer[..., self._filled : end, :] = value_states
        self._filled = end
        self._show()
        return self.keys, self.values

    def _show(self) -> None:
        self.keys = self._key_buffer[..., : self._filled, :]
        self.values = self._value_buffer[..., : self._filled, :]


def new_cache(model: Any) -> DynamicCache:
    """An empty cache of the kind that the model's layers need."""
    return DynamicCache(config=model.config)


def repeated(cache: Cache, repeats: int, room: int) -> Cache:
    """Repeat a prefilled cache for several continuations of each prompt, with room for their tokens.

    Layers with a window that the text will outgrow, and layers that are no attention, are left to grow in their own
    way.

    Args:
        cache: Of (B, T) tokens; it is changed.
        repeats: Continuations of each prompt.
        room: Tokens that will follow.
    """
    for number, layer in enumerate(cache.layers):
        if type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) and layer.is_initialized and _fits(layer, room):
            cache.layers[number] = RoomyLayer(layer, repeats, room)
        else:
            layer.batch_repeat_interleave(repeats)
    return cache


def _fits(layer: Any, room: int) -> bool:
    """Whether the layer keeps all tokens until the end."""
    return type(layer) is DynamicLayer or layer.get_seq_length() + room < layer.sliding_window


def can_repeat(cache: Cache) -> bool:
    """Whether a prefilled cache can be repeated: recurrent states, for one, cannot."""
    return all(hasattr(layer, "batch_repeat_interleave") for layer in cache.layers)
