"""A real HTTP server on 127.0.0.1 that answers as the Perspective API does, with faults on demand.

    with PerspectiveServer(Faults(refused=0.1, seed=1)) as server:
        ...  # server.url; afterwards server.arrivals

As a program (``python -m tests.fakes.perspective_server``) it prints its address, and ends with its standard input;
``GET /arrivals`` then says what it has seen. ``SeparateServer`` runs it so, where a thread of this process would
disturb what is measured.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.fakes import perspective_protocol as protocol
from tests.fakes.wire import Received, Reply, speak

METHOD = "/v1alpha1/comments:analyze"
KEY = "AIzaSyTestKeyOfTheLocalServer_0123456789"


@dataclass(frozen=True)
class Faults:
    """What goes wrong, as shares of the requests.

    Attributes:
        refused: Answers 429.
        retry_after: The header of that name with it; None leaves it out.
        broken: Answers 500.
        dropped: Closes the connection without an answer.
        slow: Answers after ``slow_s``.
        delay_s: What every answer takes.
        seed: Of the draws.
    """

    refused: float = 0.0
    retry_after: str | None = "1"
    broken: float = 0.0
    dropped: float = 0.0
    slow: float = 0.0
    slow_s: float = 1.0
    delay_s: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Arrival:
    """One request that came.

    Attributes:
        at: When, in seconds of the monotonic clock.
        text: What was to be scored.
        fate: ``scored``, ``rejected``, ``refused``, ``broken``, ``dropped``, ``bad_key``.
        answered: When the answer was handed to the connection; None where there was none.
        connection: The number of the connection.
        http: Its version.
    """

    at: float
    text: str
    fate: str
    answered: float | None
    connection: int
    http: str


class PerspectiveServer:
    """The server, in a thread.

    Args:
        faults: What goes wrong.
        key: The only one that is accepted; None asks for none.
        disabled: Whether the key's project has the API disabled.
    """

    def __init__(self, faults: Faults | None = None, *, key: str | None = KEY, disabled: bool = False) -> None:
        self.faults = faults or Faults()
        self.key, self.disabled = key, disabled
        self.arrivals: list[Arrival] = []
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._random = random.Random(self.faults.seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="perspective server", daemon=True)
        self._ready = threading.Event()
        self._stopping = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._count = 0
        self.port = 0

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        self._count += 1
        try:
            await speak(reader, writer, self._answer, self._count)
        except asyncio.CancelledError:
            writer.transport.abort()

    async def _answer(self, received: Received) -> Reply | None:
        path, _, query = received.path.partition("?")
        if received.method == "GET" and path == "/arrivals":
            return _reply(200, {"arrivals": [dataclasses.astuple(each) for each in self.arrivals]})
        if received.method != "POST" or path != METHOD:
            return _reply(*protocol.error(404, "NOT_FOUND", "Requested entity was not found."))
        self.headers.append(received.headers)
        text = self._remembered(received.body)
        fate, reply = self._decided(received, query, self._random.random())
        if self._random.random() < self.faults.slow:
            await asyncio.sleep(self.faults.slow_s)
        if self.faults.delay_s:
            await asyncio.sleep(self.faults.delay_s)
        answered = None if reply is None else self._loop.time()
        self.arrivals.append(Arrival(received.at, text, fate, answered, received.connection, received.http))
        return reply

    def _remembered(self, body: bytes) -> str:
        try:
            asked = json.loads(body)
            self.bodies.append(asked)
            return str(asked["comment"]["text"])
        except (ValueError, KeyError, TypeError):
            return ""

    def _decided(self, received: Received, query: str, draw: float) -> tuple[str, Reply | None]:
        """What becomes of a request."""
        given = received.headers.get("x-goog-api-key") or query.removeprefix("key=")
        if self.key is not None and given != self.key:
            return "bad_key", _reply(*protocol.BAD_KEY)
        if self.disabled:
            return "bad_key", _reply(*protocol.DISABLED)
        faults = self.faults
        if draw < faults.refused:
            headers = [("retry-after", faults.retry_after)] if faults.retry_after else []
            return "refused", _reply(*protocol.RATE_LIMITED, headers)
        if draw < faults.refused + faults.broken:
            return "broken", _reply(*protocol.BROKEN)
        if draw < faults.refused + faults.broken + faults.dropped:
            return "dropped", None
        status, answer = protocol.analyzed(received.body)
        return ("scored" if status == 200 else "rejected"), _reply(status, answer)


def _reply(status: int, answer: dict[str, Any], headers: list[tuple[str, str]] | None = None) -> Reply:
    return Reply(status, json.dumps(answer).encode(), headers or ())


class SeparateServer:
    """The server in a process of its own."""

    def __init__(self, faults: Faults | None = None) -> None:
        self._faults = faults or Faults()
        self.url = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, json.dumps(dataclasses.asdict(self._faults))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        return self

    def arrivals(self) -> list[Arrival]:
        """What has come so far, in order."""
        with httpx.Client(trust_env=False) as client:
            answer = client.get(f"{self.url}/arrivals", timeout=30).json()
        return sorted((Arrival(*each) for each in answer["arrivals"]), key=lambda each: each.at)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._process as process:  # closes its input, waits
            assert process.stdin is not None
            process.stdin.close()
            process.wait(10)


def main() -> None:
    """Serve until the standard input ends."""
    with PerspectiveServer(Faults(**json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}"))) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
