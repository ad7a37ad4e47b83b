"""Connections whose requests never begin: uvicorn waits for a head as long as its client likes."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class TimedHeads(H11Protocol):
    """HTTP/1.1 where the head of each request, and what is left of the one before, has to come within a time.

    Attributes:
        head_timeout_s: That time, in seconds.
    """

    head_timeout_s = 30.0
    _until_head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take bytes, which may make the head complete."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Begin to wait for the next one."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        super().connection_lost(exc)
        self._unwatch()

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._unwatch()
        elif self._until_head is None and not self.transport.is_closing():
            self._until_head = self.loop.call_later(self.head_timeout_s, self.transport.close)

    def _unwatch(self) -> None:
        if self._until_head is not None:
            self._until_head.cancel()
            self._until_head = None


def timed(seconds: float) -> type[asyncio.Protocol]:
    """The protocol with a time of its own, as ``uvicorn.Config`` takes it."""
    members: dict[str, Any] = {"head_timeout_s": seconds}
    return type("TimedHeads", (TimedHeads,), members)
