"""The connections to the service: kept, of HTTP/2 where the service speaks it, and few in each pool."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator, Iterator

import httpx

_TIMEOUT = httpx.Timeout(30.0, connect=5.0, pool=None)  # the time to connect counts twice: for TCP and for TLS
_IN_A_POOL = 16
"""Requests under way in one pool at most. With each request a pool of httpcore looks at all its connections, and at all
of them again for each that is idle: at 100 connections this alone takes more than 10 ms a request."""


class KeyHeader(httpx.Auth):
    """Puts the key into each request as it leaves, so that no client, header list or error holds it before."""

    def __init__(self, key: str) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """As httpx asks for it."""
        request.headers["X-Goog-Api-Key"] = self._key
        yield request


class Connections:
    """Clients, as many as the requests under way need. Redirects are not followed, since the key is for one address.

    Args:
        key: Sent in a header; None sends none.
        transport: What carries requests in place of connections.
    """

    def __init__(self, key: str | None, transport: httpx.AsyncBaseTransport | None = None) -> None:
        # The compression of HTTP/2 headers logs every header at level DEBUG, the key included.
        logging.getLogger("hpack").setLevel(logging.INFO)
        self._auth = KeyHeader(key) if key else None
        self._transport = transport
        self._certificates = httpx.create_ssl_context()  # read once, since that takes a while
        self._clients: list[httpx.AsyncClient] = []
        self._under_way: list[int] = []

    @contextlib.contextmanager
    def client(self) -> Iterator[httpx.AsyncClient]:
        """The client for one request, which counts as under way inside."""
        room = (number for number, requests in enumerate(self._under_way) if requests < _IN_A_POOL)
        number = next(room, len(self._clients))
        if number == len(self._clients):
            self._clients.append(self._made())
            self._under_way.append(0)
        self._under_way[number] += 1
        try:
            yield self._clients[number]
        finally:
            self._under_way[number] -= 1

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            await client.aclose()

    def _made(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=self._certificates,
            http2=True,
            auth=self._auth,
            timeout=_TIMEOUT,
            limits=httpx.Limits(max_connections=_IN_A_POOL, max_keepalive_connections=_IN_A_POOL),
            transport=self._transport,
            headers={"Accept-Encoding": "identity", "Content-Type": "application/json"},
        )
