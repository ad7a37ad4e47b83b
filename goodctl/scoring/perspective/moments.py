"""The moments at which requests were sent, shared by all processes of a machine and kept across restarts.

A small file under the cache folder for each address of a service, behind a lock. It holds the moments of the last
second or so. Where it is damaged it counts as full.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import filelock

from goodctl.cache_root import cache_root
from goodctl.errors import ServiceError

_MAGIC = b"goodctl-moments1"
_HEAD = struct.Struct("<16sQL")
"""The mark of the format, how many entries follow, and their CRC-32. What lies behind them is left of a longer list."""
_ENTRY = struct.Struct("<dQ?")
_MOST_BYTES = 2**20
_LOCK_TIMEOUT_S = 10.0  # who holds the lock does so for less than a millisecond


class Moment(NamedTuple):
    """One request: a named tuple, since there are hundreds to be read for each request that is sent."""

    at: float
    """Seconds of the wall clock: when it was handed to its connection or, once that is known, when it was written."""
    id: int
    """A random number."""
    written: bool
    """Whether it is known to be written, or never will be."""


class DamagedRecordError(Exception):
    """The file is not what was written."""


class Moments:
    """The file of one address.

    Args:
        address: Of the service; only its hash is written.
        folder: Where the file lies; under the cache folder by default.
    """

    def __init__(self, address: str, folder: Path | None = None) -> None:
        name = hashlib.sha256(address.encode()).hexdigest()[:32]
        self.path = (folder or cache_root() / "pace") / f"{name}.moments"
        self._is_prepared = False
        self._known: tuple[bytes, list[Moment]] = (b"", [])
        self._lock = filelock.FileLock(self.path.with_suffix(".lock"), timeout=_LOCK_TIMEOUT_S, poll_interval=0.001)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one who reads and writes.

        Raises:
            ServiceError: The folder cannot be written, or somebody keeps the lock.
        """
        try:
            if not self._is_prepared:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._is_prepared = True
            self._lock.acquire()
        except filelock.Timeout:
            raise ServiceError(
                f"{self.path} is locked for longer than {_LOCK_TIMEOUT_S:.0f} s.",
                hint="A stopped process may hold it: end it, or choose another cache folder: GOODCTL_CACHE=FOLDER",
            ) from None
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            yield
        finally:
            self._lock.release()

    def read(self) -> list[Moment]:
        """All moments, the oldest first. Call it while ``locked``.

        Returns:
            The same list as the last time, where nothing has changed.

        Raises:
            DamagedRecordError: The file is not what was written.
            ServiceError: It cannot be read.
        """
        try:
            with self.path.open("rb", buffering=0) as file:
                stored = file.read(_MOST_BYTES)
        except FileNotFoundError:
            stored = b""
        except OSError as error:
            raise self._unwritable(error) from error
        if not stored.startswith(self._known[0]) or not self._known[0]:
            self._known = (stored, self._unpacked(stored))
        return self._known[1]

    def _unpacked(self, stored: bytes) -> list[Moment]:
        if not stored:
            return []
        try:
            magic, count, checksum = _HEAD.unpack_from(stored)
            entries = stored[_HEAD.size :][: count * _ENTRY.size]
            if magic != _MAGIC or len(entries) != count * _ENTRY.size or zlib.crc32(entries) != checksum:
                raise DamagedRecordError
        except struct.error:
            raise DamagedRecordError from None
        return [Moment(*fields) for fields in _ENTRY.iter_unpack(entries)]

    def write(self, moments: list[Moment]) -> None:
        """Replace all moments. Call it while ``locked``.

        Raises:
            ServiceError: The disk does not take them.
        """
        entries = b"".join([_ENTRY.pack(*each) for each in moments])
        stored = _HEAD.pack(_MAGIC, len(moments), zlib.crc32(entries)) + entries
        try:
            # One call, which a killed process has made or has not. A new file under the old name would be slower by
            # milliseconds on some file systems, and this is done for each request.
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
            try:
                os.write(descriptor, stored)
            finally:
                os.close(descriptor)
            self._known = (stored, moments)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> ServiceError:
        return ServiceError(
            f"{self.path}, which keeps the pace of requests, cannot be used: {error.strerror}.",
            hint="Choose another cache folder: export GOODCTL_CACHE=FOLDER",
        )
