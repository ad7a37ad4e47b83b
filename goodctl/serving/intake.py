"""The bodies of requests: never more of them is held than may be, however slowly they come."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from goodctl.serving.choice import ServeChoice
from goodctl.serving.refusals import RefusedError, too_large, too_many

_DRAINED = 16
"""Times the limit: so much of a body that is too large is still taken off the wire, so that its sender reads why."""


class Intake:
    """Reads bodies.

    Bytes are counted, not requests: who sends slowly holds little, and so takes nobody's place.

    Attributes:
        held: Bytes of bodies that have not come to their end.
    """

    def __init__(self, choice: ServeChoice) -> None:
        self._limit, self._timeout_s = choice.max_body_bytes, choice.body_timeout_s
        self._most_held = choice.queue * choice.max_body_bytes
        self.held = 0

    async def body(self, request: Request) -> bytes:
        """A body.

        Raises:
            RefusedError: It is too large, comes too slowly, or there is no room for it now.
        """
        stated = request.headers.get("content-length", "")
        if stated.isdecimal() and int(stated) > _DRAINED * self._limit:
            raise too_large(self._limit)
        found = bytearray()
        try:
            async with asyncio.timeout(self._timeout_s):
                seen = await self._read(request, found)
        except TimeoutError:
            raise RefusedError(408, "The request did not arrive in time.", headers={"connection": "close"}) from None
        finally:
            self.held -= len(found)
        if seen > self._limit:
            raise too_large(self._limit)
        return bytes(found)

    async def _read(self, request: Request, found: bytearray) -> int:
        seen = 0
        async for piece in request.stream():
            seen += len(piece)
            if seen <= self._limit:
                if self.held + len(piece) > self._most_held:
                    raise too_many()
                found += piece
                self.held += len(piece)
            elif seen > _DRAINED * self._limit:
                break
        return seen
