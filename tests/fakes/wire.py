"""HTTP/1.1 and HTTP/2 (without TLS, known beforehand) for servers of tests: requests in, answers out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h11

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MOST_BODY = 2**20


@dataclass(frozen=True)
class Received:
    """A whole request; ``at`` is when its head was read, in seconds of the monotonic clock."""

    at: float
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    http: str
    connection: int


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    headers: Sequence[tuple[str, str]] = ()


Handler = Callable[[Received], Awaitable[Reply | None]]
"""What a server does; None drops the connection without an answer."""


async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler, number: int) -> None:
    """Serve one connection until either side ends it."""
    try:
        first = await reader.read(2**16)
        while first and len(first) < len(PREFACE) and PREFACE.startswith(first):
            more = await reader.read(2**16)
            if not more:
                return
            first += more
        if first.startswith(PREFACE):
            await _Http2(reader, writer, handler, number).run(first)
        else:
            await _http1(reader, writer, handler, number, first)
    except (ConnectionError, h11.RemoteProtocolError, h2.exceptions.ProtocolError):
        pass  # the client has gone, or was killed amid a request
    finally:
        writer.close()


def _pairs(reply: Reply) -> list[tuple[bytes, bytes]]:
    headers = [("content-type", "application/json"), ("content-length", str(len(reply.body))), *reply.headers]
    return [(name.lower().encode(), value.encode()) for name, value in headers]


async def _http1(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler, number: int, first: bytes
) -> None:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(first)
    head: h11.Request | None = None
    at, body = 0.0, b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(2**16))
        elif isinstance(event, h11.Request):
            head, at, body = event, time.monotonic(), b""
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MOST_BODY:
                return
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
            received = Received(at, head.method.decode(), head.target.decode(), headers, body, "1.1", number)
            reply = await handler(received)
            if reply is None:
                writer.transport.abort()
                return
            sent = connection.send(h11.Response(status_code=reply.status, headers=_pairs(reply)))
            sent = (sent or b"") + (connection.send(h11.Data(data=reply.body)) or b"")
            writer.write(sent + (connection.send(h11.EndOfMessage()) or b""))
            await writer.drain()
            if connection.our_state is not h11.DONE:
                return
            connection.start_next_cycle()
        else:
            return


class _Http2:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler, number: int
    ) -> None:
        self.reader, self.writer, self.handler, self.number = reader, writer, handler, number
        self.state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.open: dict[int, tuple[float, dict[str, str], bytearray]] = {}
        self.answering: set[asyncio.Task[None]] = set()

    async def run(self, first: bytes) -> None:
        self.state.initiate_connection()
        data = first
        try:
            while data:
                for event in self.state.receive_data(data):
                    self.take(event)
                self.flush()
                data = await self.reader.read(2**16)
        finally:
            for task in self.answering:
                task.cancel()

    def take(self, event: object) -> None:
        if isinstance(event, h2.events.RequestReceived):
            headers = {str(name): str(value) for name, value in event.headers or ()}
            self.open[event.stream_id or 0] = (time.monotonic(), headers, bytearray())
        elif isinstance(event, h2.events.DataReceived):
            if event.stream_id in self.open:
                self.open[event.stream_id][2].extend(event.data or b"")
            self.state.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
        elif isinstance(event, h2.events.StreamReset):
            self.open.pop(event.stream_id or 0, None)
        elif isinstance(event, h2.events.StreamEnded) and event.stream_id in self.open:
            task = asyncio.ensure_future(self.answer(event.stream_id, *self.open.pop(event.stream_id)))
            self.answering.add(task)
            task.add_done_callback(self.answering.discard)

    async def answer(self, stream: int, at: float, headers: dict[str, str], body: bytearray) -> None:
        received = Received(at, headers[":method"], headers[":path"], headers, bytes(body), "2", self.number)
        reply = await self.handler(received)
        if reply is None:
            self.writer.transport.abort()
            return
        try:
            status = (b":status", str(reply.status).encode())
            self.state.send_headers(stream, [status, *_pairs(reply)])
            self.state.send_data(stream, reply.body, end_stream=True)
        except h2.exceptions.ProtocolError:  # the client has given the stream up
            return
        self.flush()

    def flush(self) -> None:
        if data := self.state.data_to_send():
            self.writer.write(data)
