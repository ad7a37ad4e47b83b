"""Decompression of Zstandard files of one or many frames, which notices where a file was cut off."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# A block of 4 bytes can stand for 128 KiB, so little is fed at a time: at worst 128 MiB come out of it.
_FEED_BYTES = 4096


class ZstdStreamError(Exception):
    """The bytes are not Zstandard, or end within a frame."""


class ZstdStream(io.RawIOBase):
    """The decompressed bytes of a Zstandard file.

    ``zstandard.stream_reader`` takes a file that ends within a frame for complete; this reader raises.

    Args:
        compressed: The file's bytes.

    Raises:
        ZstdStreamError: On reading.
    """

    def __init__(self, compressed: io.RawIOBase) -> None:
        import zstandard

        self._compressed = compressed
        self._decompressor = zstandard.ZstdDecompressor()
        self._library_error = zstandard.ZstdError
        self._frame = self._decompressor.decompressobj()
        self._inside_frame = False
        self._input = b""  # read from the file, not yet fed
        self._output = memoryview(b"")  # decompressed, not yet handed out

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fills the buffer as far as one step of decompression goes; 0 at the end of the file."""
        while not self._output:
            if not self._input:
                self._input = self._compressed.read(_FEED_BYTES) or b""
            if not self._input:
                if self._inside_frame:
                    raise ZstdStreamError("the file ends within a frame")
                return 0
            self._output = memoryview(self._feed())
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._output))
        target[:count] = self._output[:count]
        self._output = self._output[count:]
        return count

    def _feed(self) -> bytes:
        given, self._input = self._input, b""
        try:
            output = self._frame.decompress(given)
        except self._library_error as error:
            raise ZstdStreamError(str(error).removeprefix("zstd decompressor error: ")) from error
        self._inside_frame = not self._frame.eof
        if self._frame.eof:
            self._input = self._frame.unused_data
            self._frame = self._decompressor.decompressobj()
        return output
