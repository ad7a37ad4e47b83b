"""Writing an output of scores: a second pass over the texts, with the answers of the journal."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from goodctl.corpus.passages import PassageFile
from goodctl.corpus.whole_records import as_json
from goodctl.errors import InputError
from goodctl.progress import Progress, Report
from goodctl.scoring.attributes import first
from goodctl.scoring.calibration import Calibration
from goodctl.scoring.protocol import Failed, NotScored, Outcome, Scored
from goodctl.workflows.answers import Answer, Keys
from goodctl.workflows.journal import Journal
from goodctl.workflows.lines import replacing
from goodctl.workflows.score_manifest import Counts
from goodctl.workflows.score_scan import Scan

STAGE = "writing"
NO_ANSWER = "answer_lost"
"""The reason where a text is scored, but the scorer's own answer, asked for later, could not be had."""
LACKING = "attribute"
"""The reason where a text is scored, but its language lacks the first attribute."""
_EXAMPLES = 3
_REPORT_EVERY = 1000


@dataclass
class Failure:
    """Texts that failed for one reason.

    Attributes:
        reason: A stable word.
        message: What the scorer said of the first one.
        texts: How many.
        tries: How often at most one of them was asked.
        places: Where the first ones are.
    """

    reason: str
    message: str
    texts: int = 0
    tries: int = 0
    places: list[str] = field(default_factory=list)

    def add(self, place: str, tries: int) -> None:
        """Count one more."""
        self.texts += 1
        self.tries = max(self.tries, tries)
        if len(self.places) < _EXAMPLES and place not in self.places:
            self.places.append(place)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return dict(vars(self))


@dataclass
class ScoreOutput:
    """One pass that writes.

    Attributes:
        source: The texts.
        scan: What they were when they were read first.
        keys: Names texts.
        attributes: That were asked for.
        journal: Has all answers.
        calibration: What scores go through, or None.
        report: Gets progress.
        failures: By reason, in the order of the file.
    """

    source: PassageFile
    scan: Scan
    keys: Keys
    attributes: tuple[str, ...]
    journal: Journal
    calibration: Calibration | None
    report: Report
    failures: dict[str, Failure] = field(default_factory=dict)
    _scored: int = 0
    _distinct: int = 0
    _not_scored: Counter[str] = field(default_factory=Counter)
    _texts: int = 0

    def write(self, out: Path, answers: Path | None) -> Counts:
        """Write the output and, beside it, the answers in Perspective's form. Both appear when they are complete.

        Raises:
            InputError: The texts have changed since they were read first.
            ServiceError: The disk does not take it.
        """
        # The answers take their place first: where the output is there, so are they.
        self.report(Progress(STAGE, 0, self.scan.texts, "texts"))
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(replacing(out))
            raw = None if answers is None else stack.enter_context(replacing(answers))
            self._pass(output, raw)
        self.report(Progress(STAGE, self._texts, self._texts, "texts", finished=True))
        failed = {reason: failure.texts for reason, failure in self.failures.items()}
        return Counts(self._texts, self._distinct, self._scored, dict(sorted(self._not_scored.items())), failed)

    def _pass(self, output: TextIO, raw: TextIO | None) -> None:
        seen = bytearray(self.journal.highest() // 8 + 1)  # a bit for each answer: a set of texts would fill the memory
        stale = ("reason", *(f"{attribute}_uncalibrated" for attribute in self.attributes))
        with self.source.open(hashing=True) as reading:
            for passages in reading.records():
                members = []
                for text in passages.texts:
                    answer = self.journal.find(self.keys.of(text, passages.language))
                    if answer is None:
                        raise self._changed()
                    self._count(answer, passages.place, seen, with_raw=raw is not None)
                    members.append(self._members(answer.outcome, passages.language))
                    if raw is not None:
                        line = perspective_line(self._texts, answer.outcome, passages.language)
                        line = as_json(line, passages.place)  # nobody has checked what a source answers
                        raw.write(json.dumps(line) + "\n")
                    self._texts += 1
                    if self._texts % _REPORT_EVERY == 0:
                        self.report(Progress(STAGE, self._texts, self.scan.texts, "texts"))
                output.write(_ENCODED(passages.with_members(members, stale)) + "\n")
            if reading.sha256() != self.scan.sha256:
                raise self._changed()

    def _members(self, outcome: Outcome, language: str | None) -> dict[str, Any]:
        """What stands beside a text."""
        if not isinstance(outcome, Scored):
            return {**dict.fromkeys(self.attributes), "reason": outcome.reason}
        scores: Mapping[str, float] = outcome.scores
        if self.calibration is not None:
            scores = self.calibration.applied(scores, language)
        found: dict[str, Any] = {**dict.fromkeys(self.attributes), **scores}
        return found if found[first(self.attributes)] is not None else {**found, "reason": LACKING}

    def _count(self, answer: Answer, place: str, seen: bytearray, *, with_raw: bool) -> None:
        byte, bit = divmod(answer.number, 8)
        self._distinct += not seen[byte] >> bit & 1
        seen[byte] |= 1 << bit
        match answer.outcome:
            case Scored() if with_raw and not answer.with_raw:
                lost = "The text has its score; the scorer's own answer could not be had."
                self._scored += 1
                self.failures.setdefault(NO_ANSWER, Failure(NO_ANSWER, lost)).add(place, answer.tries)
            case Scored(scores) if first(self.attributes) in scores:
                self._scored += 1
            case Scored():
                self._not_scored[LACKING] += 1
            case NotScored(reason):
                self._not_scored[reason] += 1
            case Failed(reason, message):
                self.failures.setdefault(reason, Failure(reason, message)).add(place, answer.tries)

    def _changed(self) -> InputError:
        return InputError(
            f"{self.source.name} has changed while it was scored; no output was written.",
            hint="Run the same command again: what was answered is kept.",
        )


def perspective_line(number: int, outcome: Outcome, language: str | None) -> dict[str, Any]:
    """A line of a file of Perspective's answers.

    Args:
        number: Of the text in the file, from 0.
        outcome: What the scorer said; where its source's answer is none of Perspective's, the scores are put into that
            form, and the answer beside them.
        language: Of the text.
    """
    if not isinstance(outcome, Scored):
        return {"request_id": str(number), "response": None, "error": f"{outcome.reason}: {outcome.message}"}
    response = outcome.raw
    if response is None or "attributeScores" not in response:
        scores = {
            attribute.upper(): {"summaryScore": {"value": value, "type": "PROBABILITY"}}
            for attribute, value in outcome.scores.items()
        }
        languages = {} if language is None else {"languages": [language]}
        response = {"attributeScores": scores, **languages, **(response or {})}
    return {"request_id": str(number), "response": response, "error": None}


_ENCODED = json.JSONEncoder(ensure_ascii=False).encode
"""As ``json.dumps``, which would make an encoder for every line."""


def remaining(failures: Mapping[str, Failure]) -> Iterator[str]:
    """Reasons with their numbers, the most frequent first."""
    for failure in sorted(failures.values(), key=lambda each: -each.texts):
        yield f"{failure.reason} {failure.texts:,}"
