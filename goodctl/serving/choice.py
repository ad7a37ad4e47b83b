"""What may be said about a server."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from goodctl.errors import UsageError

KEY_VARIABLE = "GOODCTL_SERVE_KEY"

TEXT_BYTES = 20_480
"""UTF-8 bytes of a text at most, as Perspective has it."""


@dataclass(frozen=True)
class ServeChoice:
    """Where a server listens, and what it takes.

    Attributes:
        host: Name or address to listen on.
        port: 0 takes a free one.
        language: Of requests that name none; None leaves it unknown.
        max_body_bytes: Of a request; more is answered 413.
        queue: Requests that wait or are scored at the same time; more are answered 429.
        batch: Texts that are scored together at most.
        wait_s: How long the first text of a batch waits for others.
        head_timeout_s: How long a client may take to send the head of a request; then its connection is closed.
        body_timeout_s: How long a client may take to send the body of a request.
        key: What clients must send as their key; None takes any or none. Never shown.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    language: str | None = None
    max_body_bytes: int = 262_144
    queue: int = 512
    batch: int = 256
    wait_s: float = 0.005
    head_timeout_s: float = 30.0
    body_timeout_s: float = 30.0
    key: str | None = field(default=None, repr=False)

    @property
    def connections(self) -> int:
        """How many are served at the same time at most."""
        return 4 * self.queue + 64

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise UsageError(f"--port {self.port} is no port.", hint="Use 1 to 65535, or 0 for a free one.")
        for name, value, least in (
            ("--max-body", self.max_body_bytes, 1024),
            ("--queue", self.queue, 1),
            ("--batch", self.batch, 1),
            ("--wait-ms", self.wait_s, 0),
        ):
            if not value >= least:
                raise UsageError(f"{name} {value} is too small.", hint=f"Use {least} or more.")


def key_of_environment() -> str | None:
    """The key that clients must send, from ``GOODCTL_SERVE_KEY``; an empty one is none."""
    return os.environ.get(KEY_VARIABLE) or None
