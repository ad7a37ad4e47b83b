"""What is in a store, as plain lists to compare: documents with all that belongs to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from goodctl.datastore.codes import codec_infos, read_codes
from goodctl.datastore.description import SourceInfo
from goodctl.datastore.segments import Rows
from goodctl.datastore.store import Datastore
from tests.datastore.rows import rows

SOURCES = (
    SourceInfo(0, "texts/first.txt", "aa" * 32, 100),
    SourceInfo(1, "texts/second.txt", "bb" * 32, 200),
    SourceInfo(2, "more/second.txt", "cc" * 32, 300),
)


@dataclass(frozen=True)
class Document:
    """One document of a store."""

    language: str
    label: str | None
    source: str
    line: int
    keys: bytes
    values: tuple[int, ...]
    codes: bytes | None = None


def documents(store: Path | str, *, codes: bool = False) -> list[Document]:
    """The documents of a version, in row order; with their codes where they have any."""
    opened = Datastore.open(str(store))
    infos, found = codec_infos(opened.root, opened.location), []
    for segment in opened.segments:
        names = {source.index: source.name for source in segment.sources}
        for part in opened.parts(segment):
            arrays = part.read_all()
            coded = read_codes(part, infos[segment.codes.codec]) if codes and segment.codes else None
            for number, (start, stop) in enumerate(
                zip(arrays["offsets"][:-1].astype(int), arrays["offsets"][1:].astype(int), strict=True)
            ):
                found.append(
                    Document(
                        segment.language,
                        segment.label,
                        names[int(arrays["document_sources"][number].astype(int))],
                        int(arrays["document_lines"][number].astype(int)),
                        arrays["keys"][start:stop].tobytes(),
                        tuple(arrays["values"][start:stop].astype(int).tolist()),
                        None if coded is None else coded[start:stop].tobytes(),
                    )
                )
    return found


def total(documents: Sequence[Document]) -> int:
    """Rows of documents."""
    return sum(len(document.values) for document in documents)


def from_sources(seed: int, count: int, sources: Sequence[int]) -> Rows:
    """Random rows whose documents come from sources in turn, with their own numbers of lines."""
    made = rows(seed, count)
    of = np.asarray([sources[number % len(sources)] for number in range(count)], np.int32)
    lines = np.asarray([1 + number // len(sources) for number in range(count)], np.int64)
    return replace(made, sources=of, lines=lines)


def pieces(language: str, rows: Rows, documents: int = 4) -> list[tuple[str, Rows]]:
    """Rows as batches of some documents each: a writer makes a part when its buffer is full, between batches."""
    starts = np.concatenate([[0], np.cumsum(rows.lengths)])
    made = []
    for first in range(0, len(rows.lengths), documents):
        of = slice(first, first + documents)
        these = slice(starts[first], starts[min(first + documents, len(rows.lengths))])
        made.append(
            (language, Rows(rows.keys[these], rows.values[these], rows.lengths[of], rows.sources[of], rows.lines[of]))
        )
    return made


def check_description(store: Path | str) -> None:
    """Counts and hashes that a version records are those of its arrays."""
    from goodctl.datastore.content import ContentHash

    opened = Datastore.open(str(store), check=True)
    for segment in opened.segments:
        content, rows, lines, parts = ContentHash(), 0, 0, 0
        for part in opened.parts(segment):
            arrays = part.read_all()
            content.update(arrays)
            rows, lines, parts = rows + len(arrays["values"]), lines + len(arrays["document_lines"]), parts + 1
            assert (part.rows, part.documents) == (len(arrays["values"]), len(arrays["document_lines"]))
        assert content.digests() == segment.sha256
        assert (rows, lines, parts) == (segment.rows, segment.documents, segment.parts)
        assert sum(source.rows for source in segment.sources) == segment.rows
        assert sum(source.documents for source in segment.sources) == segment.documents
    orders = [segment.order for segment in opened.segments]
    assert orders == sorted(set(orders))
