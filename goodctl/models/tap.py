"""Reading the key layer while a model runs as usual, up to its logits: what decoding needs beside the next token."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from goodctl.errors import IncompatibleError
from goodctl.models.key_layer import KeyLayer

if TYPE_CHECKING:
    import torch


class Tap:
    """Holds what the last forward pass had at the key layer; made by ``tapped``."""

    def __init__(self, key_layer: KeyLayer) -> None:
        self._key_layer = key_layer
        self._seen: Any = None

    @property
    def is_empty(self) -> bool:
        """Whether no forward pass has come by since it was made or told to forget."""
        return self._seen is None

    def states(self, batch: int) -> torch.Tensor:
        """The hidden states (B, T, D) of the last forward pass, in the model's dtype and on its device.

        Where the key layer is the input of the LM head, T is the number of positions that logits were asked for.

        Args:
            batch: B of that pass.

        Raises:
            IncompatibleError: No pass came by the key layer, or it held something else.
        """
        hidden: torch.Tensor | None = self._seen
        if hidden is not None and hidden.ndim == 2 and hidden.shape[0] % batch == 0:
            # OPT and mixtures of experts work on (B * T, D).
            hidden = hidden.view(batch, -1, hidden.shape[-1])
        if hidden is None or hidden.ndim != 3 or hidden.shape[0] != batch:
            raise IncompatibleError(
                f"No hidden states (B, T, D) came by {self._key_layer.module_path!r}.",
                hint="Use a store with another key layer: goodctl datastore build STORE TEXT --key-layer last-hidden",
            )
        return hidden

    def last(self, batch: int) -> torch.Tensor:
        """The hidden states (B, D) of the last position, which predict what comes next."""
        return self.states(batch)[:, -1]

    def take(self, hidden: Any) -> None:
        """Keep a copy: what comes later in the model may add to the tensor in place, as Falcon does."""
        if hasattr(hidden, "last_hidden_state"):
            hidden = hidden.last_hidden_state
        while isinstance(hidden, tuple | list) and hidden:
            hidden = hidden[0]
        self._seen = hidden.detach().clone()

    def forget(self) -> None:
        """Let go of the states."""
        self._seen = None


@contextlib.contextmanager
def tapped(model: Any, key_layer: KeyLayer) -> Iterator[Tap]:
    """Read a model's key layer in every forward pass while inside; the hook is gone afterwards, whatever happens.

    Args:
        model: The model that ``key_layer`` was found in.
        key_layer: Where to read.
    """
    tap = Tap(key_layer)

    def before(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        tap.take(args[0] if args else kwargs.get("hidden_states", next(iter(kwargs.values()), None)))

    def after(_module: Any, _args: tuple[Any, ...], output: Any) -> None:
        tap.take(output)

    module = model.get_submodule(key_layer.module_path)
    hook = (
        module.register_forward_pre_hook(before, with_kwargs=True)
        if key_layer.reads_input
        else module.register_forward_hook(after)
    )
    try:
        yield tap
    finally:
        hook.remove()
        tap.forget()
