"""Texts of unequal length become batches with little padding, of which only a bounded number is held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from goodctl.scoring.protocol import Request

MOST_REQUESTS = 4096
MOST_CHARACTERS = 4 << 20
MOST_PADDING = 0.1
"""Share of padding from which on a batch that fills half of its budget takes no shorter text: a batch of that size is
computed nearly as fast by position as a full one, and padding is computed for nothing."""


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
    tokens = 0
    for place in sorted(range(len(lengths)), key=lambda each: -lengths[each]):
        if batch:
            before = len(batch) * lengths[batch[0]]
            after = before + lengths[batch[0]]
            full = after > budget or (most_rows is not None and len(batch) >= most_rows)
            wasteful = 2 * before >= budget and after - tokens - lengths[place] > MOST_PADDING * after
            if full or wasteful:
                batches.append(batch)
                batch, tokens = [], 0
        batch.append(place)
        tokens += lengths[place]
    return [*batches, batch] if batch else batches
