"""Where a store is cut into shards: which documents of which segment go to which shard."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from goodctl.datastore.description import SegmentInfo
from goodctl.datastore.format import DOCUMENT_SOURCES, OFFSETS
from goodctl.datastore.properties import BY
from goodctl.datastore.store import Datastore
from goodctl.datastore.takes import Take
from goodctl.errors import DamagedError, UsageError

UNLABELLED = "unlabelled"


@dataclass
class Shard:
    """One shard, before it is written.

    Attributes:
        name: Of its folder.
        pieces: Segments in order, each with the documents that the shard gets; None for the whole segment.
    """

    name: str
    pieces: list[tuple[SegmentInfo, list[Take] | None]] = field(default_factory=list)


def by_property(store: Datastore, by: str) -> list[Shard]:
    """One shard for each language, label or source, in the order in which they come first.

    Args:
        store: Open version.
        by: ``language``, ``label`` or ``source``.

    Raises:
        UsageError: There is no such property.
        DamagedError: A segment does not say where all its documents come from.
    """
    if by not in BY:
        raise UsageError(f"--by {by}: there is no such property.", hint=f"Use {', '.join(BY)}.")
    shards: dict[str, Shard] = {}
    names: set[str] = set()

    def shard_of(value: str) -> Shard:
        if value not in shards:
            shards[value] = Shard(_folder_name(value, names))
        return shards[value]

    for segment in store.segments:
        if by != "source":
            value = segment.language if by == "language" else (segment.label or UNLABELLED)
            shard_of(value).pieces.append((segment, None))
        elif sum(source.documents for source in segment.sources) != segment.documents:
            raise DamagedError(
                f"{store.location}: segment {segment.id[:8]} has documents of sources that it does not describe.",
                hint=f"See what is damaged: goodctl datastore verify {store.location}",
            )
        elif len(segment.sources) == 1:
            shard_of(segment.sources[0].name).pieces.append((segment, None))
        else:
            order = _order_of_sources(store, segment)
            for source in sorted(segment.sources, key=lambda each: order.get(each.index, len(order))):
                takes = _of_source(store, segment, source.index)
                shard_of(source.name).pieces.append((segment, takes))
    return list(shards.values())


def _order_of_sources(store: Datastore, segment: SegmentInfo) -> dict[int, int]:
    """Source's index to its place by the first document of each."""
    found: dict[int, int] = {}
    for part in store.parts(segment):
        sources, first = np.unique(part.read(DOCUMENT_SOURCES), return_index=True)
        for index in sources[np.argsort(first)].tolist():
            found.setdefault(index, len(found))
    return found


def _of_source(store: Datastore, segment: SegmentInfo, index: int) -> list[Take]:
    takes = []
    for part in store.parts(segment):
        documents = part.read(DOCUMENT_SOURCES) == index
        if documents.any():
            takes.append(Take(part, None if documents.all() else documents))
    return takes


def _folder_name(value: str, taken: set[str]) -> str:
    """A name that any file system takes, in one folder with the others."""
    plain = re.sub(r"[^\w.-]+", "-", value.replace("\\", "/").rpartition("/")[2]).strip("-.")[:80] or "shard"
    name, number = plain, 1
    while name.casefold() in taken:
        number += 1
        name = f"{plain}-{number}"
    taken.add(name.casefold())
    return name


def by_rows(store: Datastore, count: int) -> list[Shard]:
    """Shards of about as many rows each, in row order; cuts fall between documents.

    Args:
        store: Open version.
        count: How many.

    Raises:
        UsageError: Less than one, or more than the store has documents.
    """
    if not 1 <= count <= max(1, store.documents):
        raise UsageError(
            f"--shards {count}: {store.location} has {store.documents:,} documents, and none of them is divided.",
            hint="Ask for at least one shard, and for no more than there are documents.",
        )
    width = max(4, len(str(count)))
    shards = [Shard(f"{number:0{width}}-of-{count:0{width}}") for number in range(1, count + 1)]
    cuts = _cuts(store, count)
    first = 0  # document of the store with which the segment begins
    for segment in store.segments:
        last = first + segment.documents
        for shard, start, stop in zip(shards, cuts[:-1], cuts[1:], strict=True):
            low, high = max(start, first), min(stop, last)
            if low < high:
                whole = low == first and high == last
                takes = None if whole else _range(store, segment, low - first, high - first)
                shard.pieces.append((segment, takes))
        first = last
    return shards


def _range(store: Datastore, segment: SegmentInfo, start: int, stop: int) -> list[Take]:
    """Documents ``start`` to ``stop`` of a segment."""
    takes, first = [], 0
    for part in store.parts(segment):
        low, high = max(start, first) - first, min(stop, first + part.documents) - first
        if low < high:
            documents = np.zeros(part.documents, bool)
            documents[low:high] = True
            takes.append(Take(part, None if high - low == part.documents else documents))
        first += part.documents
    return takes


def _cuts(store: Datastore, count: int) -> list[int]:
    """Documents of the store at which the shards begin, and where the last one ends: ``count`` + 1, ascending."""
    documents = store.documents
    cuts = [0]
    for number in range(1, count):
        near = _document_at(store, round(number * store.rows / count))
        cuts.append(min(max(near, cuts[-1] + 1), documents - (count - number)))
    return [*cuts, documents]


def _document_at(store: Datastore, row: int) -> int:
    """The document that begins nearest to a row."""
    first_row = first_document = 0
    for segment in store.segments:
        if row > first_row + segment.rows:
            first_row, first_document = first_row + segment.rows, first_document + segment.documents
            continue
        for part in store.parts(segment):
            if row <= first_row + part.rows:
                offsets: npt.NDArray[np.int64] = part.read(OFFSETS).astype(np.int64)
                return first_document + int(np.abs(offsets + first_row - row).argmin())
            first_row, first_document = first_row + part.rows, first_document + part.documents
    return first_document
