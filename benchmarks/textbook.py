"""The textbook way to a datastore's rows, as published kNN-LM code goes: the side that goodctl is compared with.

The whole causal language model runs with LM head and loss, in fp32, on the documents joined to one stream of tokens,
cut into windows of 1024 that overlap by half; a few windows make a batch, padded with the tokenizer's padding and
masked. A forward hook takes the input of the last feed-forward block, and a mask takes the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from goodctl.corpus import Document
from goodctl.models.key_layer import KeyLayer
from goodctl.models.load import LoadedModel

WINDOW = 1024
IGNORED = -100


def textbook_rows(model: LoadedModel, layer: KeyLayer, documents: Sequence[Document], batch_windows: int) -> int:
    """Run the textbook way, and drop the keys.

    Returns:
        Rows: tokens of the stream with a predecessor, each once.
    """
    tokenizer = model.tokenizer
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    captured: list[torch.Tensor] = []
    module = model.model.get_submodule(layer.module_path)
    hook = module.register_forward_hook(lambda _module, inputs, _output: captured.append(inputs[0].detach()))
    rows = 0
    try:
        windows = list(_windows(tokenizer, documents, min(WINDOW, model.window or WINDOW)))
        for start in range(0, len(windows), batch_windows):
            keys, values = _run(model, captured, windows[start : start + batch_windows])
            assert len(keys) == len(values)
            rows += len(values)
    finally:
        hook.remove()
    return rows


def _windows(tokenizer: Any, documents: Sequence[Document], size: int) -> Iterator[tuple[list[int], int]]:
    """Windows of the documents' tokens joined to one stream, with the first position whose row is new."""
    stream = [token for document in documents for token in tokenizer(document.text)["input_ids"]]
    done = 0  # rows so far
    for start in range(0, len(stream), size // 2):
        window = stream[start : start + size]
        if start + len(window) - 1 <= done:
            return
        yield window, done - start
        done = start + len(window) - 1


def _run(model: LoadedModel, captured: list[torch.Tensor], windows: Sequence[tuple[list[int], int]]) -> tuple[Any, Any]:
    """One batch: keys (n, D) float16, values (n,)."""
    batch = model.tokenizer.pad({"input_ids": [window for window, _ in windows]}, return_tensors="pt")
    input_ids, mask = batch["input_ids"].to(model.device), batch["attention_mask"].to(model.device)  # (B, T)
    with torch.no_grad():
        model.model(input_ids=input_ids, attention_mask=mask, labels=input_ids.masked_fill(mask == 0, IGNORED))
    hidden = captured.pop()[:, :-1]  # (B, T-1, D)
    new = mask[:, 1:].bool()
    for row, (_, first) in enumerate(windows):
        new[row, :first] = False
    return hidden[new].half().cpu().numpy(), input_ids[:, 1:][new].cpu().numpy()
