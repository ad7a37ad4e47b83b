"""Checks of stored arrays and descriptions: each yields what is wrong, and goes on as far as reading goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.buffer import default_buffer_prototype

from goodctl.datastore.awaiting import awaited
from goodctl.datastore.content import ContentHash, Part, array_sha256
from goodctl.datastore.description import SegmentInfo
from goodctl.datastore.format import (
    ARRAYS,
    DOCUMENT_LINES,
    DOCUMENT_SOURCES,
    KEYS,
    LINE_DTYPE,
    OFFSET_DTYPE,
    OFFSETS,
    SOURCE_DTYPE,
    VALUE_DTYPE,
    VALUES,
    Header,
)
from goodctl.datastore.parts import StoredPart
from goodctl.errors import DamagedError, GoodctlError


@dataclass(frozen=True)
class Problem:
    """Something that is not as it should be.

    Attributes:
        kind: ``file``, ``description``, ``array``, ``rows``, ``codec``, ``codes``, ``version`` or ``cache``.
        where: File or path in the store.
        what: What is wrong, as the rest of a sentence.
        segment: Id of the segment that it is in, or None.
        snapshot: Id of the version that it was found in, or None where it is of no single one.
    """

    kind: str
    where: str
    what: str
    segment: str | None = None
    snapshot: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass
class SegmentCheck:
    """Checks one segment part by part.

    Attributes:
        header: Of the store.
        info: Description of the segment; None while it is being written.
        bytes_read: So far.
    """

    header: Header
    info: SegmentInfo | None
    bytes_read: int = 0

    def __post_init__(self) -> None:
        self._content = ContentHash()
        self._rows = self._documents = self._parts = 0
        self._per_source: dict[int, list[int]] = {}
        self._readable = True

    def part(self, part: StoredPart) -> Iterator[tuple[str, str]]:
        """Check one part: where and what is wrong."""
        self._parts += 1
        where = part.group.path
        dtypes = {
            KEYS: np.dtype(self.header.key_dtype),
            VALUES: VALUE_DTYPE,
            OFFSETS: OFFSET_DTYPE,
            DOCUMENT_SOURCES: SOURCE_DTYPE,
            DOCUMENT_LINES: LINE_DTYPE,
        }
        arrays: Part = {}
        for name in ARRAYS:
            try:
                array = part.read(name)
                _check_padding(part.group[name], name)
            except GoodctlError as error:
                yield f"{where}/{name}", error.message
                continue
            except (KeyError, ValueError, TypeError) as error:
                yield f"{where}/{name}", f"cannot be read: {error}"
                continue
            self.bytes_read += array.nbytes
            shape = (part.rows, self.header.dimension) if name == KEYS else array.shape[:1]
            if array.dtype != dtypes[name] or array.shape != shape:
                yield f"{where}/{name}", f"is {array.dtype} {array.shape}, not {dtypes[name]} {shape}"
                continue
            if array_sha256(array) != part.sha256.get(name):
                yield f"{where}/{name}", "is not what was written: its SHA-256 differs"
            arrays[name] = array
        if len(arrays) < len(ARRAYS):
            self._readable = False
            return
        yield from ((where, what) for what in self._contents(arrays, part))
        self._account(arrays)

    def _contents(self, arrays: Part, part: StoredPart) -> Iterator[str]:
        offsets = arrays[OFFSETS].astype(OFFSET_DTYPE)
        if part.documents < 1 or part.rows < 1:
            yield f"has {part.documents} documents and {part.rows} rows"
        if offsets[0] != 0 or offsets[-1] != part.rows or (np.diff(offsets) <= 0).any():
            yield f"has offsets that do not ascend from 0 to {part.rows}"
        values = arrays[VALUES].astype(np.int64)
        if len(values) and (values.min() < 0 or values.max() >= self.header.vocabulary):
            bad = int(((values < 0) | (values >= self.header.vocabulary)).sum())
            yield f"has {bad} values outside the vocabulary of {self.header.vocabulary:,}"
        if bad := _not_finite(arrays[KEYS]):
            yield f"has {bad} keys that are not finite"
        if (arrays[DOCUMENT_LINES].astype(np.int64) < 1).any():
            yield "has lines below 1"
        if self.info is not None:
            known = [source.index for source in self.info.sources]
            if not np.isin(arrays[DOCUMENT_SOURCES], known).all():
                yield "has documents of sources that the segment does not describe"

    def _account(self, arrays: Part) -> None:
        self._content.update(arrays)
        self._rows += len(arrays[VALUES])
        self._documents += len(arrays[DOCUMENT_SOURCES])
        lengths = np.diff(arrays[OFFSETS].astype(OFFSET_DTYPE))
        for source, rows in zip(arrays[DOCUMENT_SOURCES].tolist(), lengths.tolist(), strict=True):
            entry = self._per_source.setdefault(source, [0, 0])
            entry[0] += 1
            entry[1] += rows

    def whole(self) -> Iterator[str]:
        """What is wrong with the segment as a whole, once all its parts were checked."""
        info = self.info
        if info is None or not self._readable:
            return
        counted = {"parts": self._parts, "rows": self._rows, "documents": self._documents}
        for name, count in counted.items():
            if count != getattr(info, name):
                yield f"has {count:,} {name}, {getattr(info, name):,} were recorded"
        for name, digest in self._content.digests().items():
            if info.sha256.get(name) != digest:
                yield f"has {name} whose SHA-256 over all parts is not the recorded one"
        for source in info.sources:
            if self._per_source.get(source.index) != [source.documents, source.rows]:
                yield f"has other counts of source {source.name} than were recorded"


def _not_finite(keys: npt.NDArray[Any], block: int = 65_536) -> int:
    """How many keys have a component that is not finite."""
    return sum(
        int((~np.isfinite(keys[start : start + block]).all(axis=1)).sum()) for start in range(0, len(keys), block)
    )


def _check_padding(array: Any, name: str) -> None:
    """Check what zarr does not look at: the bytes of the last chunk behind the end of an uncompressed array.

    Raises:
        DamagedError: They are not zero.
    """
    if not isinstance(array, zarr.Array) or not array.shape[0] or array.compressors:
        return
    length = array.chunks[0]
    used = array.shape[0] % length
    if not used:
        return
    place = f"{array.path}/c/{array.shape[0] // length}" + "/0" * (array.ndim - 1)
    chunk = awaited(array.store.get(place, default_buffer_prototype()))
    row_bytes = array.dtype.itemsize * int(np.prod(array.shape[1:]))
    if chunk is not None and np.asarray(chunk.as_numpy_array()[used * row_bytes :]).any():
        raise DamagedError(f"{name} has a chunk with other bytes than zero behind its end.")


def check_array_padding(array: Any) -> str | None:
    """What is wrong behind the end of an uncompressed array, such as codes; None where nothing is."""
    try:
        _check_padding(array, "it")
    except DamagedError as error:
        return error.message
    return None
