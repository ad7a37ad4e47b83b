"""The hidden state that serves as a key: where it is in a model, and how it is read.

``ffn-input`` is what the last layer's feed-forward block receives, ``ffn-output`` what that block adds to the residual
stream, ``layer-output`` the residual stream after the last layer, and ``last-hidden`` what the output embeddings
receive. torch is imported when a model is there, so that the names cost nothing.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from goodctl.errors import IncompatibleError, UsageError

if TYPE_CHECKING:
    import torch

KEY_LAYERS = ("ffn-input", "ffn-output", "layer-output", "last-hidden")

_FFN_NAMES = ("mlp", "feed_forward", "ffn", "block_sparse_moe", "fc1")
# Some blocks take the residual and add it inside; the projection that ends the block gives what it adds.
_LAST_PROJECTIONS = ("dense_4h_to_h", "down_proj", "fc2", "c_proj", "w2")


@dataclass(frozen=True)
class KeyLayer:
    """A place in a model.

    Attributes:
        name: One of ``KEY_LAYERS``: the one that is read, which is ``last-hidden`` where a model has no such block
            as was asked for.
        module_path: The module it is read at, as ``model.named_modules()`` calls it.
        dimension: D, the length of a key.
        reads_input: Whether the module's input is read, or else its output.
        runs: The path of the module to run, which holds the other.
    """

    name: str
    module_path: str
    dimension: int
    reads_input: bool = field(repr=False)
    runs: str = field(repr=False)


class _Seen(Exception):  # noqa: N818 - not an error: it ends a forward pass whose rest nobody needs
    """Carries the hidden state out of the model."""

    def __init__(self, hidden: Any) -> None:
        super().__init__()
        self.hidden = hidden


def find_key_layer(model: Any, name: str) -> KeyLayer:
    """Find where a model computes its keys, by structure and then by running two tokens.

    Args:
        model: A causal language model of transformers.
        name: One of ``KEY_LAYERS``.

    Returns:
        The place. Its name is ``last-hidden`` where the model has no layer or block of the usual names.

    Raises:
        UsageError: The name is unknown.
        IncompatibleError: The model has none of these places.
    """
    if name not in KEY_LAYERS:
        raise UsageError(f"There is no key layer {name!r}.", hint=f"Use one of {', '.join(KEY_LAYERS)}.")
    place = _last_layer_place(model, name) if name != "last-hidden" else None
    if place is not None and (dimension := _probe(model, place)) is not None:
        return KeyLayer(place.name, place.module_path, dimension, place.reads_input, place.runs)
    place = _last_hidden_place(model)
    if (dimension := _probe(model, place)) is not None:
        return KeyLayer(place.name, place.module_path, dimension, place.reads_input, place.runs)
    raise IncompatibleError(
        f"{type(model).__name__} gives no hidden state (B, T, D) at {place.module_path!r}.",
        hint="Use a decoder-only transformer that transformers itself implements.",
    )


def capture(
    model: Any, key_layer: KeyLayer, input_ids: torch.Tensor, attention_mask: torch.Tensor | None
) -> torch.Tensor:
    """Run a model up to its key layer and no further; the LM head never runs.

    Sequences of a batch are padded on the right: causal attention keeps padding from what is before it, so no mask is
    needed. Not for two threads at once on one model, since a hook is set for the time of the call.

    Args:
        model: The model that ``key_layer`` was found in.
        key_layer: Where to read.
        input_ids: (B, T) int64, on the model's device.
        attention_mask: (B, T), 1 for what is no padding; or None.

    Returns:
        (B, T, D) in the model's dtype, on its device. Nothing that the model does later changes it.

    Raises:
        IncompatibleError: The forward pass did not come by the key layer.
    """
    hidden = _run(model, key_layer, input_ids, attention_mask)
    if hidden is None:
        raise IncompatibleError(
            f"{type(model).__name__} did not run {key_layer.module_path!r}.", hint="Use --key-layer last-hidden."
        )
    return hidden


def _last_layer_place(model: Any, name: str) -> KeyLayer | None:
    """A place in the last decoder layer, or None where the model is built in another way."""
    decoder = _decoder(model)
    layer = _last_layer(decoder, model.config.get_text_config().num_hidden_layers)
    if layer is None:
        return None
    if name == "layer-output":
        return _place(model, name, layer, reads_input=False, runs=decoder)
    ffn_name = next((candidate for candidate in _FFN_NAMES if hasattr(layer, candidate)), None)
    if ffn_name is None:
        return None
    ffn = getattr(layer, ffn_name)
    if name == "ffn-input":
        return _place(model, name, ffn, reads_input=True, runs=decoder)
    end = _ffn_end(layer, ffn_name, ffn)
    return None if end is None else _place(model, name, end, reads_input=False, runs=decoder)


def _decoder(model: Any) -> Any:
    # Models that bring their own code do not always have the method.
    return model.get_decoder() if hasattr(model, "get_decoder") else model.base_model


def _last_layer(decoder: Any, layers: int) -> Any:
    from torch.nn import ModuleList

    lists = (module for module in decoder.modules() if isinstance(module, ModuleList) and len(module) == layers)
    found = next(lists, None)
    return None if found is None else found[-1]


def _ffn_end(layer: Any, ffn_name: str, ffn: Any) -> Any:
    """The module whose output the block adds to the residual stream."""
    if ffn_name == "fc1":
        return getattr(layer, "fc2", None)
    if "residual" not in inspect.signature(ffn.forward).parameters:
        return ffn
    return next((getattr(ffn, name) for name in _LAST_PROJECTIONS if hasattr(ffn, name)), None)


def _last_hidden_place(model: Any) -> KeyLayer:
    head = model.get_output_embeddings()
    if head is None:
        decoder = _decoder(model)
        return _place(model, "last-hidden", decoder, reads_input=False, runs=decoder)
    # The whole model runs up to the head: some scale or project between the decoder and it.
    return _place(model, "last-hidden", head, reads_input=True, runs=model)


def _place(model: Any, name: str, module: Any, *, reads_input: bool, runs: Any) -> KeyLayer:
    paths = {id(each): path for path, each in model.named_modules()}
    return KeyLayer(name, paths[id(module)], 0, reads_input, paths[id(runs)])


def _probe(model: Any, place: KeyLayer) -> int | None:
    """D, or None where the place is not passed, or has no hidden state (B, T, D)."""
    import torch

    ids = torch.tensor([[0, 1, 0], [1, 0, 1]], device=model.get_input_embeddings().weight.device)  # (2, 3)
    try:
        hidden = _run(model, place, ids, None)
    except IncompatibleError:
        return None
    return None if hidden is None else int(hidden.shape[-1])


def _run(model: Any, place: KeyLayer, input_ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor | None:
    """(B, T, D), or None where the forward pass ended without passing the place."""
    import torch

    module = model.get_submodule(place.module_path)
    hook = (
        module.register_forward_pre_hook(_stop_before, with_kwargs=True)
        if place.reads_input
        else module.register_forward_hook(_stop_after)
    )
    try:
        with torch.inference_mode():
            model.get_submodule(place.runs)(input_ids=input_ids, attention_mask=mask, use_cache=False)
    except _Seen as seen:
        return _shaped(seen.hidden, input_ids)
    finally:
        hook.remove()
    return None


def _stop_before(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NoReturn:
    raise _Seen(args[0] if args else kwargs.get("hidden_states", next(iter(kwargs.values()), None)))


def _stop_after(module: Any, args: tuple[Any, ...], output: Any) -> NoReturn:
    # The forward pass ends here, so nothing can add to this tensor in place, as Falcon would.
    raise _Seen(output)


def _shaped(hidden: Any, input_ids: torch.Tensor) -> torch.Tensor:
    """The tensor (B, T, D) in what a module received or gave."""
    import torch

    if hasattr(hidden, "last_hidden_state"):
        hidden = hidden.last_hidden_state
    while isinstance(hidden, tuple | list) and hidden:
        # Layers and mixtures of experts give further things beside the hidden state.
        hidden = hidden[0]
    batch, length = input_ids.shape
    if isinstance(hidden, torch.Tensor):
        if hidden.ndim == 2 and hidden.shape[0] == batch * length:
            # OPT and mixtures of experts work on (B * T, D).
            return hidden.view(batch, length, -1)
        if hidden.ndim == 3 and hidden.shape[:2] == (batch, length):
            return hidden
    raise IncompatibleError("The key layer holds no hidden state (B, T, D).", hint="Use --key-layer last-hidden.")
