"""A cache with room, step by step against one that grows."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import pytest
import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from goodctl.steering.cache import RoomyLayer, can_repeat, new_cache, repeated
from tests.fakes.tiny import tiny_model

HEADS, WIDTH = 2, 4
WINDOW = 8


def states(batch: int, length: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys and values (B, H, T, D)."""
    generator = torch.Generator().manual_seed(seed)
    keys, values = torch.randn(2, batch, HEADS, length, WIDTH, generator=generator)
    return keys, values


def prefilled(length: int, *layers: DynamicLayer) -> Cache:
    cache = DynamicCache()
    cache.layers = list(layers)
    cache.layer_class_to_replicate = None
    for number in range(len(layers)):
        cache.update(*states(3, length, number), number)
    return cache


def assert_same(ours: Cache, usual: Cache, query_length: int = 1) -> None:
    for mine, its in zip(ours.layers, usual.layers, strict=True):
        assert mine.get_seq_length() == its.get_seq_length()
        assert mine.get_mask_sizes(query_length) == its.get_mask_sizes(query_length)
        assert mine.is_sliding == its.is_sliding
        torch.testing.assert_close((mine.keys, mine.values), (its.keys, its.values), rtol=0, atol=0)


@pytest.mark.parametrize("length", [1, 5, 30])
@pytest.mark.parametrize("steps", [[1, 1, 1, 1], [3, 1]])
def test_a_roomy_layer_is_a_growing_one(length: int, steps: Sequence[int]) -> None:
    usual = prefilled(length, DynamicLayer(), DynamicLayer())
    ours = repeated(copy.deepcopy(usual), 2, sum(steps))
    usual.batch_repeat_interleave(2)
    assert {type(layer) for layer in ours.layers} == {RoomyLayer}
    assert_same(ours, usual)
    for step, new in enumerate(steps):
        for number in range(2):
            added = states(6, new, 100 + 10 * step + number)
            seen, expected = (cache.update(*added, number) for cache in (ours, usual))
            torch.testing.assert_close(seen, expected, rtol=0, atol=0)
        assert_same(ours, usual)


@pytest.mark.parametrize("length", [2, 6, 7, 8, 20])
@pytest.mark.parametrize("room", [1, 4, 12])
def test_windows(length: int, room: int) -> None:
    """Where the text stays within the window a layer may keep all; else it must forget as it always does."""
    usual = prefilled(length, DynamicSlidingWindowLayer(sliding_window=WINDOW), DynamicLayer())
    ours = repeated(copy.deepcopy(usual), 2, room)
    usual.batch_repeat_interleave(2)
    assert (type(ours.layers[0]) is RoomyLayer) == (length + room < WINDOW)
    for step in range(room):
        for number in range(2):
            added = states(6, 1, 100 + 10 * step + number)
            seen, expected = (cache.update(*added, number) for cache in (ours, usual))
            torch.testing.assert_close(seen, expected, rtol=0, atol=0)
        assert_same(ours, usual)


def test_nothing_is_copied_while_there_is_room() -> None:
    ours = repeated(prefilled(4, DynamicLayer()), 2, 3)
    (layer,) = ours.layers
    places = {(layer.keys.data_ptr(), layer.values.data_ptr())}
    for step in range(3):
        layer.update(*states(6, 1, step))
        places.add((layer.keys.data_ptr(), layer.values.data_ptr()))
    assert len(places) == 1
    assert layer.keys.shape == (6, HEADS, 7, WIDTH)


def test_continuations_of_a_prompt_do_not_share_what_follows() -> None:
    ours = repeated(prefilled(4, DynamicLayer()), 2, 1)
    (keys, _) = ours.layers[0].update(*states(6, 1, 0))
    torch.testing.assert_close(keys[0, :, :4], keys[1, :, :4], rtol=0, atol=0)
    assert not torch.equal(keys[0, :, 4], keys[1, :, 4])


def test_more_than_there_is_room_for_is_no_silent_loss() -> None:
    (layer,) = repeated(prefilled(4, DynamicLayer()), 1, 1).layers
    layer.update(*states(3, 1, 0))
    with pytest.raises(IndexError):
        layer.update(*states(3, 1, 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_in_the_dtype_of_the_model(dtype: torch.dtype) -> None:
    model = tiny_model(architecture="gemma3").to(dtype)
    cache = new_cache(model)
    with torch.inference_mode():
        model(input_ids=torch.tensor([[1, 2, 3]]), past_key_values=cache, use_cache=True)
        before = cache.layers[0].keys
        assert can_repeat(cache)
        layer = repeated(cache, 3, 5).layers[0]
    assert (layer.keys.dtype, layer.device, layer.is_initialized) == (dtype, before.device, True)
    torch.testing.assert_close(layer.keys, before.repeat_interleave(3, 0), rtol=0, atol=0)


def test_layers_that_cannot_be_repeated_are_told() -> None:
    class Recurrent:
        """Has no such method."""

    cache = prefilled(2, DynamicLayer())
    assert can_repeat(cache)
    cache.layers.append(Recurrent())
    assert not can_repeat(cache)
