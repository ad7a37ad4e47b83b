"""Reading the key layer in the course of an ordinary pass."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch

from goodctl.errors import IncompatibleError
from goodctl.models.key_layer import KEY_LAYERS, capture, find_key_layer
from goodctl.models.tap import tapped
from tests.fakes.tiny import ARCHITECTURES, tiny_model

IDS = torch.tensor([[5, 77, 31, 8, 200, 9, 41, 3], [90, 2, 2, 61, 7, 33, 150, 12]])  # (2, 8)


@cache
def model_of(architecture: str) -> Any:
    return tiny_model(architecture=architecture, seed=3)


def hooks(model: Any) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


@pytest.mark.parametrize("name", KEY_LAYERS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_sees_what_keys_are_made_of(architecture: str, name: str) -> None:
    model = model_of(architecture)
    layer = find_key_layer(model, name)
    expected = capture(model, layer, IDS, None)
    with torch.inference_mode():
        untouched = model(input_ids=IDS).logits
        with tapped(model, layer) as tap:
            output = model(input_ids=IDS)
            torch.testing.assert_close(tap.states(2), expected, rtol=1e-5, atol=1e-5)
            assert torch.equal(tap.last(2), tap.states(2)[:, -1])
            torch.testing.assert_close(output.logits, untouched, rtol=0, atol=0)
    assert hooks(model) == 0


@pytest.mark.parametrize("name", KEY_LAYERS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_one_token_at_a_time(architecture: str, name: str) -> None:
    """As in decoding: what it sees of the last token is what it would see of the whole text."""
    model = model_of(architecture)
    layer = find_key_layer(model, name)
    expected = capture(model, layer, IDS, None)
    with torch.inference_mode(), tapped(model, layer) as tap:
        past = model(input_ids=IDS[:, :5], use_cache=True, logits_to_keep=1).past_key_values
        torch.testing.assert_close(tap.last(2), expected[:, 4], rtol=1e-4, atol=1e-5)
        for position in range(5, 8):
            model(input_ids=IDS[:, position : position + 1], past_key_values=past, use_cache=True, logits_to_keep=1)
            assert tap.states(2).shape == (2, 1, 16)
            torch.testing.assert_close(tap.last(2), expected[:, position], rtol=1e-4, atol=1e-5)


def test_the_head_sees_the_positions_that_logits_are_asked_for() -> None:
    model = model_of("llama")
    layer = find_key_layer(model, "last-hidden")
    with torch.inference_mode(), tapped(model, layer) as tap:
        model(input_ids=IDS, logits_to_keep=1)
        assert tap.states(2).shape == (2, 1, 16)
        torch.testing.assert_close(tap.last(2), capture(model, layer, IDS, None)[:, -1], rtol=1e-5, atol=1e-5)


def test_what_it_holds_needs_no_gradient() -> None:
    model = tiny_model(architecture="gpt2").requires_grad_(True)
    with tapped(model, find_key_layer(model, "ffn-input")) as tap:
        model(input_ids=IDS)
        assert not tap.states(2).requires_grad


def test_the_hook_goes_after_an_exception() -> None:
    model = model_of("gpt2")
    with pytest.raises(KeyError), tapped(model, find_key_layer(model, "ffn-input")) as tap:
        model(input_ids=IDS)
        assert hooks(model) == 1
        raise KeyError("other")
    assert hooks(model) == 0
    with pytest.raises(IncompatibleError, match="No hidden states"):
        tap.states(2)


def test_it_tells_whether_a_pass_came_by() -> None:
    model = model_of("gpt2")
    with torch.inference_mode(), tapped(model, find_key_layer(model, "ffn-input")) as tap:
        assert tap.is_empty
        model(input_ids=IDS)
        assert not tap.is_empty
        tap.forget()
        assert tap.is_empty
        model(input_ids=IDS)
        assert not tap.is_empty


def test_two_taps_do_not_disturb_each_other() -> None:
    model = model_of("gpt2")
    layers = [find_key_layer(model, name) for name in ("ffn-input", "layer-output")]
    with torch.inference_mode(), tapped(model, layers[0]) as first:
        with tapped(model, layers[1]) as second:
            model(input_ids=IDS)
            torch.testing.assert_close(second.states(2), capture(model, layers[1], IDS, None))
        model(input_ids=IDS[:1, :3])
        torch.testing.assert_close(first.states(1), capture(model, layers[0], IDS[:1, :3], None))
        with pytest.raises(IncompatibleError):
            second.states(2)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_pass_of_another_batch_is_an_error(batch: int) -> None:
    model = model_of("gpt2")
    with torch.inference_mode(), tapped(model, find_key_layer(model, "ffn-input")) as tap:
        with pytest.raises(IncompatibleError, match=r"No hidden states \(B, T, D\) came by 'transformer.h.1.mlp'"):
            tap.last(2)
        model(input_ids=IDS)
        with pytest.raises(IncompatibleError):
            tap.last(batch)
