"""The scorer ``perspective``: Google's Perspective API, or any server that speaks its protocol."""

from __future__ import annotations

import asyncio
import datetime
import math
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field

import httpx

from goodctl.errors import UsageError
from goodctl.scoring.perspective.address import VERSION, Address
from goodctl.scoring.perspective.allowance import Allowance
from goodctl.scoring.perspective.answers import KEY_VARIABLE, Asked, Rejected
from goodctl.scoring.perspective.asking import DEADLINE_S, Asker
from goodctl.scoring.perspective.attributes import LANGUAGES, available, checked, language_of
from goodctl.scoring.perspective.background import Background, Group
from goodctl.scoring.perspective.backoff import Backoff
from goodctl.scoring.perspective.body import MOST_BYTES, body, sendable
from goodctl.scoring.perspective.connections import Connections
from goodctl.scoring.perspective.moments import Moments
from goodctl.scoring.perspective.pace import Pace
from goodctl.scoring.perspective.rounds import Doubts, Round, Sent
from goodctl.scoring.protocol import Identity, NotScored, Outcome, Request, ScorerOptions

DEFAULT_RATE = 1.0
"""Queries a second that the service gives everybody."""
LAST_DAY = datetime.date(2026, 12, 31)

_HELD_S = 4.0
_FEWEST_HELD, _MOST_HELD = 8, 512


@dataclass(frozen=True)
class Surroundings:
    """What tests replace.

    Attributes:
        transport: What carries requests; None opens connections.
        monotonic: Seconds that never go back.
        wall: Seconds since 1970.
        sleep: Waits for seconds.
        backoff: Tries, and the waits between them.
        deadline_s: After so many seconds a request has failed.
    """

    transport: httpx.AsyncBaseTransport | None = None
    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    backoff: Backoff = field(default_factory=Backoff)
    deadline_s: float = DEADLINE_S


def open_scorer(argument: str, options: ScorerOptions) -> PerspectiveScorer:
    """Opens the scorer, with the key that the environment holds.

    Raises:
        UsageError: There is no usable key, or an attribute, the rate or the base URL is wrong.
    """
    del argument  # the registry refuses one
    return PerspectiveScorer(options, os.environ.get(KEY_VARIABLE))


