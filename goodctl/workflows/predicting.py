"""Text read by a model as a whole: how probable every token was, and which neighbours its context has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from goodctl.encoding import Tokens, Window, pack, padded, tokenized, windows_of
from goodctl.errors import GoodctlError, ServiceError
from goodctl.models.device import is_out_of_memory
from goodctl.models.key_layer import KeyLayer
from goodctl.models.load import LoadedModel
from goodctl.models.positions import last_logits
from goodctl.models.tap import tapped
from goodctl.steering.likelihood import log_probs_at
from goodctl.steering.search import Found, Side, as_tensors
from goodctl.workflows.blocks import Block

LOGIT_BYTES = 256e6
"""Logits of a batch as float32, about; a single window may have more."""
LEAST_TOKENS = 256
"""Budget of a batch however large the vocabulary is."""
BLOCK_BATCHES = 32
"""Batches' worth of documents that are packed together."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Predicted:
    """Tokens of one batch that have a token before them, in no particular order.

    Attributes:
        documents: (N,) int64 number of each token's document in its block.
        tokens: (N,) int64 token ids.
        base: (N,) float32 log probabilities that the model gives them.
        distances: (N, K) float32 squared L2 of the neighbours of what came before; None where no store is searched.
        values: (N, K) int32 the neighbours' next tokens, or None.
    """

    documents: npt.NDArray[np.int64]
    tokens: torch.Tensor
    base: torch.Tensor
    distances: torch.Tensor | None = None
    values: torch.Tensor | None = None


@dataclass
class Predictor:
    """Has a model predict every token of documents but the first.

    Attributes:
        model: Model and tokenizer.
        window: Longest context in tokens.
        side: Stores that are searched, or None.
        key_layer: Where their queries are read; needed with a side.
        batch_tokens: Budget of a batch, padding included; by default what bounds the logits. Halved when memory does
            not suffice.
        block_tokens: Documents are packed in blocks of about so many tokens.
    """

    model: LoadedModel
    window: int
    side: Side | None = None
    key_layer: KeyLayer | None = None
    batch_tokens: int = 0
    block_tokens: int = field(init=False)

    def __post_init__(self) -> None:
        self.batch_tokens = self.batch_tokens or max(LEAST_TOKENS, int(LOGIT_BYTES // (4 * self.model.vocabulary)))
        self.block_tokens = BLOCK_BATCHES * self.batch_tokens

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Token ids of each text: (n,) int32, as they are encoded for a store."""
        return tokenized(self.model, texts)

    def predict(self, block: Block) -> Iterator[Predicted]:
        """Every token of a block's documents after their first ones, once, batch by batch.

        Raises:
            GoodctlError: The model gives logits or hidden states that are no numbers; names the document.
            ServiceError: Not even a single window fits into the device's memory.
        """
        left = windows_of(self.model, block.tokens, self.window)
        while left:
            packed = pack([window.length for window in left], self.batch_tokens)
            batches, left = [[left[number] for number in batch] for batch in packed], []
            while batches:
                try:
                    found = self._batch(block, batches[0])
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    self._halve(batches[0], error)
                    left = [window for batch in batches for window in batch]
                    break
                yield found
                del batches[0]

    def _batch(self, block: Block, chosen: Sequence[Window]) -> Predicted:
        ids = padded(block.tokens, chosen)
        logits, states = self._forward(ids, ids.shape[1] - min(window.first for window in chosen))
        # Padding is on the right, and what nothing asks for is missing on the left.
        missing = ids.shape[1] - logits.shape[1]
        rows = [slice(window.first - missing, window.length - missing) for window in chosen]
        tokens = [
            torch.from_numpy(block.tokens[window.document][window.first_row + 1 : window.stop + 1].astype(np.int64))
            for window in chosen
        ]
        base = torch.cat(
            [
                log_probs_at(logits[number, these], wanted.to(logits.device))
                for number, (these, wanted) in enumerate(zip(rows, tokens, strict=True))
            ]
        ).to(CPU)
        documents = np.repeat(
            [window.document for window in chosen], [window.stop - window.first_row for window in chosen]
        )
        if states is None or self.side is None:
            self._check(block, documents, base)
            return Predicted(documents, torch.cat(tokens), base)
        queries = torch.cat([states[number, these] for number, these in enumerate(rows)])  # (N, D)
        self._check(block, documents, base, queries)
        del logits, states
        found: Found = self.side.neighbors(queries)
        return Predicted(documents, torch.cat(tokens), base, *as_tensors(found, CPU))

    def _forward(self, ids: npt.NDArray[np.int64], last: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The logits (B, T', V) of at least the last positions, and the key layer's states (B, T', D) of the same."""
        model = self.model.model
        with contextlib.ExitStack() as stack, torch.inference_mode():
            tap = stack.enter_context(tapped(model, self.key_layer)) if self.side and self.key_layer else None
            input_ids = torch.from_numpy(ids).to(self.model.device)  # (B, T)
            keep = last_logits(model, ids.shape[1], last, input_ids.device)
            logits: torch.Tensor = model(input_ids=input_ids, use_cache=False, **keep).logits
            states = None if tap is None else tap.states(len(ids))[:, -logits.shape[1] :]
        return logits, states

    def _check(
        self, block: Block, documents: npt.NDArray[np.int64], base: torch.Tensor, queries: torch.Tensor | None = None
    ) -> None:
        for what, wrong in (
            ("logits", torch.isnan(base)),
            ("hidden states", torch.zeros(0) if queries is None else ~torch.isfinite(queries).all(-1)),
        ):
            if bool(wrong.any()):
                document = block.documents[documents[int(torch.nonzero(wrong)[0, 0])]]
                raise GoodctlError(
                    f"{document.source}:{document.line}: {self.model.name} gives {what} that are no numbers "
                    f"({self.model.precision}).",
                    hint="Try --precision fp32; if that does not help, the weights are damaged or the model is broken.",
                )

    def _halve(self, chosen: Sequence[Window], error: Exception) -> None:
        if len(chosen) == 1:
            raise ServiceError(
                f"{self.model.device} is out of memory with a single window of {chosen[0].length} tokens.",
                hint="Choose a shorter --window, or --device cpu.",
            ) from error
        self.batch_tokens = max(1, self.batch_tokens // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
