"""Counters of a server, written in the text format of Prometheus (version 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Histogram:
    """How many values lie at or below each of some bounds, with their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.total = 0.0
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)

    @property
    def count(self) -> int:
        """Of all values."""
        return sum(self._counts)

    def observe(self, value: float) -> None:
        """Take a value."""
        self.total += value
        self._counts[bisect_left(self._bounds, value)] += 1

    def lines(self, name: str) -> Iterator[str]:
        """The samples of the histogram."""
        below = 0
        for bound, count in zip(self._bounds, self._counts, strict=False):
            below += count
            yield f'{name}_bucket{{le="{bound:g}"}} {below}'
        yield f'{name}_bucket{{le="+Inf"}} {self.count}'
        yield f"{name}_sum {self.total:g}"
        yield f"{name}_count {self.count}"


class Metrics:
    """What a server has done. All is counted on the event loop's thread.

    Attributes:
        waiting: Requests that are waiting or scored.
        requests: Answers to ``comments:analyze``, by HTTP status.
        outcomes: Texts, by ``scored``, ``not_scored`` and ``failed``.
        seconds: From a request's first byte to its answer.
        batches: Texts of a batch.
    """

    def __init__(self) -> None:
        self.waiting = 0
        self.requests: Counter[int] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.seconds = Histogram(SECONDS)
        self.batches = Histogram(TEXTS)

    def text(self, cut: int | None = None) -> str:
        """All of it, for Prometheus.

        Args:
            cut: Texts that were longer than the scorer reads, where the scorer counts them.
        """
        return "\n".join(self._lines(cut)) + "\n"

    def _lines(self, cut: int | None) -> Iterator[str]:
        yield from _head("goodctl_requests_total", "counter", "Answers to comments:analyze by HTTP status.")
        for code, count in sorted(self.requests.items()):
            yield f'goodctl_requests_total{{code="{code}"}} {count}'
        yield from _head("goodctl_texts_total", "counter", "Texts by outcome.")
        for outcome in ("scored", "not_scored", "failed"):
            yield f'goodctl_texts_total{{outcome="{outcome}"}} {self.outcomes[outcome]}'
        if cut is not None:
            yield from _head("goodctl_texts_cut_total", "counter", "Texts longer than the scorer reads.")
            yield f"goodctl_texts_cut_total {cut}"
        yield from _head("goodctl_queue_length", "gauge", "Requests waiting or scored.")
        yield f"goodctl_queue_length {self.waiting}"
        yield from _head("goodctl_batch_texts", "histogram", "Different texts of a batch.")
        yield from self.batches.lines("goodctl_batch_texts")
        yield from _head("goodctl_request_seconds", "histogram", "Time from a request to its answer.")
        yield from self.seconds.lines("goodctl_request_seconds")


def _head(name: str, kind: str, meaning: str) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} {kind}"
