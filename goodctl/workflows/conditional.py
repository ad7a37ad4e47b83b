"""How probable a model finds continuations, given their prompts.

The model reads each prompt once for all its continuations, which go on from the same keys and values. Prompts of one
length share a batch, so that nothing stands on the left of a text that is not its own; on the right there may be
padding, which no real token sees. So there is no attention mask, and positions are what they are in a text alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from goodctl.errors import GoodctlError, ServiceError
from goodctl.models.device import is_out_of_memory
from goodctl.models.load import LoadedModel
from goodctl.models.positions import last_logits
from goodctl.steering.cache import new_cache
from goodctl.steering.likelihood import log_probs_at
from goodctl.workflows.continuations import Continuation

LOGIT_BYTES = {"cpu": 256e6}
"""Logits of a batch as float32, about, by kind of device."""
OTHER_LOGIT_BYTES = 1e9
LEAST_TOKENS = 256
"""Budget of a batch however large the vocabulary is."""
_SHARED = (DynamicLayer, DynamicSlidingWindowLayer)
"""Caches whose rows can be picked; of others, as recurrent states, nothing is shared."""


@dataclass
class Conditional:
    """Has a model predict continuations.

    Attributes:
        model: The model.
        batch_tokens: Tokens that a batch predicts, padding included; by default what bounds the logits. Halved when
            memory does not suffice.
        shares: Whether a prompt is read once for all its continuations; False where the model's cache does not allow
            it.
    """

    model: LoadedModel
    batch_tokens: int = 0
    shares: bool = field(init=False)

    def __post_init__(self) -> None:
        if not self.batch_tokens:
            budget = LOGIT_BYTES.get(self.model.device.type, OTHER_LOGIT_BYTES)
            self.batch_tokens = max(LEAST_TOKENS, int(budget // (4 * self.model.vocabulary)))
        model = self.model.model
        takes_cache = "past_key_values" in inspect.signature(model.forward).parameters
        self.shares = takes_cache and all(type(layer) in _SHARED for layer in new_cache(model).layers)

    def nll(
        self, continuations: Sequence[Continuation], on_batch: Callable[[int], None] = lambda _count: None
    ) -> npt.NDArray[np.float64]:
        """Negative log probabilities: (S,) in nats, the sum over each continuation's tokens; 0 without tokens.

        Args:
            continuations: Any, in any order.
            on_batch: Called after each batch with the number of continuations it had.

        Raises:
            GoodctlError: The model gives logits that are no numbers.
            ServiceError: Not even a single continuation fits into the device's memory.
        """
        found = np.zeros(len(continuations))
        left = sorted(
            (number for number, each in enumerate(continuations) if each.tokens),
            key=lambda number: (len(continuations[number].prefix), continuations[number].prefix),
        )
        while left:
            chosen = self._first_batch(continuations, left)
            try:
                found[chosen] = self._batch([continuations[number] for number in chosen])
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(continuations[chosen[0]], len(chosen), error)
                continue
            left = left[len(chosen) :]
            on_batch(len(chosen))
        return found

    def _first_batch(self, continuations: Sequence[Continuation], left: Sequence[int]) -> list[int]:
        """As many of those that come first as the budget allows; all have prefixes of one length."""
        length = len(continuations[left[0]].prefix)
        longest = 0
        for count, number in enumerate(left):
            each = continuations[number]
            longest = max(longest, len(each.tokens))
            read = longest if self.shares else length + longest
            if count and (len(each.prefix) != length or (count + 1) * read > self.batch_tokens):
                return list(left[:count])
        return list(left)

    def _batch(self, chosen: Sequence[Continuation]) -> npt.NDArray[np.float64]:
        """Negative log probabilities (B,) of continuations with prefixes of one length."""
        longest = max(len(each.tokens) for each in chosen)
        tokens = torch.zeros(len(chosen), longest, dtype=torch.int64)  # (B, L)
        for row, each in zip(tokens, chosen, strict=True):
            row[: len(each.tokens)] = torch.tensor(each.tokens)
        lengths = torch.tensor([len(each.tokens) for each in chosen])
        real = torch.arange(longest) < lengths[:, None]  # (B, L)
        with torch.inference_mode():
            read = self._shared if self.shares else self._whole
            log_probs = read(chosen, tokens.to(self.model.device)).to(torch.device("cpu"), torch.float64)  # (B, L)
        if bool((torch.isnan(log_probs) & real).any()):
            raise GoodctlError(
                f"{self.model.name} gives logits that are no numbers ({self.model.precision}).",
                hint="Try --precision fp32; if that does not help, the weights are damaged or the model is broken.",
            )
        sums: npt.NDArray[np.float64] = -log_probs.masked_fill(~real, 0.0).sum(-1).numpy()
        return sums

    def _shared(self, chosen: Sequence[Continuation], tokens: torch.Tensor) -> torch.Tensor:
        """Log probabilities (B, L) of the tokens (B, L); every different prefix is read once."""
        model, device = self.model.model, self.model.device
        places = {prefix: place for place, prefix in enumerate(dict.fromkeys(each.prefix for each in chosen))}
        owners = torch.tensor([places[each.prefix] for each in chosen], device=device)  # (B,)
        prefixes = torch.tensor(list(places), device=device)  # (P, T)
        cache = new_cache(model)
        last = last_logits(model, prefixes.shape[1], 1, device)
        first = model(input_ids=prefixes, past_key_values=cache, use_cache=True, **last).logits[:, -1]  # (P, V)
        found = [log_probs_at(first[owners], tokens[:, 0])[:, None]]
        if tokens.shape[1] > 1:
            cache.batch_select_indices(owners)
            logits = model(input_ids=tokens[:, :-1], past_key_values=cache, use_cache=True).logits  # (B, L - 1, V)
            found.append(_at(logits, tokens[:, 1:]))
        return torch.cat(found, dim=1)

    def _whole(self, chosen: Sequence[Continuation], tokens: torch.Tensor) -> torch.Tensor:
        """The same, every text read from its beginning."""
        model, device = self.model.model, self.model.device
        prefixes = torch.tensor([each.prefix for each in chosen], device=device)  # (B, T)
        read = torch.cat([prefixes, tokens[:, :-1]], dim=1)
        asked = tokens.shape[1]
        logits = model(input_ids=read, use_cache=False, **last_logits(model, read.shape[1], asked, device)).logits
        return _at(logits[:, -asked:], tokens)

    def _halve(self, alone: Continuation, count: int, error: Exception) -> None:
        if count == 1:
            raise ServiceError(
                f"{self.model.device} is out of memory with a single text of "
                f"{len(alone.prefix) + len(alone.tokens)} tokens.",
                hint="Choose a smaller --perplexity-model, or --device cpu.",
            ) from error
        self.batch_tokens = max(1, self.batch_tokens // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _at(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Log probabilities (B, L) that logits (B, L, V) give to tokens (B, L)."""
    return torch.stack([log_probs_at(row, wanted) for row, wanted in zip(logits, tokens, strict=True)])
