"""Where a row came from: language, source, line, and the tokens before it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from goodctl.datastore.format import DOCUMENT_LINES, DOCUMENT_SOURCES, OFFSETS
from goodctl.datastore.parts import StoredPart
from goodctl.index.search import Searcher


@dataclass(frozen=True)
class Origin:
    """Where a row came from.

    Attributes:
        row: Its number in the search.
        store: The store as it was named.
        language: Of its segment.
        label: Of its segment, or None.
        source: File or dataset of its document.
        line: Line or record of its document in the source, from 1.
        before: (n,) int32 values of the rows before it in its document, the nearest last: the text that its key has
            read, without the document's first token.
    """

    row: int
    store: str
    language: str
    label: str | None
    source: str
    line: int
    before: npt.NDArray[np.int32]


@dataclass
class Locator:
    """Finds where rows of a search came from; what it has read of a part it keeps.

    Attributes:
        searcher: Whose rows are asked for.
    """

    searcher: Searcher
    _parts: dict[int, list[tuple[int, StoredPart]]] = field(default_factory=dict)
    _documents: dict[tuple[int, int], dict[str, npt.NDArray[Any]]] = field(default_factory=dict)

    def origin(self, row: int, tokens: int) -> Origin:
        """Where a row came from, with at most so many tokens before it."""
        number = bisect_right(self.searcher.first_rows, row) - 1
        segment, first = self.searcher.segments[number], self.searcher.first_rows[number]
        begin, part = self._part(number, row - first)
        inside = row - first - begin
        documents = self._read(number, begin, part)
        document = int(np.searchsorted(documents[OFFSETS], inside, side="right")) - 1
        start = max(int(documents[OFFSETS][document]), inside - tokens)
        sources = {source.index: source.name for source in segment.info.sources}
        return Origin(
            row=row,
            store=segment.store.location,
            language=segment.info.language,
            label=segment.info.label,
            source=sources.get(int(documents[DOCUMENT_SOURCES][document]), "?"),
            line=int(documents[DOCUMENT_LINES][document]),
            before=np.asarray(self.searcher.values[first + begin + start : row]),
        )

    def _part(self, number: int, row: int) -> tuple[int, StoredPart]:
        """The part of a segment that holds a row, and the row at which it begins."""
        if number not in self._parts:
            begin, parts = 0, []
            for part in self.searcher.segments[number].parts():
                parts.append((begin, part))
                begin += part.rows
            self._parts[number] = parts
        parts = self._parts[number]
        return parts[bisect_right([begin for begin, _ in parts], row) - 1]

    def _read(self, number: int, begin: int, part: StoredPart) -> dict[str, npt.NDArray[Any]]:
        if (number, begin) not in self._documents:
            names = (OFFSETS, DOCUMENT_SOURCES, DOCUMENT_LINES)
            self._documents[number, begin] = {name: part.read(name) for name in names}
        return self._documents[number, begin]
