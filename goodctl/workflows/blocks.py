"""A corpus as blocks of tokenized documents, beginning where an interrupted run stopped."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from goodctl.corpus import Document
from goodctl.encoding import Encoder, Tokens
from goodctl.workflows.selection import Selection, document_groups


@dataclass(frozen=True)
class Position:
    """How far into the corpus a run has come; kept in checkpoints.

    Attributes:
        documents: Documents read.
        skipped: Of these, documents that gave no row: empty, or a single token.
        tokens: Tokens of the documents read.
        characters: Characters of the documents read.
    """

    documents: int = 0
    skipped: int = 0
    tokens: int = 0
    characters: int = 0

    def after(self, document: Document, tokens: Tokens) -> Position:
        """The position after one more document."""
        return Position(
            self.documents + 1,
            self.skipped + (len(tokens) < 2),
            self.tokens + len(tokens),
            self.characters + len(document.text),
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass
class Block:
    """Documents that are encoded together.

    Attributes:
        documents: Those that give rows, in corpus order.
        tokens: Token ids of each, (n,) int32.
        size: Tokens of all of them.
        position: Where the corpus stands after this block.
    """

    position: Position
    documents: list[Document] = field(default_factory=list)
    tokens: list[Tokens] = field(default_factory=list)
    size: int = 0


def blocks(documents: Iterator[Document], limits: Selection, encoder: Encoder, start: Position) -> Iterator[Block]:
    """Tokenize and group documents; nothing but the current block is kept.

    Args:
        documents: From the beginning of the corpus.
        limits: Where to stop.
        encoder: Tokenizes, and says how large a block is.
        start: Where an earlier run stopped.

    Yields:
        Blocks of at least ``encoder.block_tokens`` tokens, but for the last.
    """
    max_tokens = limits.max_tokens or math.inf
    stream = itertools.islice(documents, start.documents, limits.max_documents)
    block, last = Block(start), start
    for document, tokens in _tokenized(stream, encoder):
        if block.position.tokens >= max_tokens:
            break
        block.position = block.position.after(document, tokens)
        if len(tokens) >= 2:
            block.documents.append(document)
            block.tokens.append(tokens)
            block.size += len(tokens)
        if block.size >= encoder.block_tokens:
            yield block
            last = block.position
            block = Block(last)
    if block.position != last:
        yield block


def _tokenized(documents: Iterator[Document], encoder: Encoder) -> Iterator[tuple[Document, Tokens]]:
    for group in document_groups(documents):
        yield from zip(group, encoder.tokenize([document.text for document in group]), strict=True)
