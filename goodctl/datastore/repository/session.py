"""One transaction."""

from __future__ import annotations

from typing import Any

import icechunk
import zarr

from goodctl.datastore.repository import checksums
from goodctl.datastore.repository.faults import translated_errors


class Session:
    """One transaction on a branch: nothing in it is seen by others until ``commit``."""

    def __init__(self, session: icechunk.Session, location: str) -> None:
        self._session = session
        self._location = location
        self.root: zarr.Group = zarr.open_group(session.store, mode="a")

    def commit(self, message: str, metadata: dict[str, Any]) -> str:
        """Make everything written in this session visible on its branch, at once.

        Args:
            message: For the log.
            metadata: JSON values to keep with the commit; ``kind`` is ``"checkpoint"`` or ``"result"``.

        Returns:
            The new snapshot's id.
        """
        with translated_errors(self._location, "write to"):
            snapshot = str(self._session.commit(message, metadata=metadata))
        checksums.record(self._location)
        return snapshot
