"""The key layer of every architecture, against a plain hook on the module that its source names."""

from __future__ import annotations

import logging
import warnings
from functools import cache
from typing import Any

import pytest
import torch

from goodctl.errors import UsageError
from goodctl.models.key_layer import KEY_LAYERS, capture, find_key_layer
from tests.fakes.tiny import ARCHITECTURES, tiny_model

IDS = torch.tensor([[5, 77, 31, 8, 200, 9, 41, 3], [90, 2, 2, 61, 7, 33, 150, 12]])  # (2, 8)

# By hand from the sources of transformers: last layer, module whose input is the FFN's, module that gives its output.
PLACES = {
    "gpt2": ("transformer.h.1", "mlp", "mlp"),
    "gpt_neox": ("gpt_neox.layers.1", "mlp", "mlp"),
    "opt": ("model.decoder.layers.1", "fc1", "fc2"),
    "bloom": ("transformer.h.1", "mlp", "mlp.dense_4h_to_h"),
    "xglm": ("model.layers.1", "fc1", "fc2"),
    "falcon": ("transformer.h.1", "mlp", "mlp.dense_4h_to_h"),
}


@cache
def model_of(architecture: str) -> Any:
    return tiny_model(architecture=architecture, seed=3)


def places(architecture: str) -> tuple[str, str, str]:
    layer, ffn, end = PLACES.get(architecture, ("model.layers.1", "mlp", "mlp"))
    return layer, f"{layer}.{ffn}", f"{layer}.{end}"


