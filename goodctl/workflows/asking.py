"""Asking a scorer about every text of a file that its journal does not know yet."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from goodctl.corpus.passages import PassageFile
from goodctl.errors import GoodctlError
from goodctl.progress import Progress, Report
from goodctl.scoring.protocol import Outcome, Request, Scored, Scorer
from goodctl.workflows.answers import Keys
from goodctl.workflows.journal import Journal

STAGE = "scoring"
_REPORT_EVERY_S = 0.1
_ROUNDING = 1e-6


@dataclass
class Asking:
    """One pass over a file: each text that the journal has no answer to is asked about once.

    Attributes:
        source: The texts.
        scorer: Who is asked.
        attributes: For what.
        with_raw: Whether the scorer's own answers are wanted.
        journal: Where answers are kept.
        total: Texts of the file.
        report: Gets progress.
        clock: Seconds that only rise.
        asked: How many texts were asked about so far.
    """

    source: PassageFile
    scorer: Scorer
    attributes: tuple[str, ...]
    with_raw: bool
    journal: Journal
    total: int
    report: Report
    clock: Callable[[], float] = time.monotonic
    asked: int = 0
    _passed: int = 0
    _in_flight: dict[Request, bytes] = field(default_factory=dict)

    def run(self) -> None:
        """Ask until every text has an answer, be it a failure.

        Raises:
            GoodctlError: What the scorer says of all texts together, or that it does not keep to the protocol. What it
                has answered is in the journal.
        """
        began = reported = self.clock()
        self._progress("")
        outcomes = self.scorer.outcomes(self._requests())
        try:
            for request, outcome in outcomes:
                key = self._in_flight.get(request)
                if key is None:
                    raise self._broken("answered a text that it was not asked about, or one twice")
                self.journal.add(key, self._checked(outcome), with_raw=self.with_raw)
                del self._in_flight[request]  # not before: a text is known to the journal, or in flight, or new
                self.asked += 1
                now = self.clock()
                if now - reported >= _REPORT_EVERY_S:
                    reported = now
                    self._progress(f"{self.asked / (now - began):,.0f} texts/s")
        finally:
            close = getattr(outcomes, "close", None)
            if close is not None:
                close()
            self.journal.commit()
        if self._in_flight:
            raise self._broken(f"left {len(self._in_flight):,} texts without an answer")
        self._passed = self.total
        self._progress("", finished=True)

    def _requests(self) -> Iterator[Request]:
        """What is left to ask, read as it is needed; perhaps in another thread."""
        keys = Keys(self.scorer.identity, self.attributes)
        with self.source.open() as reading:
            for passages in reading.records(check=False):
                for text in passages.texts:
                    self._passed += 1
                    request = Request(text, passages.language)
                    if request in self._in_flight:
                        continue
                    key = keys.of(text, passages.language)
                    if not self.journal.settled(key, with_raw=self.with_raw):
                        self._in_flight[request] = key
                        yield request

    def _checked(self, outcome: Outcome) -> Outcome:
        """An outcome with the scores that were asked for alone."""
        if not isinstance(outcome, Scored):
            return outcome
        scores = {}
        for attribute in self.attributes:
            if attribute not in outcome.scores:
                continue
            value = float(outcome.scores[attribute])
            if not (math.isfinite(value) and -_ROUNDING <= value <= 1 + _ROUNDING):
                raise self._broken(f"gave {attribute} the score {value}, which is not from 0 to 1")
            scores[attribute] = min(max(value, 0.0), 1.0)
        return Scored(scores, outcome.raw if self.with_raw else None)

    def _broken(self, what: str) -> GoodctlError:
        name = self.scorer.identity.scorer
        return GoodctlError(f"The scorer {name} {what}.", hint="That is a fault of the scorer: tell its author.")

    def _progress(self, detail: str, *, finished: bool = False) -> None:
        done = self._passed - len(self._in_flight)
        self.report(Progress(STAGE, done, self.total, "texts", detail=detail, finished=finished))
