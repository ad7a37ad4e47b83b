"""Content hashes of a segment: the same rows give the same hashes, however they are divided into parts."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from goodctl.datastore.format import ARRAYS, DOCUMENT_LINES, DOCUMENT_SOURCES, KEYS, OFFSET_DTYPE, OFFSETS, VALUES

Part = dict[str, npt.NDArray[np.generic]]
"""A part's arrays by name: keys (n, D), values (n,), offsets (m+1,), document_sources (m,), document_lines (m,)."""


def array_sha256(array: npt.NDArray[np.generic]) -> str:
    """SHA-256 of an array's elements in C order and little-endian byte order, as hexadecimal digits."""
    return hashlib.sha256(_bytes(array)).hexdigest()


def _bytes(array: npt.NDArray[np.generic]) -> memoryview:
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return np.ascontiguousarray(little).data.cast("B") if array.size else memoryview(b"")


class ContentHash:
    """SHA-256 of each array of a segment, fed part by part.

    Offsets are hashed as the offsets of the whole segment: 0, then where each document ends.
    """

    def __init__(self) -> None:
        self._hashes = {name: hashlib.sha256() for name in ARRAYS}
        self._rows = 0
        self._hashes[OFFSETS].update(np.zeros(1, OFFSET_DTYPE).tobytes())

    def update(self, part: Part) -> None:
        """Add the next part."""
        for name in (KEYS, VALUES, DOCUMENT_SOURCES, DOCUMENT_LINES):
            self._hashes[name].update(_bytes(part[name]))
        ends = part[OFFSETS][1:].astype(OFFSET_DTYPE) + self._rows
        self._hashes[OFFSETS].update(_bytes(ends))
        self._rows += len(part[VALUES])

    def digests(self) -> dict[str, str]:
        """Array name to hexadecimal SHA-256 of what was added so far."""
        return {name: digest.hexdigest() for name, digest in self._hashes.items()}
