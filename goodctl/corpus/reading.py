"""What every source can do while it is read, whatever its format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from goodctl.corpus.record import Record


class Reading(Protocol):
    """One pass over a source."""

    def records(self) -> Iterator[Record]:
        """Every record, in order."""

    def bytes_done(self) -> int:
        """How far the pass is, for progress."""

    def sha256(self) -> str:
        """Hash of the source; asked for after the last record."""

    def size_bytes(self) -> int:
        """Size of the source; asked for after the last record."""

    def close(self) -> None:
        """Lets go of files."""