def full_forward(architecture: str, ids: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """The four hidden states and the logits of an ordinary forward pass of the whole model."""
    model = model_of(architecture)
    layer, ffn, end = places(architecture)
    seen: dict[str, torch.Tensor] = {}

    def first(value: Any) -> torch.Tensor:
        tensor: torch.Tensor = value[0] if isinstance(value, tuple) else value
        return tensor.clone()

    def keep_input(name: str) -> Any:
        return lambda module, args, kwargs: seen.update({name: first(args or (kwargs["hidden_states"],))})

    def keep_output(name: str) -> Any:
        return lambda module, args, output: seen.update({name: first(output)})

    hooks = [
        model.get_submodule(ffn).register_forward_pre_hook(keep_input("ffn-input"), with_kwargs=True),
        model.get_submodule(end).register_forward_hook(keep_output("ffn-output")),
        model.get_submodule(layer).register_forward_hook(keep_output("layer-output")),
        model.lm_head.register_forward_pre_hook(keep_input("last-hidden"), with_kwargs=True),
    ]
    with torch.no_grad():
        logits = model(ids).logits
    for hook in hooks:
        hook.remove()
    return {name: value.reshape(*ids.shape, -1) for name, value in seen.items()}, logits


@pytest.mark.parametrize("name", KEY_LAYERS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_equals_a_plain_hook(architecture: str, name: str) -> None:
    model = model_of(architecture)
    expected, _ = full_forward(architecture, IDS)
    layer = find_key_layer(model, name)
    assert (layer.name, layer.dimension) == (name, 16)
    hidden = capture(model, layer, IDS, None)
    assert hidden.shape == (2, 8, 16)
    torch.testing.assert_close(hidden, expected[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_module_path_is_the_one_of_the_source(architecture: str) -> None:
    layer, ffn, end = places(architecture)
    model = model_of(architecture)
    # Falcon's projection gives just what its block gives; the block is the simpler place.
    ffn_output = ffn if architecture == "falcon" else end
    paths = [find_key_layer(model, name).module_path for name in KEY_LAYERS]
    assert paths == [ffn, ffn_output, layer, "lm_head"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_head_never_runs_and_no_hook_stays(architecture: str) -> None:
    model = model_of(architecture)
    runs: list[int] = []
    hook = model.lm_head.register_forward_hook(lambda *_: runs.append(1))
    for name in KEY_LAYERS:
        capture(model, find_key_layer(model, name), IDS, None)
    hook.remove()
    assert runs == []
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert model(IDS).logits.shape == (2, 8, 258)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_layer_output_is_the_stream_before_the_final_norm(architecture: str) -> None:
    """The final norm of ``layer-output`` is ``last-hidden``."""
    model = model_of(architecture)
    norm = next(
        model.get_submodule(path)
        for path in (
            "transformer.ln_f",
            "gpt_neox.final_layer_norm",
            "model.decoder.final_layer_norm",
            "model.norm",
            "model.layer_norm",
        )
        if any(path == each for each, _ in model.named_modules())
    )
    hidden = capture(model, find_key_layer(model, "layer-output"), IDS, None)
    last = capture(model, find_key_layer(model, "last-hidden"), IDS, None)
    with torch.no_grad():
        torch.testing.assert_close(norm(hidden), last, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_last_hidden_gives_the_logits(architecture: str) -> None:
    model = model_of(architecture)
    _, logits = full_forward(architecture, IDS)
    hidden = capture(model, find_key_layer(model, "last-hidden"), IDS, None)
    with torch.no_grad():
        own = model.lm_head(hidden)
    if architecture == "cohere":
        own = own * model.config.logit_scale
    if cap := getattr(model.config, "final_logit_softcapping", None):
        own = torch.tanh(own / cap) * cap
    torch.testing.assert_close(own, logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", KEY_LAYERS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_right_padding_without_a_mask_changes_nothing(architecture: str, name: str) -> None:
    model = model_of(architecture)
    layer = find_key_layer(model, name)
    generator = torch.Generator().manual_seed(1)
    # Beyond gemma's and mistral's sliding window of 16.
    lengths = [3, 40, 17]
    alone = [torch.randint(2, 256, (1, length), generator=generator) for length in lengths]
    for padding in (0, 1, 256):
        batch = torch.full((3, 40), padding)
        for row, ids in enumerate(alone):
            batch[row, : ids.shape[1]] = ids[0]
        together = capture(model, layer, batch, None)
        masked = capture(model, layer, batch, (torch.arange(40) < torch.tensor(lengths)[:, None]).long())
        for row, ids in enumerate(alone):
            expected = capture(model, layer, ids, None)[0]
            length = ids.shape[1]
            torch.testing.assert_close(together[row, :length], expected, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(masked[row, :length], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_warnings(architecture: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    model = model_of(architecture)
    layer = find_key_layer(model, "ffn-input")
    padded = IDS.clone()
    padded[:, -2:] = model.config.pad_token_id or 0
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        capture(model, layer, padded, None)
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_bfloat16_stays_bfloat16() -> None:
    model = tiny_model(architecture="llama").to(torch.bfloat16)
    assert capture(model, find_key_layer(model, "ffn-input"), IDS, None).dtype == torch.bfloat16


@pytest.mark.parametrize("architecture", ["falcon", "bloom", "opt"])
def test_nothing_changes_the_keys_later(architecture: str) -> None:
    model = model_of(architecture)
    for name in KEY_LAYERS:
        hidden = capture(model, find_key_layer(model, name), IDS, None)
        before = hidden.clone()
        capture(model, find_key_layer(model, name), IDS.flip(1), None)
        model(IDS)
        assert torch.equal(hidden, before)


def test_falls_back_where_no_block_is_found() -> None:
    model = tiny_model(architecture="gpt2", seed=1)
    block = model.transformer.h[-1]
    block.forward_part = block.mlp
    del block.mlp

    def without_mlp(hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        added: torch.Tensor = block.forward_part(hidden_states)
        return hidden_states + added

    block.forward = without_mlp
    for name in ("ffn-input", "ffn-output"):
        layer = find_key_layer(model, name)
        assert (layer.name, layer.module_path) == ("last-hidden", "lm_head")
    assert find_key_layer(model, "layer-output").name == "layer-output"


def test_opt_with_a_projection_has_two_dimensions() -> None:
    from transformers import OPTConfig, OPTForCausalLM

    config = OPTConfig(
        vocab_size=258,
        hidden_size=16,
        num_hidden_layers=2,
        ffn_dim=32,
        num_attention_heads=2,
        max_position_embeddings=64,
        word_embed_proj_dim=8,
        do_layer_norm_before=False,
    )
    model = OPTForCausalLM(config).eval()
    dimensions = [find_key_layer(model, name).dimension for name in KEY_LAYERS]
    assert dimensions == [16, 16, 16, 8]


def test_mixture_of_experts() -> None:
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(
        vocab_size=258,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_local_experts=4,
        max_position_embeddings=64,
    )
    model = MixtralForCausalLM(config).eval()
    for name in KEY_LAYERS:
        layer = find_key_layer(model, name)
        assert layer.name == name
        assert capture(model, layer, IDS, None).shape == (2, 8, 16)


def test_unknown_name_lists_the_four() -> None:
    with pytest.raises(UsageError) as caught:
        find_key_layer(model_of("gpt2"), "ffn")
    assert all(name in str(caught.value.hint) for name in KEY_LAYERS)
