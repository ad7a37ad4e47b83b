"""Texts of many clients are scored together: one thread computes, the event loop never waits for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from goodctl.errors import GoodctlError
from goodctl.progress import Progress, Report, silent
from goodctl.scoring.protocol import Failed, NotScored, Outcome, Request, Scored, Scorer
from goodctl.serving.metrics import Metrics
from goodctl.serving.refusals import too_many

FAULT = Failed("server", "The scorer failed; the server's own output says more.")


@dataclass(frozen=True)
class _Waiting:
    request: Request
    answered: asyncio.Future[Outcome]
    since: float


class Collector:
    """Hands texts to a scorer, batch by batch.

    Args:
        scorer: Used in one thread of its own; not closed.
        metrics: Told of batches and outcomes.
        queue: Requests that may wait or be scored at the same time.
        batch: Texts of a batch at most.
        wait_s: How long the first text of a batch waits for others. Texts that came while another batch was computed
            have waited already.
        report: Told where a scorer has failed; never of a text.
    """

    def __init__(
        self,
        scorer: Scorer,
        metrics: Metrics,
        *,
        queue: int,
        batch: int,
        wait_s: float,
        report: Report = silent,
    ) -> None:
        self._scorer, self._metrics, self._report = scorer, metrics, report
        self._queue, self._batch, self._wait_s = queue, batch, wait_s
        self._waiting: deque[_Waiting] = deque()
        self._arrived, self._full = asyncio.Event(), asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "goodctl-scorer")
        self._task: asyncio.Task[None] | None = None
        self._ending = False

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """One of the places that the server has for requests.

        Raises:
            RefusedError: All are taken.
        """
        if self._metrics.waiting >= self._queue:
            raise too_many()
        self._metrics.waiting += 1
        try:
            yield
        finally:
            self._metrics.waiting -= 1

    async def score(self, request: Request) -> Outcome:
        """The outcome of one text, when its batch has come to it."""
        loop = asyncio.get_running_loop()
        entry = _Waiting(request, loop.create_future(), loop.time())
        self._waiting.append(entry)
        self._arrived.set()
        if len(self._waiting) >= self._batch:
            self._full.set()
        outcome = await entry.answered
        kind = {Scored: "scored", NotScored: "not_scored", Failed: "failed"}[type(outcome)]
        self._metrics.outcomes[kind] += 1
        return outcome

    @property
    def is_working(self) -> bool:
        """Whether what comes will be scored."""
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Begin to score; on the event loop."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """Score what is waiting, and end."""
        self._ending = True
        self._arrived.set()
        if self._task is not None:
            await asyncio.wait([self._task])
        # Who wanted to stop at once has cancelled the task, and does not wait for the batch.
        self._thread.shutdown(wait=self._task is None or not self._task.cancelled())

    async def _work(self) -> None:
        try:
            await self._score_batches()
        finally:  # whatever ends this: no client waits for nothing
            _answer(self._waiting, FAULT)

    async def _score_batches(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            if not self._waiting:  # woken up to end
                return
            left = self._waiting[0].since + self._wait_s - loop.time()
            if left > 0 and len(self._waiting) < self._batch and not self._ending:
                self._full.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._full.wait(), left)
            batch = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
            if not self._waiting and not self._ending:
                self._arrived.clear()
            batch = [entry for entry in batch if not entry.answered.cancelled()]
            if batch:
                try:
                    await loop.run_in_executor(self._thread, self._run, batch, loop)
                except Exception as error:
                    self._tell(error)
                finally:
                    # Behind the answers that the thread has left for the loop to give.
                    loop.call_soon(_answer, batch, FAULT)

    def _run(self, batch: Sequence[_Waiting], loop: asyncio.AbstractEventLoop) -> None:
        """Score a batch, in the scorer's thread; each client gets its answer as soon as it is there."""
        asking: dict[Request, list[_Waiting]] = {}
        for entry in batch:
            asking.setdefault(entry.request, []).append(entry)
        loop.call_soon_threadsafe(self._metrics.batches.observe, len(asking))
        failed: BaseException | None = None
        try:
            for request, outcome in self._scorer.outcomes(list(asking)):
                loop.call_soon_threadsafe(_answer, asking.pop(request), outcome)
        except BaseException as error:  # the next batch may be another matter, so the server stays
            failed = error
        for entries in asking.values():
            loop.call_soon_threadsafe(_answer, entries, FAULT)
        if failed is not None:
            self._tell(failed)

    def _tell(self, error: BaseException) -> None:
        with contextlib.suppress(Exception):  # who reads it may have gone, which is no matter of the clients
            self._report(Progress("", note=f"the scorer failed: {_fault(error)}"))


def _answer(entries: Iterable[_Waiting], outcome: Outcome) -> None:
    for entry in entries:
        if not entry.answered.done():
            entry.answered.set_result(outcome)


def _fault(error: BaseException) -> str:
    """What went wrong, without what may hold a text: only goodctl's own messages are known not to."""
    if isinstance(error, GoodctlError):
        return error.message
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" in {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
    return f"{type(error).__name__}{where}"
