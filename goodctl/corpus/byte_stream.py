"""The bytes of a file: hashed as they lie on disk, decompressed on the way to the parser."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from goodctl.corpus.zstd_stream import ZstdStream, ZstdStreamError
from goodctl.errors import InputError, NotFoundError, ServiceError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER_BYTES = 64 * 1024


class HashingFile(io.RawIOBase):
    """A file that counts and, if asked to, hashes the bytes that are read from it.

    Args:
        path: The file.
        hashing: Whether ``sha256`` will be asked for.

    Raises:
        NotFoundError: There is no such file.
        InputError: It cannot be opened.
    """

    def __init__(self, path: Path, *, hashing: bool) -> None:
        self._path = path
        self._file: BinaryIO = open_file(path)
        self._digest = hashlib.sha256() if hashing else None
        self.count = 0

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Reads into the buffer; a failing disk is a ``ServiceError``."""
        view = memoryview(buffer).cast("B")
        try:
            count = self._file.readinto(view)  # type: ignore[attr-defined]  # open_file gives a BufferedReader
        except OSError as error:
            raise ServiceError(
                f"{self._path.as_posix()}: reading failed after {self.count} bytes: {error.strerror}",
                hint="Check the disk or the network share, then run the command again.",
            ) from error
        if self._digest is not None:
            self._digest.update(view[:count])
        self.count += count
        return int(count)

    def sha256(self) -> str:
        """Hash of the whole file; what the parser left over is read first."""
        if self._digest is None:
            raise ValueError("the file was opened without hashing")
        while self.read(_BUFFER_BYTES):
            pass
        return self._digest.hexdigest()

    def close(self) -> None:
        """Closes the file below."""
        self._file.close()
        super().close()


class _Decompressed(io.RawIOBase):
    """Turns what a decompressor says about damage into an error with the file's name."""

    def __init__(self, inner: io.RawIOBase | gzip.GzipFile, name: str, compression: str) -> None:
        self._inner = inner
        self._name = name
        self._compression = compression

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        try:
            return self._inner.readinto(buffer) or 0
        except (EOFError, ZstdStreamError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(
                f"{self._name}: the {self._compression} file is damaged or cut off: {error}",
                hint="Copy or download the file again; a file that is not compressed must not be named so.",
            ) from error


def open_file(path: Path) -> io.BufferedReader:
    """Opens a file for reading its bytes.

    Raises:
        NotFoundError: There is no such file.
        InputError: It is a folder, or its permissions forbid it.
    """
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise NotFoundError(
            f"{path.as_posix()}: {error.strerror}", hint=f"Check the name; it is relative to {Path.cwd()}."
        ) from error
    except OSError as error:
        raise InputError(
            f"{path.as_posix()}: the file cannot be read: {error.strerror}", hint="Check its permissions."
        ) from error


def decompressed(file: HashingFile, name: str, compression: str | None) -> io.BufferedReader:
    """The content of a file behind its compression (``gzip``, ``zstd`` or None)."""
    if compression is None:
        return io.BufferedReader(file, _BUFFER_BYTES)
    inner = gzip.GzipFile(fileobj=file, mode="rb") if compression == "gzip" else ZstdStream(file)
    return io.BufferedReader(_Decompressed(inner, name, compression), _BUFFER_BYTES)
