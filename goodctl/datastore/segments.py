"""Rows of one segment on their way into the store: buffered, counted, hashed, written part by part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import zarr

from goodctl.datastore.content import ContentHash, Part
from goodctl.datastore.description import SourceInfo
from goodctl.datastore.format import (
    DOCUMENT_LINES,
    DOCUMENT_SOURCES,
    KEYS,
    LINE_DTYPE,
    OFFSET_DTYPE,
    OFFSETS,
    SOURCE_DTYPE,
    VALUE_DTYPE,
    VALUES,
)
from goodctl.datastore.parts import part_names, stored_parts, write_part


@dataclass(frozen=True)
class Rows:
    """Encoded documents of one language, in corpus order.

    Attributes:
        keys: (n, D) in the store's key dtype.
        values: (n,) int32 next-token ids.
        lengths: (m,) int64 rows of each document, none of them 0; they add up to n.
        sources: (m,) int32 index of each document's source.
        lines: (m,) int64 line or record of each document in its source.
    """

    keys: npt.NDArray[np.floating]
    values: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int64]
    sources: npt.NDArray[np.int32]
    lines: npt.NDArray[np.int64]

    @property
    def size_bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in (self.keys, self.values, self.lengths, self.sources, self.lines))


class SegmentBuffer:
    """Collects rows of one segment and writes them as parts.

    Args:
        id: Name of the segment's group.
        language: Of all its documents.
    """

    def __init__(self, id: str, language: str) -> None:
        self.id = id
        self.language = language
        self.rows = 0
        self.documents = 0
        self.parts = 0
        self.buffered_bytes = 0
        self.buffered_rows = 0
        self._pending: list[Rows] = []
        self._content = ContentHash()
        self._counts: Counter[int] = Counter()
        self._per_source: dict[int, tuple[int, int]] = {}

    def resume(self, group: zarr.Group, location: str) -> None:
        """Take up what was written before: recount and rehash its parts, one at a time.

        Raises:
            DamagedError: A part is not what was written; hashed anew, it would seem to be.
        """
        for part in stored_parts(group, location, checked=True):
            self._account(part.read_all())

    def append(self, rows: Rows) -> None:
        """Buffer rows; call ``flush`` when ``buffered_bytes`` has grown too large."""
        self._pending.append(rows)
        self.buffered_bytes += rows.size_bytes
        self.buffered_rows += len(rows.values)

    def flush(self, group: zarr.Group) -> int:
        """Write everything buffered as the next part of ``group``.

        Returns:
            Bytes of its arrays; 0 when nothing was buffered.
        """
        if not self._pending:
            return 0
        if not part_names(group):
            group.attrs.update({"language": self.language})  # so that a resumed run knows whose parts these are
        part = self._joined()
        size = write_part(group, self.parts, part)
        self._account(part)
        self._pending, self.buffered_bytes, self.buffered_rows = [], 0, 0
        return size

    def _joined(self) -> Part:
        lengths = np.concatenate([rows.lengths for rows in self._pending])
        return {
            KEYS: np.concatenate([rows.keys for rows in self._pending]),
            VALUES: np.concatenate([rows.values for rows in self._pending]).astype(VALUE_DTYPE, copy=False),
            OFFSETS: np.concatenate([[0], np.cumsum(lengths)]).astype(OFFSET_DTYPE, copy=False),
            DOCUMENT_SOURCES: np.concatenate([rows.sources for rows in self._pending]).astype(SOURCE_DTYPE, copy=False),
            DOCUMENT_LINES: np.concatenate([rows.lines for rows in self._pending]).astype(LINE_DTYPE, copy=False),
        }

    def _account(self, part: Part) -> None:
        self.parts += 1
        self.rows += len(part[VALUES])
        self.documents += len(part[DOCUMENT_SOURCES])
        self._content.update(part)
        tokens, counts = np.unique(part[VALUES].astype(np.int64), return_counts=True)
        self._counts.update(dict(zip(tokens.tolist(), counts.tolist(), strict=True)))
        lengths = np.diff(part[OFFSETS].astype(np.int64))
        sources = part[DOCUMENT_SOURCES].astype(np.int64)
        for source in np.unique(sources):
            documents, rows = self._per_source.get(int(source), (0, 0))
            of_it = sources == source
            self._per_source[int(source)] = (documents + int(of_it.sum()), rows + int(lengths[of_it].sum()))

    def sha256(self) -> dict[str, str]:
        """Content hashes of what was written so far."""
        return self._content.digests()

    def sources(self, all_sources: tuple[SourceInfo, ...]) -> tuple[SourceInfo, ...]:
        """Those of the sources that gave documents to this segment, with their counts."""
        return tuple(
            SourceInfo(source.index, source.name, source.sha256, source.size_bytes, *self._per_source[source.index])
            for source in all_sources
            if source.index in self._per_source
        )

    def frequent_tokens(self, decode: Callable[[int], str], count: int = 64) -> dict[str, str]:
        """Text of the most frequent values, by id."""
        top = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))[:count]
        return {str(token): decode(token) for token, _ in top}
