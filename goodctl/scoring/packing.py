"""Texts of unequal length become batches with little padding, of which only a bounded number is held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from goodctl.scoring.protocol import Request

MOST_REQUESTS = 1024
MOST_CHARACTERS = 4 << 20


def windows(
    requests: Iterable[Request], most: int = MOST_REQUESTS, characters: int = MOST_CHARACTERS
) -> Iterator[list[Request]]:
    """The requests in their order, as many at a time as are sorted by length together.

    Args:
        requests: Taken one after another, as they are needed.
        most: Of a window.
        characters: After which a window ends.
    """
    window: list[Request] = []
    length = 0
    for request in requests:
        window.append(request)
        length += len(request.text)
        if len(window) >= most or length >= characters:
            yield window
            window, length = [], 0
    if window:
        yield window


def pack(lengths: Sequence[int], budget: int, most_rows: int | None = None) -> list[list[int]]:
    """Batches of places in ``lengths``, the longest first, so that memory that does not suffice is noticed at once.

    Args:
        lengths: Of the texts, in tokens.
        budget: Positions of a batch at most, padding included; a longer text has a batch of its own.
        most_rows: Texts of a batch at most.
    """
    batches: list[list[int]] = []
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda each: -lengths[each]):
        full = most_rows is not None and len(batch) >= most_rows
        if batch and (full or (len(batch) + 1) * lengths[batch[0]] > budget):
            batches.append(batch)
            batch = []
        batch.append(place)
    return [*batches, batch] if batch else batches
