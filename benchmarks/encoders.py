"""A goodctl encoder over a sample of real text, as a build makes and drives it; for the benchmarks of encoding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from measuring import paragraphs

from goodctl.corpus import Document
from goodctl.datastore.format import VALUE_DTYPE
from goodctl.encoding import Encoder, default_batch_tokens, default_window
from goodctl.models.key_layer import find_key_layer
from goodctl.models.load import load_model
from goodctl.models.source import ModelSource
from goodctl.workflows.blocks import Position, blocks
from goodctl.workflows.selection import Selection, document_groups

KEY_DTYPE = np.dtype(np.float16)


def make_encoder(source: ModelSource, device: str, precision: str) -> Encoder:
    """Load a model, and encode as a build with default settings does."""
    model = load_model(source, device=device, precision=precision)
    layer = find_key_layer(model.model, "ffn-input")
    encoder = Encoder(model, layer, default_window(model), 0, 0, KEY_DTYPE)
    set_budget(encoder, default_batch_tokens(model.device))
    return encoder


def set_budget(encoder: Encoder, batch_tokens: int) -> None:
    """Give an encoder another token budget, and the size of block that a build takes with it."""
    row_bytes = encoder.key_layer.dimension * KEY_DTYPE.itemsize + VALUE_DTYPE.itemsize
    encoder.batch_tokens = batch_tokens
    encoder.block_tokens = Encoder.block_size(batch_tokens, row_bytes)


def sample(encoder: Encoder, files: Sequence[Path], rows: int, seed: int) -> list[Document]:
    """Random documents of text files, as many as give about so many rows; all of them where there are not enough."""
    texts = paragraphs(files, seed)
    chosen: list[Document] = []
    found = 0
    for group in document_groups(Document(text, "und", "sample", line) for line, text in enumerate(texts, 1)):
        tokens = encoder.tokenize([document.text for document in group])
        for document, of_it in zip(group, tokens, strict=True):
            if found >= rows:
                return chosen
            chosen.append(document)
            found += max(len(of_it) - 1, 0)
    return chosen


def encode_all(encoder: Encoder, documents: Sequence[Document]) -> int:
    """Tokenize and encode documents block by block, as a build does, and drop the keys.

    Returns:
        Rows.
    """
    rows = 0
    for block in blocks(iter(documents), Selection(), encoder, Position()):
        _, values, _ = encoder.encode(block.tokens)
        rows += len(values)
    return rows
