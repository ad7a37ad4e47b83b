"""A simple model of a store's history: versions as plain segments of plain documents, and the names of versions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from goodctl.datastore.segments import Rows
from goodctl.datastore.store import Datastore
from tests.datastore.contents import SOURCES

HASHES = {source.name: source.sha256 for source in SOURCES}
"""Hash of each source, by name."""


@dataclass(frozen=True)
class Document:
    """One document."""

    source: str
    line: int
    keys: bytes
    values: tuple[int, ...]


@dataclass(frozen=True)
class Segment:
    """One segment."""

    language: str
    label: str | None
    documents: tuple[Document, ...]

    @property
    def content(self) -> object:
        """What makes a segment a duplicate of another."""
        rows = tuple(replace(document, source="") for document in self.documents)
        return rows, frozenset(HASHES[document.source] for document in self.documents)


Version = tuple[Segment, ...]
Batch = tuple[str, Rows]


def cut(rows: Rows, sources: dict[int, str]) -> tuple[Document, ...]:
    """Rows as documents."""
    starts = np.concatenate([[0], np.cumsum(rows.lengths)]).tolist()
    return tuple(
        Document(
            sources[int(source)], int(line), rows.keys[start:stop].tobytes(), tuple(rows.values[start:stop].tolist())
        )
        for source, line, (start, stop) in zip(rows.sources, rows.lines, itertools.pairwise(starts), strict=True)
    )


def read(reference: str) -> Version:
    """What is stored as a version."""
    opened = Datastore.open(reference)
    found = []
    for segment in opened.segments:
        names = {source.index: source.name for source in segment.sources}
        documents: list[Document] = []
        for part in opened.parts(segment):
            arrays: dict[str, Any] = part.read_all()
            lengths, sources, lines = np.diff(arrays["offsets"]), arrays["document_sources"], arrays["document_lines"]
            documents += cut(Rows(arrays["keys"], arrays["values"], lengths, sources, lines), names)
        found.append(Segment(segment.language, segment.label, tuple(documents)))
    return tuple(found)


def written(batches: Sequence[Batch], label: str | None) -> Version:
    """The segments that a writer makes of batches: one a language, in the order in which they come first."""
    by_language: dict[str, tuple[Document, ...]] = {}
    for language, rows in batches:
        by_language[language] = by_language.get(language, ()) + cut(rows, {s.index: s.name for s in SOURCES})
    return tuple(Segment(language, label, documents) for language, documents in by_language.items())


def without(version: Version, goes: Callable[[Segment, Document], bool]) -> Version:
    """A version without some documents; segments that have none left go."""
    left = [
        replace(segment, documents=tuple(document for document in segment.documents if not goes(segment, document)))
        for segment in version
    ]
    return tuple(segment for segment in left if segment.documents)


def joined(segments: Sequence[Segment]) -> Version:
    """Neighbours of a kind put together."""
    kinds = itertools.groupby(segments, key=lambda segment: (segment.language, segment.label))
    return tuple(
        Segment(*kind, tuple(document for segment in group for document in segment.documents)) for kind, group in kinds
    )


def brought_together(segments: Version) -> Version:
    """Segments of a kind beside one another, kinds in the order in which they come first."""
    kinds = list(dict.fromkeys((segment.language, segment.label) for segment in segments))
    return tuple(sorted(segments, key=lambda segment: kinds.index((segment.language, segment.label))))


def merged(there: Version, inputs: Sequence[Version], *, keep_duplicates: bool) -> Version:
    """Segments of several versions after those that are there."""
    seen, result = {segment.content for segment in there}, list(there)
    for version in inputs:
        result += [segment for segment in version if keep_duplicates or segment.content not in seen]
        seen |= {segment.content for segment in version}
    return tuple(result)


@dataclass
class Pending:
    """A write that was interrupted, with what it had kept."""

    label: str | None
    kept: list[Batch]
    lost: list[Batch]
    state: dict[str, int]


@dataclass
class Model:
    """What a store should hold.

    Attributes:
        versions: Content by snapshot.
        before: The version before each in time; None for the first.
        branches: Branch to snapshot.
        tags: Tag to snapshot.
        used: Names of tags that were deleted.
        pending: Interrupted writes, by job.
    """

    versions: dict[str, Version] = field(default_factory=dict)
    before: dict[str, str | None] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    pending: dict[str, Pending] = field(default_factory=dict)

    def history(self, snapshot: str | None) -> list[str]:
        """A version and those before it."""
        found = []
        while snapshot is not None:
            found.append(snapshot)
            snapshot = self.before[snapshot]
        return found

    def readable(self) -> list[str]:
        """The versions that a branch or tag leads to, oldest first."""
        reached = {each for start in [*self.branches.values(), *self.tags.values()] for each in self.history(start)}
        return [each for each in self.versions if each in reached]

    def commit(self, branch: str, snapshot: str, content: Version) -> None:
        """A new version of a branch."""
        assert snapshot not in self.versions
        self.before[snapshot] = self.branches.get(branch)
        self.versions[snapshot], self.branches[branch] = content, snapshot


def flat(version: Version) -> list[tuple[str, str | None, Document]]:
    return [(segment.language, segment.label, document) for segment in version for document in segment.documents]


def property_of(document: tuple[str, str | None, Document], by: str) -> str | None:
    return {"language": document[0], "label": document[1], "source": document[2].source}[by]
