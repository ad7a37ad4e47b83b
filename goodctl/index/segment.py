"""One segment of a store as it is searched: flat keys, values and inverted lists, from the cache."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from goodctl.datastore.codes import read_codes
from goodctl.datastore.description import SegmentInfo
from goodctl.datastore.format import KEYS, VALUE_DTYPE, VALUES
from goodctl.datastore.parts import StoredPart
from goodctl.datastore.store import Datastore
from goodctl.errors import DamagedError
from goodctl.index.cache import Cache, Sink
from goodctl.index.codec import Codec
from goodctl.index.kinds import ROW_BYTES
from goodctl.index.library import library

BATCH_BYTES = 2**30
"""Codes that are sorted at a time when lists are put together."""
GATHER_ROWS = 32_768
ROW_DTYPE = np.dtype("<i4")
"""Of row numbers within a segment, which has at most 2**31 rows."""


@dataclass
class Segment:
    """A segment of an open store.

    Attributes:
        store: The store's version.
        info: The segment's description.
        cache: Where its flat files are.
    """

    store: Datastore
    info: SegmentInfo
    cache: Cache
    _lists: dict[str, Lists] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Its rows."""
        return self.info.rows

    def keys(self) -> npt.NDArray[np.floating]:
        """All keys (n, D) in the store's key dtype, mapped from the flat file and not read."""
        header = self.store.header
        dtype = np.dtype(header.key_dtype).newbyteorder("<")
        path, _ = self.cache.file(
            f"keys-{self.info.sha256[KEYS]}",
            self._flat(KEYS, dtype),
            self.rows * header.dimension * dtype.itemsize,
            exactly=True,
            sha256=self.info.sha256[KEYS],
        )
        # Copy on write: torch wants an array that may be written.
        return np.memmap(path, dtype, mode="c", shape=(self.rows, header.dimension))

    def values(self) -> npt.NDArray[np.int32]:
        """All values (n,) int32, mapped from the flat file."""
        path, _ = self.cache.file(
            f"values-{self.info.sha256[VALUES]}",
            self._flat(VALUES, VALUE_DTYPE),
            self.rows * VALUE_DTYPE.itemsize,
            exactly=True,
            sha256=self.info.sha256[VALUES],
        )
        return np.memmap(path, VALUE_DTYPE, mode="r", shape=(self.rows,))

    def _flat(self, name: str, dtype: np.dtype[Any]) -> Any:
        def make(file: Sink) -> dict[str, Any]:
            rows = 0
            for part in self.store.parts(self.info):
                array = part.read(name).astype(dtype, copy=False)
                rows += len(array)
                if name == VALUES and len(array) and not 0 <= array.min() <= array.max() < self.store.header.vocabulary:
                    raise DamagedError(
                        f"{part.location}{part.group.name}/{name} has token ids outside the vocabulary.",
                        hint=f"Read an earlier version: goodctl datastore log {self.store.location}",
                    )
                file.write(np.ascontiguousarray(array).data)
            self._check_rows(rows)
            return {"rows": rows}

        return make

    def _check_rows(self, rows: int) -> None:
        if rows != self.rows:
            raise DamagedError(
                f"{self.store.location}: segment {self.info.id} has {rows:,} rows, {self.rows:,} were recorded.",
                hint=f"Read an earlier version: goodctl datastore log {self.store.location}",
            )

    def inverted_lists(self, codec: Codec) -> Lists:
        """The segment's codes as inverted lists, mapped from the flat file.

        Raises:
            DamagedError: The store's codes do not fit the codec.
        """
        if codec.info.id not in self._lists:
            lists = self._mapped(codec)
            if lists is None:  # a file from elsewhere: what is in it does not fit
                lists = self._mapped(codec)
            if lists is None:
                raise DamagedError(
                    f"{self.store.location}: the lists of segment {self.info.id} cannot be put together.",
                    hint=f"Make codec and codes anew: goodctl datastore index {self.store.location}",
                )
            self._lists[codec.info.id] = lists
        return self._lists[codec.info.id]

    def _mapped(self, codec: Codec) -> Lists | None:
        """The lists, or None where what the file says of itself is wrong; then it is deleted."""
        bare = self.rows * codec.bare_code_size
        path, about = self.cache.file(
            f"lists-{self.info.sha256[KEYS]}-{codec.info.id[:32]}",
            lambda file: self._assemble(file, codec),
            bare + -bare % 8 + self.rows * ROW_BYTES,
            exactly=True,
        )
        sizes = about.get("sizes") if isinstance(about, dict) else None
        if not isinstance(sizes, list) or not all(type(size) is int and 0 <= size <= self.rows for size in sizes):
            sizes = []
        if len(sizes) == codec.lists and sum(sizes) == self.rows:
            lists = Lists.mapped(path, np.array(sizes, np.int64), codec)
            if int(lists.rows.min()) >= 0 and int(lists.rows.max()) < self.rows:
                return lists
        self.cache.discard(path)
        return None

    def codes(self, codec: Codec) -> npt.NDArray[np.uint8]:
        """All codes (n, code_size) uint8, for an index without lists."""
        path, _ = self.cache.file(
            f"codes-{self.info.sha256[KEYS]}-{codec.info.id[:32]}",
            lambda file: self._copy_codes(file, codec),
            self.rows * codec.info.code_size,
            exactly=True,
        )
        return np.memmap(path, np.uint8, mode="r", shape=(self.rows, codec.info.code_size))

    def _copy_codes(self, file: Sink, codec: Codec) -> dict[str, Any]:
        rows = 0
        for part in self.store.parts(self.info):
            file.write(read_codes(part, codec.info).data)
            rows += part.rows
        self._check_rows(rows)
        return {"rows": rows}

    def _assemble(self, file: Sink, codec: Codec) -> dict[str, Any]:
        """Write the codes list after list, in each by row; then the rows in the same order."""
        kept: list[npt.NDArray[np.uint8]] = []
        fits = self.rows * codec.info.code_size <= BATCH_BYTES
        of_row = np.empty(self.rows, np.uint32)
        for first, codes in self._stored_codes(codec):
            of_row[first : first + len(codes)] = codec.split(codes)[0]
            if fits:
                kept.append(codes)
        if len(of_row) and int(of_row.max()) >= codec.lists:
            raise DamagedError(
                f"{self.store.location}: segment {self.info.id} has codes of list {of_row.max()}; codec "
                f"{codec.info.id[:8]} has {codec.lists} lists.",
                hint=f"Make codec and codes anew: goodctl datastore index {self.store.location}",
            )
        sizes = np.bincount(of_row, minlength=codec.lists)
        # A stable sort of 16 bits is a radix sort.
        order = np.argsort(of_row.astype(np.uint16) if codec.lists <= 2**16 else of_row, kind="stable")
        if fits:
            codes = np.concatenate(kept) if kept else np.zeros((0, codec.info.code_size), np.uint8)
            kept.clear()
            for start in range(0, len(order), GATHER_ROWS):
                file.write(codec.split(codes[order[start : start + GATHER_ROWS]])[1].tobytes())
        else:
            self._write_in_passes(file, codec, of_row, sizes)
        file.write(bytes(-self.rows * codec.bare_code_size % 8))
        file.write(order.astype(ROW_DTYPE).data)
        return {"sizes": sizes.tolist()}

    def _write_in_passes(
        self, file: Sink, codec: Codec, of_row: npt.NDArray[np.uint32], sizes: npt.NDArray[np.int64]
    ) -> None:
        """Write the codes of as many lists at a time as fit into the memory, reading all codes each time."""
        batch = np.cumsum(sizes * codec.info.code_size) // BATCH_BYTES  # of each list
        for number in np.unique(batch):
            found, lists = [], []
            for first, codes in self._stored_codes(codec):
                of_part = of_row[first : first + len(codes)]
                chosen = batch[of_part] == number
                found.append(codec.split(codes[chosen])[1])
                lists.append(of_part[chosen])
            order = np.argsort(np.concatenate(lists), kind="stable")
            file.write(np.concatenate(found)[order].tobytes())

    def _stored_codes(self, codec: Codec) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
        """First row and codes of each part."""
        first = 0
        for part in self.store.parts(self.info):
            if first + part.rows <= self.rows:
                yield first, read_codes(part, codec.info)
            first += part.rows
        self._check_rows(first)

    def parts(self) -> Iterator[StoredPart]:
        """Its parts as stored."""
        return self.store.parts(self.info)


