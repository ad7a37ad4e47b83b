"""How long to wait before a request is sent again: exponential, with full jitter, and as long as the service says."""

from __future__ import annotations

import datetime
import email.utils
import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

LONGEST_WAIT_S = 600.0
"""Where a service says that it wants to be left alone for longer, waiting is for the user to decide."""


@dataclass(frozen=True)
class Backoff:
    """Waits between tries.

    Attributes:
        tries: How often a request is sent at most.
        first_s: The most that is waited behind the first try; doubled behind each further one.
        most_s: The most that is waited behind any.
        uniform: Draws a number between two.
    """

    tries: int = 8
    first_s: float = 0.5
    most_s: float = 30.0
    uniform: Callable[[float, float], float] = random.uniform

    def wait_s(self, tried: int, told_s: float | None = None) -> float:
        """Seconds to wait behind a try.

        Args:
            tried: How many there were, from 1.
            told_s: What the service has said; the jitter comes on top, so that not all come back in one moment.
        """
        drawn = self.uniform(0.0, min(self.most_s, self.first_s * 2 ** (tried - 1)))
        return drawn + (told_s or 0.0)


def seconds_of(retry_after: str | None, now: float) -> float | None:
    """What a header ``Retry-After`` says, in seconds from now; None where it is missing or makes no sense.

    Args:
        retry_after: Seconds, or a date of HTTP.
        now: Seconds since 1970, for a date.
    """
    if retry_after is None:
        return None
    text = retry_after.strip()
    if re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII):
        seconds = float(text)
        return seconds if math.isfinite(seconds) else None
    try:
        date = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:  # "-0000", which HTTP doesn't have; it means UTC
        date = date.replace(tzinfo=datetime.UTC)
    return max(0.0, date.timestamp() - now)
