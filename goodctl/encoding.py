"""Documents to rows: windows over long documents, batches packed by length, the key layer of every position.

Only the backbone runs, up to the key layer. Batches are padded on the right and need no attention mask: with causal
attention no real token sees what stands behind it, and without a mask the fast attention kernels apply.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from goodctl.errors import GoodctlError, IncompatibleError, ServiceError
from goodctl.models.key_layer import KeyLayer, capture
from goodctl.models.load import LoadedModel

Tokens = npt.NDArray[np.int32]

DEFAULT_WINDOW = 2048
"""Longest context unless the user names one: enough for documents of this field, and a bound on memory."""

BLOCK_BYTES = 256 * 2**20
"""Keys of one block in memory, at most; a single longer document makes a block of its own."""

MOST_WINDOWS = 1024
"""Windows of a batch, at most: bounds what packing very short documents for a large device costs."""


@dataclass(frozen=True)
class Window:
    """A stretch of one document that goes through the model at once.

    Attributes:
        document: Index of the document in its block.
        start: First token that is read, after the beginning-of-text token where that is repeated.
        stop: One past the last token that is read.
        first_row: First row that this window gives; the row ``t - 1`` has token ``t`` as its value.
        prefix: 1 where the document's beginning-of-text token is put in front, else 0.
    """

    document: int
    start: int
    stop: int
    first_row: int
    prefix: int

    @property
    def length(self) -> int:
        """Tokens that go through the model."""
        return self.prefix + self.stop - self.start

    @property
    def first(self) -> int:
        """Position in the window of its first row; all positions from there on give rows."""
        return self.prefix + self.first_row - self.start


def windows(document: int, length: int, size: int, bos: bool) -> list[Window]:
    """Cover a document so that every token after the first is predicted once, from at least half a window of context.

    Tokens nearer to the document's beginning than half a window have all there is. Models that are trained with a
    beginning-of-text token get it at the head of every window, as the first position draws much of the attention.

    Args:
        document: Index to put into the windows.
        length: Tokens of the document.
        size: Longest window in tokens, at least 4.
        bos: Whether the document begins with a beginning-of-text token.

    Returns:
        Windows in order; none when there is no token with a predecessor.
    """
    rows = length - 1
    if rows < 1:
        return []
    found = [Window(document, 0, min(size, rows), 0, 0)]
    prefix = int(bos)
    while (done := found[-1].stop) < rows:
        # Row t-1 reads tokens start..t-1, which must be at least half a window.
        start = done + 1 - -(-size // 2)
        found.append(Window(document, start, min(start + size - prefix, rows), done, prefix))
    return found


def tokenized(model: LoadedModel, texts: Sequence[str]) -> list[Tokens]:
    """Token ids of each text as the model's tokenizer gives them, beginning-of-text token included: (n,) int32."""
    if not texts:
        return []
    ids = model.tokenizer(list(texts), add_special_tokens=True, return_attention_mask=False, verbose=False)
    return [np.asarray(row, dtype=np.int32) for row in ids["input_ids"]]


def windows_of(model: LoadedModel, documents: Sequence[Tokens], size: int) -> list[Window]:
    """The windows of several documents, in order; ``size`` is the longest in tokens."""
    bos = model.tokenizer.bos_token_id
    return [
        window
        for number, tokens in enumerate(documents)
        for window in windows(number, len(tokens), size, bos is not None and len(tokens) > 0 and int(tokens[0]) == bos)
    ]


def padded(documents: Sequence[Tokens], chosen: Sequence[Window]) -> npt.NDArray[np.int64]:
    """The tokens (B, T) of some windows; what stands behind a window is never looked at."""
    ids = np.zeros((len(chosen), max(window.length for window in chosen)), dtype=np.int64)
    for row, window in enumerate(chosen):
        tokens = documents[window.document]
        ids[row, window.prefix : window.length] = tokens[window.start : window.stop]
        if window.prefix:
            ids[row, 0] = tokens[0]
    return ids


