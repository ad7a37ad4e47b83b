"""Sizes, moments and durations as people write them."""

from __future__ import annotations

import datetime


def size(count: float) -> str:
    """Bytes in a readable unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def when(moment: str) -> str:
    """An ISO 8601 moment to the minute, in UTC, as ``STORE@{DATE}`` takes it."""
    return datetime.datetime.fromisoformat(moment).astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M")


def duration(seconds: float) -> str:
    """Seconds in a readable form."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def counted(count: int, word: str) -> str:
    """A number and what it counts: ``1 row``, ``2 rows``."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"
