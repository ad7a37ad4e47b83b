"""Putting segments together from documents of others: which documents of which part, and how they are written anew."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import zarr

from goodctl.datastore.codes import CodecInfo, read_codes, write_codes
from goodctl.datastore.content import Part
from goodctl.datastore.copying import Moved, copy_parts
from goodctl.datastore.description import Origin, SegmentInfo, SourceInfo
from goodctl.datastore.format import DOCUMENT_LINES, DOCUMENT_SOURCES, KEYS, OFFSET_DTYPE, OFFSETS, SOURCE_DTYPE, VALUES
from goodctl.datastore.parts import StoredPart, write_part
from goodctl.datastore.segments import SegmentBuffer

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Take:
    """Documents of one part.

    Attributes:
        part: Where they are.
        documents: (m,) bool, which of the part's documents; None for all of them.
        sources: New index of each source of theirs; None where they keep their own.
    """

    part: StoredPart
    documents: Mask | None = None
    sources: Mapping[int, int] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the part can be copied as it is."""
        return self.documents is None and (self.sources is None or all(a == b for a, b in self.sources.items()))

    def row_mask(self, offsets: npt.NDArray[np.int64]) -> Mask:
        """(n,) bool: which rows belong to the documents."""
        assert self.documents is not None
        return np.repeat(self.documents, np.diff(offsets))

    def read(self) -> Part:
        """The documents as a part of their own, compared with the recorded hashes: they are about to get new ones.

        Raises:
            DamagedError: The part is not what was written.
        """
        part = replace(self.part, checked=True).read_all()
        if self.documents is not None:
            rows = self.row_mask(part[OFFSETS].astype(OFFSET_DTYPE))
            lengths = np.diff(part[OFFSETS].astype(OFFSET_DTYPE))[self.documents]
            part = {
                KEYS: part[KEYS][rows],
                VALUES: part[VALUES][rows],
                OFFSETS: np.concatenate([[0], np.cumsum(lengths)]).astype(OFFSET_DTYPE),
                DOCUMENT_SOURCES: part[DOCUMENT_SOURCES][self.documents],
                DOCUMENT_LINES: part[DOCUMENT_LINES][self.documents],
            }
        if self.sources is not None:
            renamed = [self.sources[int(source)] for source in part[DOCUMENT_SOURCES].astype(int)]
            part[DOCUMENT_SOURCES] = np.asarray(renamed, dtype=SOURCE_DTYPE)
        return part

    def read_codes(self, codec: CodecInfo) -> npt.NDArray[np.uint8]:
        """(n, code_size) uint8: codes of the documents' rows."""
        codes = read_codes(self.part, codec)
        if self.documents is None:
            return codes
        return codes[self.row_mask(self.part.read(OFFSETS).astype(OFFSET_DTYPE))]


def joined(takes: Iterable[Take], most_rows: int) -> Iterator[list[Take]]:
    """Neighbouring takes that become one part: as many as stay within ``most_rows`` together."""
    together: list[Take] = []
    rows = 0
    for take in takes:
        if together and rows + take.part.rows > most_rows:
            yield together
            together, rows = [], 0
        together.append(take)
        rows += take.part.rows
    if together:
        yield together


def write_takes(
    target: zarr.Group, groups: Iterable[Sequence[Take]], codec: CodecInfo | None, moved: Moved, *, first: int = 0
) -> None:
    """Write each group of takes as one part of a segment.

    Args:
        target: Group of the segment, in a session.
        groups: Takes; a group of one whole part is copied as it is.
        codec: That of the rows' codes, where they have any.
        moved: Is told of bytes.
        first: Number of the first part.
    """
    for number, group in enumerate(groups, first):
        if len(group) == 1 and group[0].is_whole:
            copy_parts([(group[0].part, number)], target, codec=codec.id if codec else None, moved=moved)
            continue
        part = _concatenated([take.read() for take in group])
        moved(write_part(target, number, part))
        if codec:
            written = target[f"parts/{number:06d}"]
            assert isinstance(written, zarr.Group)
            write_codes(written, codec.id, np.concatenate([take.read_codes(codec) for take in group]))


def _concatenated(parts: Sequence[Part]) -> Part:
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *(len(part[VALUES]) for part in parts)])
    ends = [part[OFFSETS][1:].astype(OFFSET_DTYPE) + start for part, start in zip(parts, starts, strict=False)]
    together = {name: np.concatenate([part[name] for part in parts]) for name in parts[0] if name != OFFSETS}
    together[OFFSETS] = np.concatenate([np.zeros(1, OFFSET_DTYPE), *ends]).astype(OFFSET_DTYPE)
    return together


def recounted(
    info: SegmentInfo,
    group: zarr.Group,
    location: str,
    *,
    sources: Sequence[SourceInfo],
    origins: tuple[Origin, ...],
    texts: Mapping[str, str],
) -> SegmentInfo:
    """The description of a segment whose parts were just written, counted and hashed by reading them.

    Each part is compared with its own hashes: some were copied as they lay.

    Args:
        info: What the description is made from: id, order, language and so on are kept.
        group: The segment's group, in the session.
        location: Name of the store, for messages.
        sources: Those that its documents may come from.
        origins: Segments that its documents come from; those none of whose sources has a document left are left out.
        texts: Texts of tokens, by id.
    """
    buffer = SegmentBuffer(info.id, info.language)
    buffer.resume(group, location)
    frequent = buffer.frequent_tokens(lambda token: texts.get(str(token), ""))
    left = buffer.sources(tuple(sources))
    hashes = {source.sha256 for source in left}
    return replace(
        info,
        rows=buffer.rows,
        documents=buffer.documents,
        parts=buffer.parts,
        sources=left,
        sha256=buffer.sha256(),
        tokens={token: text for token, text in frequent.items() if token in texts},
        origins=tuple(origin for origin in origins if hashes & set(origin.sources)),
    )


def derived_id(taken: Callable[[str], bool], *parts: str) -> str:
    """A name for a segment that is made from others: the same for the same parts, unless it is taken already."""
    number = 0
    while True:
        name = hashlib.sha256("\0".join([*parts, str(number)]).encode()).hexdigest()[:16]
        if not taken(name):
            return name
        number += 1
