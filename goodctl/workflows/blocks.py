"""A corpus as blocks of tokenized documents, beginning where an interrupted run stopped."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from goodctl.corpus import Document, Scan
from goodctl.encoding import Tokens
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


class Reader(Protocol):
    """What takes a corpus block by block.

    Attributes:
        block_tokens: Tokens of a block, at least.
    """

    block_tokens: int

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Token ids of each text: (n,) int32."""


def blocks(documents: Iterator[Document], limits: Selection, reader: Reader, start: Position) -> Iterator[Block]:
    """Tokenize and group documents; nothing but the current block is kept.

    Args:
        documents: From the beginning of the corpus.
        limits: Where to stop.
        reader: Tokenizes, and says how large a block is.
        start: Where an earlier run stopped.

    Yields:
        Blocks of at least ``reader.block_tokens`` tokens, but for the last.
    """
    max_tokens = limits.max_tokens or math.inf
    stream = itertools.islice(documents, start.documents, limits.max_documents)
    block, last = Block(start), start
    for document, tokens in _tokenized(stream, reader):
        if block.position.tokens >= max_tokens:
            break
        block.position = block.position.after(document, tokens)
        if len(tokens) >= 2:
            block.documents.append(document)
            block.tokens.append(tokens)
            block.size += len(tokens)
        if block.size >= reader.block_tokens:
            yield block
            last = block.position
            block = Block(last)
    if block.position != last:
        yield block


def _tokenized(documents: Iterator[Document], reader: Reader) -> Iterator[tuple[Document, Tokens]]:
    for group in document_groups(documents):
        yield from zip(group, reader.tokenize([document.text for document in group]), strict=True)


def expected_tokens(position: Position, scan: Scan, selection: Selection, chosen: npt.NDArray[np.int64] | None) -> int:
    """Tokens of a whole run, from how many the characters read so far have given.

    Args:
        position: Where the run stands.
        scan: What a first reading found in the corpus.
        selection: Limits.
        chosen: Document numbers (m,) that take part, or None for those from the beginning.
    """
    if chosen is not None:
        share = len(chosen) / scan.documents
    else:
        share = min(1.0, (selection.max_documents or scan.documents) / scan.documents)
    expected = int(position.tokens / max(position.characters, 1) * scan.characters * share)
    if selection.max_tokens is not None:
        expected = min(expected, selection.max_tokens)
    return max(expected, position.tokens)
