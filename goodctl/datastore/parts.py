"""Parts of a segment in Zarr: writing one, reading one, copying them between versions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from goodctl.datastore.content import Part, array_sha256
from goodctl.datastore.format import ARRAYS, KEYS, OFFSETS, VALUES, chunk_rows
from goodctl.datastore.repository import damaged_metadata, translated_errors
from goodctl.errors import DamagedError

LARGEST_ARRAY_BYTES = 16 * 2**30
"""A part aims at 64 MiB, and is larger only by one document; a stored size beyond this is damage."""
LARGEST_CHUNK_BYTES = 2 * 2**30
"""The same for a chunk, which aims at 16 MiB."""

SEGMENTS = "segments"
CODECS = "codecs"
PARTS = "parts"


def segment_group(root: zarr.Group, segment: str) -> zarr.Group:
    """The group of a segment, created with its parents where it is missing."""
    return root.require_group(f"{SEGMENTS}/{segment}")


def part_names(segment: zarr.Group) -> list[str]:
    """Names of a segment's parts in row order."""
    if PARTS not in segment:
        return []
    return sorted(_group(segment, PARTS).group_keys())


def _group(parent: zarr.Group, name: str) -> zarr.Group:
    child = parent[name]
    if not isinstance(child, zarr.Group):
        raise DamagedError(f"{parent.name}/{name} is an array, not a group.")
    return child


def _array(parent: zarr.Group, name: str) -> zarr.Array[Any]:
    child = parent.get(name)
    if not isinstance(child, zarr.Array):
        raise DamagedError(f"The array {parent.name}/{name} is missing.")
    return child


def check_size(array: zarr.Array[Any], where: str) -> None:
    """Check that an array is of a size that a writer makes, before memory is taken for it.

    Raises:
        DamagedError: It is not.
    """
    row_bytes = array.dtype.itemsize * int(np.prod(array.shape[1:], dtype=object))
    for what, size, most in (
        ("", array.shape[0] * row_bytes, LARGEST_ARRAY_BYTES),
        ("chunks of ", array.chunks[0] * row_bytes, LARGEST_CHUNK_BYTES),
    ):
        if size > most:
            raise DamagedError(
                f"{where} claims {what}{size:,} bytes; nothing is read of it.",
                hint=f"See what else is damaged: goodctl datastore verify {where.partition('/segments/')[0]}",
            )


def write_part(segment: zarr.Group, number: int, part: Part) -> int:
    """Write one part.

    Keys are stored raw: hidden states in float16 hardly compress, and raw chunks can be memory-mapped. Everything else
    is small and compressed with Zstandard, with a checksum: a frame has bits that no decoder looks at.

    Args:
        segment: The segment's group, in a session.
        number: Position of the part in the segment.
        part: Arrays by name; see ``content.Part``.

    Returns:
        Bytes of the arrays, uncompressed.
    """
    rows, documents = len(part[VALUES]), len(part[OFFSETS]) - 1
    attributes = {"rows": rows, "documents": documents, "sha256": {name: array_sha256(part[name]) for name in ARRAYS}}
    group = segment.create_group(f"{PARTS}/{number:06d}", attributes=attributes)
    for name in ARRAYS:
        array = part[name]
        length = chunk_rows(len(array), array.dtype.itemsize * int(np.prod(array.shape[1:])))
        stored = group.create_array(
            name,
            shape=array.shape,
            chunks=(length, *array.shape[1:]),
            dtype=array.dtype,
            filters=None,
            compressors=None if name == KEYS else (ZstdCodec(level=3), Crc32cCodec()),
        )
        stored[:] = array
    return sum(array.nbytes for array in part.values())


@dataclass(frozen=True)
class StoredPart:
    """One part as stored; arrays are read on demand.

    Attributes:
        rows: Rows in it.
        documents: Documents in it.
        sha256: Hash of each array, by name.
        checked: Whether arrays are compared with it whenever they are read.
    """

    group: zarr.Group
    location: str
    rows: int
    documents: int
    sha256: dict[str, str]
    checked: bool = False

    def read(self, name: str, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """Elements ``start`` to ``stop`` of one array.

        Raises:
            DamagedError: The array is missing, has another length than recorded, or its bytes cannot be read.
        """
        where = f"{self.location}{self.group.name}/{name}"
        with translated_errors(where, "read"):
            with damaged_metadata(self.location):
                array = _array(self.group, name)
            expected = {KEYS: self.rows, VALUES: self.rows, OFFSETS: self.documents + 1}.get(name, self.documents)
            if array.shape[0] != expected:
                raise DamagedError(f"{where} has {array.shape[0]} elements, {expected} were recorded.")
            check_size(array, where)
            try:
                if self.checked:
                    return self._checked(np.asarray(array[:]), name, where)[start:stop]
                return np.asarray(array[start : array.shape[0] if stop is None else stop])
            except (ValueError, RuntimeError, TypeError) as error:  # what decoders raise on bytes they cannot read
                raise DamagedError(f"{where} cannot be decoded: {error}.") from error

    def _checked(self, array: npt.NDArray[Any], name: str, where: str) -> npt.NDArray[Any]:
        if array_sha256(array) != self.sha256.get(name):
            raise DamagedError(
                f"{where} is not what was written: its SHA-256 differs.",
                hint=f"See what else is damaged: goodctl datastore verify {self.location}",
            )
        return array

    def read_all(self) -> Part:
        """Every array of the part, by name."""
        return {name: self.read(name) for name in ARRAYS}


def stored_parts(segment: zarr.Group, location: str, *, checked: bool = False) -> Iterator[StoredPart]:
    """The parts of a segment in row order.

    Args:
        segment: The segment's group.
        location: Name of the store, for messages.
        checked: Whether arrays are compared with their hashes whenever they are read.

    Raises:
        DamagedError: A part lacks its description.
    """
    with damaged_metadata(location):
        names = part_names(segment)
    for name in names:
        with damaged_metadata(location):
            group = _group(segment, f"{PARTS}/{name}")
            attributes: dict[str, Any] = dict(group.attrs)
        try:
            counts = attributes["rows"], attributes["documents"]
            yield StoredPart(group, location, *counts, attributes["sha256"], checked)
        except KeyError as error:
            raise DamagedError(f"{location}{group.name} has no {error} in its description.") from error


def copy_segment(source: zarr.Group, target: zarr.Group, location: str) -> None:
    """Copy a segment's attributes and parts, one part in memory at a time.

    Raises:
        DamagedError: A part is not what was written; written anew, it would seem to be.
    """
    target.attrs.update(dict(source.attrs))
    for number, part in enumerate(stored_parts(source, location, checked=True)):
        write_part(target, number, part.read_all())
