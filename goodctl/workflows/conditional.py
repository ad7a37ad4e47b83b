"""How probable a model finds continuations, given their prompts.

The model reads each prompt once for all its continuations, which go on from the same keys and values, in as many
batches as their logits take. Prompts of one length are read together, so that nothing stands on the left of a text that
is not its own; on the right there may be padding, which no real token sees. So there is no attention mask, and
positions are what they are in a text alone.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

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
CACHE_BYTES = {"cpu": 1e9}
"""Keys and values of a batch, those of its prompts included, by kind of device."""
OTHER_CACHE_BYTES = 8e9
MOST_POSITIONS = 8192
"""Positions of a forward pass, however small their keys, values and logits are; bounds what layers hand on."""
_SHARED = (DynamicLayer, DynamicSlidingWindowLayer)
"""Caches whose rows can be picked; of others, as recurrent states, nothing is shared."""


@dataclass
class _Read:
    """Prompts of one length that were read.

    Attributes:
        cache: Keys and values of P prompts of T tokens each.
        first: (P, V) logits behind the prompts.
        places: Each prompt's row.
    """

    cache: Any
    first: torch.Tensor
    places: dict[tuple[int, ...], int]

    def repeated(self, owners: torch.Tensor) -> Any:
        """A cache with the rows (B,) of prompts; this one stays as it is."""
        cache = copy.copy(self.cache)
        cache.layers = [copy.copy(layer) for layer in self.cache.layers]
        cache.batch_select_indices(owners)
        return cache


@dataclass
class Conditional:
    """Has a model predict continuations.

    Attributes:
        model: The model.
        batch_tokens: Tokens that a batch predicts, padding included; by default what bounds the logits. Halved when
            memory does not suffice.
        cache_bytes: What the keys and values of a batch take; by default it depends on the device. Halved, too. A
            single text may take more.
        shares: Whether a prompt is read once for all its continuations; False where the model's cache does not allow
            it.
    """

    model: LoadedModel
    batch_tokens: int = 0
    cache_bytes: float = 0
    shares: bool = field(init=False)
    _position_bytes: float | None = field(default=None, init=False)
    _last_alone: bool = field(init=False)

    def __post_init__(self) -> None:
        kind = self.model.device.type
        if not self.batch_tokens:
            budget = LOGIT_BYTES.get(kind, OTHER_LOGIT_BYTES)
            self.batch_tokens = max(LEAST_TOKENS, int(budget // (4 * self.model.vocabulary)))
        if not self.cache_bytes:
            self.cache_bytes = CACHE_BYTES.get(kind, OTHER_CACHE_BYTES)
        model = self.model.model
        takes_cache = "past_key_values" in inspect.signature(model.forward).parameters
        self.shares = takes_cache and all(type(layer) in _SHARED for layer in new_cache(model).layers)
        self._last_alone = bool(last_logits(model, 1, 1, self.model.device))

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
            group = self._group(continuations, left)
            left = left[len(group) :]
            read: _Read | None = None
            while group:
                chosen = group[:1]  # while the prompts are read
                try:
                    if self.shares and read is None:
                        read = self._prompts(dict.fromkeys(continuations[number].prefix for number in group))
                    chosen = self._batch(continuations, group)
                    found[chosen] = self._measured([continuations[number] for number in chosen], read)
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    one_prompt = len({continuations[number].prefix for number in group}) == 1
                    alone = len(chosen) == 1 and (one_prompt or not self.shares)
                    self._halve(continuations[chosen[0]], alone, error)
                    left, read = [*group, *left], None
                    break
                group = group[len(chosen) :]
                on_batch(len(chosen))
        return found

    def _group(self, continuations: Sequence[Continuation], left: Sequence[int]) -> list[int]:
        """The continuations of as many prompts of one length as are read together."""
        length = len(continuations[left[0]].prefix)
        if not self.shares:
            count = next((at for at, each in enumerate(left) if len(continuations[each].prefix) != length), len(left))
            return list(left[:count])
        # How large a position is, the first prompt shows.
        most = 1 if self._position_bytes is None else self._rows(length, self.cache_bytes / 2)
        most = min(most, self.batch_tokens // (1 if self._last_alone else length))
        prompts: set[tuple[int, ...]] = set()
        for count, number in enumerate(left):
            prefix = continuations[number].prefix
            if len(prefix) != length or (prefix not in prompts and len(prompts) >= max(1, most)):
                return list(left[:count])
            prompts.add(prefix)
        return list(left)

    def _batch(self, continuations: Sequence[Continuation], group: Sequence[int]) -> list[int]:
        """As many of those that come first as the budgets allow."""
        length, longest = len(continuations[group[0]].prefix), 0
        for count, number in enumerate(group):
            longest = max(longest, len(continuations[number].tokens))
            rows = count + 1
            predicted = rows * (longest if self.shares else length + longest)
            if count and (predicted > self.batch_tokens or rows > self._rows(length + longest, self.cache_bytes / 2)):
                return list(group[:count])
        return list(group)

    def _rows(self, positions: int, bytes_: float) -> int:
        """How many texts of so many positions a forward pass takes."""
        by_cache = bytes_ / self._position_bytes if self._position_bytes else MOST_POSITIONS
        return int(min(by_cache, MOST_POSITIONS) // positions)

    def _prompts(self, prefixes: Iterable[tuple[int, ...]]) -> _Read:
        """Read prompts of one length."""
        model, device = self.model.model, self.model.device
        places = {prefix: place for place, prefix in enumerate(prefixes)}
        ids = torch.tensor(list(places), device=device)  # (P, T)
        cache = new_cache(model)
        last = last_logits(model, ids.shape[1], 1, device)
        with torch.inference_mode():
            first = model(input_ids=ids, past_key_values=cache, use_cache=True, **last).logits[:, -1]  # (P, V)
            first = first.clone() if not self._last_alone else first  # a view would keep all positions' logits
        self._position_bytes = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers) / ids.numel()
        return _Read(cache, first, places)

    def _measured(self, chosen: Sequence[Continuation], read: _Read | None) -> npt.NDArray[np.float64]:
        """Negative log probabilities (B,) of continuations with prefixes of one length."""
        longest = max(len(each.tokens) for each in chosen)
        tokens = torch.zeros(len(chosen), longest, dtype=torch.int64)  # (B, L)
        for row, each in zip(tokens, chosen, strict=True):
            row[: len(each.tokens)] = torch.tensor(each.tokens)
        lengths = torch.tensor([len(each.tokens) for each in chosen])
        real = torch.arange(longest) < lengths[:, None]  # (B, L)
        asked = tokens.to(self.model.device)
        with torch.inference_mode():
            log_probs = self._whole(chosen, asked) if read is None else self._shared(chosen, asked, read)
            log_probs = log_probs.to(torch.device("cpu"), torch.float64)  # (B, L)
        if bool((torch.isnan(log_probs) & real).any()):
            raise GoodctlError(
                f"{self.model.name} gives logits that are no numbers ({self.model.precision}).",
                hint="Try --precision fp32; if that does not help, the weights are damaged or the model is broken.",
            )
        sums: npt.NDArray[np.float64] = -log_probs.masked_fill(~real, 0.0).sum(-1).numpy()
        return sums

    def _shared(self, chosen: Sequence[Continuation], tokens: torch.Tensor, read: _Read) -> torch.Tensor:
        """Log probabilities (B, L) of the tokens (B, L), behind prompts that were read."""
        owners = torch.tensor([read.places[each.prefix] for each in chosen], device=tokens.device)  # (B,)
        found = [log_probs_at(read.first[owners], tokens[:, 0])[:, None]]
        if tokens.shape[1] > 1:
            cache = read.repeated(owners)
            logits = self.model.model(input_ids=tokens[:, :-1], past_key_values=cache, use_cache=True).logits
            found.append(_at(logits, tokens[:, 1:]))  # (B, L - 1, V)
        return torch.cat(found, dim=1)

    def _whole(self, chosen: Sequence[Continuation], tokens: torch.Tensor) -> torch.Tensor:
        """Log probabilities (B, L) of the tokens (B, L), every text read from its beginning."""
        model, device = self.model.model, self.model.device
        prefixes = torch.tensor([each.prefix for each in chosen], device=device)  # (B, T)
        read = torch.cat([prefixes, tokens[:, :-1]], dim=1)
        asked = tokens.shape[1]
        logits = model(input_ids=read, use_cache=False, **last_logits(model, read.shape[1], asked, device)).logits
        return _at(logits[:, -asked:], tokens)

    def _halve(self, first: Continuation, alone: bool, error: Exception) -> None:
        if alone:
            raise ServiceError(
                f"{self.model.device} is out of memory with a single text of "
                f"{len(first.prefix) + len(first.tokens)} tokens.",
                hint="Choose a smaller --perplexity-model, or --device cpu.",
            ) from error
        self.batch_tokens, self.cache_bytes = max(1, self.batch_tokens // 2), self.cache_bytes / 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _at(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Log probabilities (B, L) that logits (B, L, V) give to tokens (B, L)."""
    return torch.stack([log_probs_at(row, wanted) for row, wanted in zip(logits, tokens, strict=True)])