def pack(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Group windows into batches within a token budget such that the least is spent on padding.

    Windows are sorted by length and cut into batches by dynamic programming: a batch costs its padded tokens and, for
    everything that does not grow with them, an overhead of a 32nd of the budget. Filling batches one after another
    would put long and short windows together wherever a budget happens to end.

    Args:
        lengths: Tokens of each window.
        budget: Most tokens of a batch, padding included; a single longer window makes a batch of its own.

    Returns:
        Batches of indices into ``lengths``, longest first.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    longest = np.array([lengths[index] for index in order], dtype=np.int64)  # of a batch that begins there
    most = np.clip(budget // np.maximum(longest, 1), 1, MOST_WINDOWS)  # windows of such a batch
    cost = np.full(len(order) + 1, np.inf)
    cost[0] = 0
    begin = np.zeros(len(order) + 1, dtype=np.int64)  # of the best last batch when so many windows are placed
    for start in range(len(order)):
        ends = np.arange(start + 1, min(start + int(most[start]), len(order)) + 1)
        total = cost[start] + (ends - start) * longest[start] + budget / 32
        better = total < cost[ends]
        cost[ends[better]], begin[ends[better]] = total[better], start
    batches, end = [], len(order)
    while end:
        batches.append(order[int(begin[end]) : end])
        end = int(begin[end])
    return batches[::-1]


def default_batch_tokens(device: torch.device) -> int:
    """Token budget of a batch for a device.

    On a CPU 2048 tokens come within a few per cent of the best budget (docs/benchmarks.md). On CUDA the budget follows
    from the memory and is halved whenever it proves too much. A timed search would come closer to the optimum, but
    would give other bytes in the keys on every run, since the shape of a batch decides the last bit of a sum.
    """
    if device.type == "cuda":
        gib = torch.cuda.get_device_properties(device).total_memory / 2**30
        return int(min(65536, max(4096, 1024 * 2 ** int(np.log2(max(gib, 1))))))
    return 8192 if device.type == "mps" else 2048


def default_window(model: LoadedModel) -> int:
    """The model's own window, at most ``DEFAULT_WINDOW``."""
    return min(model.window or DEFAULT_WINDOW, DEFAULT_WINDOW)


@dataclass
class Encoder:
    """Turns blocks of documents into keys and values.

    Attributes:
        model: Model and tokenizer.
        key_layer: Which hidden state is the key.
        window: Longest context in tokens.
        batch_tokens: Budget of a batch; halved when the device runs out of memory.
        block_tokens: Documents are encoded in blocks of about so many tokens, sorted by length within each. Fixed at
            the start, so that a resumed run makes the same blocks.
        key_dtype: numpy dtype of the keys.
    """

    model: LoadedModel
    key_layer: KeyLayer
    window: int
    batch_tokens: int
    block_tokens: int
    key_dtype: np.dtype[np.floating]

    @staticmethod
    def block_size(batch_tokens: int, row_bytes: int) -> int:
        """Tokens of a block: 32 batches, less where keys are long, at least 4 batches."""
        return max(4 * batch_tokens, min(32 * batch_tokens, BLOCK_BYTES // row_bytes))

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Token ids of each text as the model's tokenizer gives them, beginning-of-text token included: (n,) int32."""
        return tokenized(self.model, texts)

    def encode(
        self, documents: Sequence[Tokens], on_batch: Callable[[int], None] = lambda _tokens: None
    ) -> tuple[npt.NDArray[np.floating], Tokens, npt.NDArray[np.int64]]:
        """Encode one block.

        Args:
            documents: Token ids of each document.
            on_batch: Called after each batch with the number of rows it gave.

        Returns:
            Keys (n, D) in ``key_dtype``, values (n,) int32, rows of each document (m,) int64; rows in corpus order.

        Raises:
            IncompatibleError: Hidden states do not fit into ``key_dtype``.
            GoodctlError: The model gives NaN or infinity.
            ServiceError: Not even a single window fits into the device's memory.
        """
        lengths = np.array([max(len(tokens) - 1, 0) for tokens in documents], dtype=np.int64)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        keys = np.empty((int(starts[-1]), self.key_layer.dimension), dtype=self.key_dtype)
        values = np.concatenate([tokens[1:] for tokens in documents] or [np.zeros(0, np.int32)]).astype(np.int32)
        todo = windows_of(self.model, documents, self.window)
        batches = pack([window.length for window in todo], self.batch_tokens)
        while batches:
            chosen = [todo[index] for index in batches[0]]
            try:
                captured = self._forward(documents, chosen)
            except torch.OutOfMemoryError as error:
                self._halve(error)
                left = [index for batch in batches for index in batch]
                repacked = pack([todo[index].length for index in left], self.batch_tokens)
                batches = [[left[index] for index in batch] for batch in repacked]
                continue
            for row, window in enumerate(chosen):
                begin = int(starts[window.document])
                keys[begin + window.first_row : begin + window.stop] = captured[row, window.first : window.length]
            del batches[0]
            on_batch(sum(window.stop - window.first_row for window in chosen))
        return keys, values, lengths

    def _forward(self, documents: Sequence[Tokens], chosen: Sequence[Window]) -> npt.NDArray[np.floating]:
        input_ids = torch.from_numpy(padded(documents, chosen)).to(self.model.device)  # (B, T)
        hidden = capture(self.model.model, self.key_layer, input_ids, None)  # (B, T, D)
        real = np.array([window.length for window in chosen])
        return self._narrow(hidden, torch.from_numpy(real).to(hidden.device))

    def _narrow(self, hidden: torch.Tensor, lengths: torch.Tensor) -> npt.NDArray[np.floating]:
        target = torch.float16 if self.key_dtype == np.float16 else torch.float32
        narrowed = hidden.to(target)  # (B, T, D)
        if not bool(torch.isfinite(narrowed).all()):
            real = torch.arange(hidden.shape[1], device=hidden.device)[None] < lengths[:, None]  # (B, T)
            wrong = ~torch.isfinite(narrowed) & real[..., None]
            if bool(wrong.any()):
                self._refuse(hidden[wrong])
        return np.asarray(narrowed.cpu().numpy())

    def _refuse(self, wrong: torch.Tensor) -> None:
        if not bool(torch.isfinite(wrong).all()):
            raise GoodctlError(
                f"{self.model.name} gives NaN or infinity in its {self.key_layer.name} ({self.model.precision}).",
                hint="Try --precision fp32; if that does not help, the weights are damaged or the model is broken.",
            )
        largest = float(wrong.abs().max())
        raise IncompatibleError(
            f"The {self.key_layer.name} of {self.model.name} reaches {largest:,.0f}; float16 ends at 65,504.",
            hint="Store the keys as --key-dtype float32 (twice the space), or take --key-layer ffn-input.",
        )

    def _halve(self, error: Exception) -> None:
        if self.batch_tokens <= 64:
            raise ServiceError(
                f"{self.model.device} is out of memory even with {self.batch_tokens} tokens a batch.",
                hint="Choose a shorter --window, or --device cpu.",
            ) from error
        self.batch_tokens //= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