class PerspectiveScorer:
    """Scores texts by a service that speaks the protocol of the Perspective API.

    Requests are sent by a thread with an event loop; the caller's thread takes texts and gives outcomes. No more texts
    are held than are sent in some seconds.

    Args:
        options: Attributes, rate, base URL, and whether raw answers are wanted.
        key: Of the API. Only Google's own service must have one.
        around: Clocks and transport.

    Raises:
        UsageError: There is no usable key, or an attribute, the rate or the base URL is wrong.
    """

    def __init__(self, options: ScorerOptions, key: str | None, around: Surroundings | None = None) -> None:
        self._around = around or Surroundings()
        self._address = Address.parse(options.base_url)
        self._wanted = checked(options.attributes)
        self._key = _checked_key(key, self._address)
        self._raw = options.raw
        self._rate = DEFAULT_RATE if options.rate is None else options.rate
        self._allowance = Allowance(
            self._rate, Moments(self._address.base), monotonic=self._around.monotonic, wall=self._around.wall
        )
        self._most_held = min(_MOST_HELD, max(_FEWEST_HELD, math.ceil(self._rate * _HELD_S)))
        self._background = Background()
        self._asker: Asker | None = None
        self._doubts = Doubts()
        self._cut = 0

    def __repr__(self) -> str:
        return f"PerspectiveScorer({self._address.base!r}, rate={self._rate:g})"

    @property
    def identity(self) -> Identity:
        """The service's version and address."""
        return Identity("perspective", VERSION, {"service": self._address.base, "most_bytes": MOST_BYTES})

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know, as sentences. More may be there after scoring than before."""
        found = []
        if self._address.is_google:
            found.append(_end_of_service(datetime.datetime.fromtimestamp(self._around.wall(), datetime.UTC).date()))
        if self._key and self._address.is_open_to_others:
            found.append(f"The key and the texts go to {self._address.host} unencrypted.")
        if self._rate > 1 and self._rate != self._allowance.turns:
            found.append(f"A rate of {self._rate:g} is {self._allowance.turns} whole queries in any second.")
        if self._cut:
            texts = f"{self._cut:,} texts are" if self._cut > 1 else "A text is"
            found.append(f"{texts} longer than {MOST_BYTES:,} bytes: only the beginning was scored.")
        return tuple(found)

    def attributes_for(self, language: str | None) -> tuple[str, ...]:
        """Those of the wanted attributes that texts of a language get; all where nobody knows the language."""
        try:
            return available(self._wanted, language_of(language))
        except KeyError:
            return ()

    def outcomes(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Outcome]]:
        """Each request with its outcome, as they come.

        An error is raised behind what was answered until then, and what is answered shortly afterwards.

        Raises:
            UsageError: The key is not accepted.
            ServiceError: The service cannot be reached, is down, or refuses for a reason that concerns all requests;
                or the record of moments cannot be used.
        """
        under_way = Round(self._background, self._ask, self._around.sleep)
        held: list[tuple[Request, Rejected]] = []
        try:
            yield from self._outcomes(iter(requests), under_way, held)
        except Exception:
            for request, found in under_way.rest():
                yield from self._doubts.decided(held, request, found)
            raise
        finally:
            under_way.end()

    def _outcomes(
        self, source: Iterator[Request], under_way: Round, held: list[tuple[Request, Rejected]]
    ) -> Iterator[tuple[Request, Outcome]]:
        more = True
        while more or under_way:
            if more and len(under_way) < self._most_held and not under_way.is_answered:
                request = next(source, None)
                if request is None:
                    more = False
                elif isinstance(prepared := self._prepared(request), NotScored):
                    yield request, prepared
                else:
                    under_way.start(request, prepared)
            else:
                yield from self._doubts.decided(held, *under_way.next())
                if error := self._doubts.error(held):
                    raise error
        yield from self._doubts.ended(held)

    def close(self) -> None:
        """End the thread and close the connections. Twice does no harm."""
        self._background.close(self._closed)

    def _prepared(self, request: Request) -> Sent | NotScored:
        """What to send, or why nothing is sent."""
        if not request.text.strip():
            return NotScored("empty", "The text is empty.")
        try:
            language = language_of(request.language)
        except KeyError:
            known = ", ".join(LANGUAGES)
            return NotScored("language", f"Perspective does not know the language {request.language!r}, but {known}.")
        attributes = available(self._wanted, language)
        if not attributes:
            wanted = ", ".join(name.upper() for name in self._wanted)
            return NotScored("language", f"Perspective has {wanted} only for other languages than {language!r}.")
        text = sendable(request.text)
        self._cut += len(text) < len(request.text)
        asked = Asked(attributes, language is None, self._raw, self._address.host, self._key)
        return body(text, attributes, language), asked

    async def _ask(self, sent: dict[str, object], asked: Asked, group: Group) -> Outcome | Rejected:
        if self._asker is None:  # made in the loop that uses it
            around = self._around
            pace = Pace(self._allowance, monotonic=around.monotonic, sleep=around.sleep)
            connections = Connections(self._key, around.transport)
            self._asker = Asker(
                connections,
                self._address,
                pace,
                around.backoff,
                self._key,
                around.wall,
                around.sleep,
                around.deadline_s,
            )
        return await self._asker.ask(sent, asked, group)

    async def _closed(self) -> None:
        if self._asker is not None:
            asker, self._asker = self._asker, None
            asker.pace.tell()
            await asker.connections.close()


def _checked_key(key: str | None, address: Address) -> str | None:
    """The key as it can stand in a header. No message shows it."""
    key = (key or "").strip()
    if not key and address.is_google:
        raise UsageError(
            "The Perspective API wants a key, and none is there.",
            hint=f"export {KEY_VARIABLE}=KEY, or score without one: --scorer profanity, --scorer hf:MODEL",
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UsageError(
            f"The key in {KEY_VARIABLE} holds characters that no key has.", hint=f"export {KEY_VARIABLE}=KEY"
        )
    return key or None


def _end_of_service(today: datetime.date) -> str:
    if today <= LAST_DAY:
        return (
            "The Perspective API will no longer be in service after 2026, as its owner says. Score with a local scorer "
            "beside it while both answer (--scorer hf:MODEL), and compare them: goodctl agree FILE_A FILE_B"
        )
    return (
        "The Perspective API is no longer in service after 2026, as its owner has said; what answers may not be what "
        "earlier scores came from. Score with a local scorer: --scorer hf:MODEL"
    )
