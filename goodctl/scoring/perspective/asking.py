"""One text's way to its outcome: turn, request, answer, and again where a fault may pass."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from goodctl.errors import ServiceError
from goodctl.scoring.perspective.address import Address
from goodctl.scoring.perspective.answers import MOST_ANSWER_BYTES, Asked, Fault, Rejected, read
from goodctl.scoring.perspective.background import Group
from goodctl.scoring.perspective.backoff import LONGEST_WAIT_S, Backoff, seconds_of
from goodctl.scoring.perspective.connections import Connections
from goodctl.scoring.perspective.pace import Pace
from goodctl.scoring.protocol import Failed, Outcome

DEADLINE_S = 90.0
"""For a service that answers byte by byte, which never runs into a timeout."""
_FIRST_TRIES = 3
"""So often is an address tried that has never answered."""
_LOST_IN_A_ROW = 10
"""After so many texts without an answer of use, the service counts as down."""


@dataclass
class Asker:
    """Asks a service for the scores of texts.

    Attributes:
        connections: What carries requests; closed by whoever made it.
        address: Where to.
        pace: When.
        backoff: How often, and when again.
        secret: What no message may hold.
        wall: Seconds since 1970.
        sleep: Waits for seconds.
        deadline_s: After so many seconds a request has failed, whatever still comes.
    """

    connections: Connections
    address: Address
    pace: Pace
    backoff: Backoff
    secret: str | None = field(repr=False)
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    deadline_s: float = DEADLINE_S
    _has_answered: bool = False
    _lost: int = 0

    async def ask(self, body: Mapping[str, Any], asked: Asked, group: Group) -> Outcome | Rejected:
        """The outcome of a text, after as many tries as it takes.

        Args:
            body: What is sent.
            asked: What the answer is read against.
            group: Told while a request is under way; once it is ending nothing is sent again.

        Raises:
            UsageError: The key is not accepted.
            ServiceError: The service cannot be reached, is down, or refuses for a reason that concerns all requests.
        """
        content = json.dumps(body).encode()
        tried = 0
        while True:
            tried += 1
            outcome = await self._try(content, asked, group)
            if not isinstance(outcome, Fault):
                self._count(outcome)
                return outcome
            if group.ending:
                return outcome.failed
            told = seconds_of(outcome.retry_after, self.wall())
            if told is not None and told > LONGEST_WAIT_S:
                raise ServiceError(
                    f"{self.address.host} wants to be left alone for {told / 60:,.0f} minutes.",
                    hint="Run the same command again then: it goes on where it was.",
                )
            wait = self.backoff.wait_s(tried, told)
            if outcome.is_refusal:
                self.pace.refused(wait)
            if tried >= (self.backoff.tries if self._has_answered else min(_FIRST_TRIES, self.backoff.tries)):
                self._count(outcome.failed)
                return outcome.failed
            await self.sleep(wait)

    async def _try(self, content: bytes, asked: Asked, group: Group) -> Outcome | Fault | Rejected:
        try:
            async with asyncio.timeout(None) as deadline:
                status, answer, retry_after = await self._sent(content, deadline, group)
        except (httpx.TimeoutException, TimeoutError):
            return Fault(Failed("timeout", f"{self.address.host} does not answer in time."))
        except httpx.RequestError as error:
            return Fault(Failed("connection", f"{self.address.host}: {self._told(error)}"))
        self._has_answered = True
        outcome = read(status, answer, retry_after, asked)
        if not (isinstance(outcome, Fault) and outcome.is_refusal):
            self.pace.answered()
        return outcome

    async def _sent(self, content: bytes, deadline: asyncio.Timeout, group: Group) -> tuple[int, bytes, str | None]:
        """Status, body and ``Retry-After`` of one answer."""
        turn = await self.pace.turn()
        deadline.reschedule(asyncio.get_running_loop().time() + self.deadline_s)

        async def trace(event: str, _: Mapping[str, Any]) -> None:
            if event.endswith("send_request_body.complete"):
                turn.written()

        try:
            with group.under_way(), self.connections.client() as client:
                request = client.build_request("POST", self.address.url, content=content, extensions={"trace": trace})
                response = await client.send(request, stream=True)
                try:
                    answer = bytearray()
                    async for part in response.aiter_bytes():
                        answer += part
                        if len(answer) > MOST_ANSWER_BYTES:
                            break
                finally:
                    await response.aclose()
        finally:
            turn.over()
        return response.status_code, bytes(answer), response.headers.get("Retry-After")

    def _count(self, outcome: Outcome | Rejected) -> None:
        if not isinstance(outcome, Failed):
            self._lost = 0
            return
        self._lost += 1
        if not self._has_answered:
            raise ServiceError(
                f"The service cannot be reached. {outcome.message}",
                hint="Check the network and --base-url, then run the same command again.",
            )
        if self._lost >= _LOST_IN_A_ROW:
            raise ServiceError(
                f"{self._lost} texts in a row got no score. {outcome.message}",
                hint="Run the same command again later: it goes on where it was.",
            )

    def _told(self, error: httpx.RequestError) -> str:
        text = f"{str(error) or 'the connection broke'} ({type(error).__name__})."
        return text.replace(self.secret, "[the key]") if self.secret else text