@dataclass(frozen=True)
class Lists:
    """Inverted lists of one segment.

    In a list, rows stand in ascending order: among equal distances a search keeps the first.

    Attributes:
        view: faiss's view of the codes. Its ids are not there: search it for pairs of list and place.
        sizes: (lists,) int64 rows of each list.
        rows: (n,) rows of the segment, list after list.
    """

    view: Any
    sizes: npt.NDArray[np.int64]
    rows: npt.NDArray[np.signedinteger[Any]]

    @classmethod
    def mapped(cls, path: Path, sizes: npt.NDArray[np.int64], codec: Codec) -> Lists:
        """Map a file of lists; nothing in it is deserialised, the places of lists follow from their sizes."""
        faiss = library()
        width, count = codec.bare_code_size, int(sizes.sum())
        table = np.zeros((codec.lists, 3), np.uint64)  # of each list: size, capacity, place in the file
        table[:, 0] = table[:, 1] = sizes
        table[:, 2] = np.concatenate([[0], np.cumsum(sizes * width)[:-1]])
        view = faiss.OnDiskInvertedLists()
        view.nlist, view.code_size = codec.lists, width
        view.filename, view.read_only, view.totsize = str(path), True, path.stat().st_size
        view.prefetch_nthread = 0  # its threads cost more than they gain on what lies in memory
        view.lists.resize(codec.lists)
        faiss.memcpy(view.lists.data(), faiss.swig_ptr(table.view(np.uint8).reshape(-1)), table.nbytes)
        view.do_mmap()
        begin = count * width + -count * width % 8
        return cls(view, sizes, np.memmap(path, ROW_DTYPE, mode="r", offset=begin, shape=(count,)))


def segments_of(store: Datastore, cache: Cache) -> list[Segment]:
    """The segments of a store that have rows, in order."""
    return [Segment(store, info, cache) for info in store.segments if info.rows]


def first_rows(segments: list[Segment]) -> list[int]:
    """The row number at which each segment begins, where they follow one another."""
    return list(itertools.accumulate((segment.rows for segment in segments), initial=0))[:-1]
