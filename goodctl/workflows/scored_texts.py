"""Scores read back from a collated file: each distinct text once, with its language."""

from __future__ import annotations

import hashlib
import json
import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from goodctl.corpus.passages import PassageFile, PassageReading, Passages
from goodctl.corpus.record import Record
from goodctl.errors import InputError
from goodctl.progress import Progress, Report, silent
from goodctl.scoring.identity import from_dict
from goodctl.scoring.languages import UNKNOWN
from goodctl.workflows.evaluate_settings import read_manifest
from goodctl.workflows.score_manifest import FORMAT as MANIFEST_FORMAT

_LISTED = 12
_EVERY = 20_000


@dataclass(frozen=True)
class Where:
    """Where the texts of a line are.

    Attributes:
        attribute: Whose score is read.
        text_field: The field of the scored text; None takes ``generations``, else ``prompt``, else ``text``.
        language_field: The field of the language; None takes ``language``, else ``lang``.
    """

    attribute: str
    text_field: str | None = None
    language_field: str | None = None


@dataclass
class ScoredTexts:
    """The distinct texts of a file. Texts are kept as hashes, so that a million take little memory.

    Attributes:
        name: The file as given.
        scorer: Who scored, as the manifest beside the file has it; None where there is no such manifest.
        calibrated: Whether the manifest says that the scores went through a map.
        scores: In the order of their first line; NaN where there is none.
        languages: Number of each text's language in ``names``.
        names: Of languages.
        occurrences: Scored texts of all lines, repetitions included.
        places: Hash of language and text to the place in the other columns.
    """

    name: str
    scorer: dict[str, Any] | None = None
    calibrated: bool = False
    scores: array[float] = field(default_factory=lambda: array("d"))
    languages: array[int] = field(default_factory=lambda: array("l"))
    names: list[str] = field(default_factory=list)
    occurrences: int = 0
    places: dict[bytes, int] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)

    @property
    def missing(self) -> int:
        """Texts without a score."""
        return sum(map(math.isnan, self.scores))

    def add(self, text: str, language: str, score: float | None) -> float | None:
        """Keep a text's score. Gives the score that it had before, where that is another one."""
        self.occurrences += 1
        place = self.places.setdefault(_key(text, language), len(self.scores))
        if place == len(self.scores):
            if language not in self._numbers:
                self._numbers[language] = len(self.names)
                self.names.append(language)
            self.scores.append(math.nan if score is None else score)
            self.languages.append(self._numbers[language])
        elif score is not None:
            before = self.scores[place]
            if not math.isnan(before) and before != score:
                return before
            self.scores[place] = score
        return None


def read_scored(path: str, where: Where, report: Report = silent) -> ScoredTexts:
    """Read a file that ``goodctl score`` has written.

    Args:
        path: The file.
        where: Where its texts and scores are.
        report: Gets progress.

    Raises:
        NotFoundError: There is no such file.
        UsageError: The name is not that of one such file.
        InputError: A line cannot be read, has no scored text, or gives a text another score than an earlier one; no
            text has a score of the attribute.
    """
    source = PassageFile.find(path, where.text_field, None, where.language_field)
    manifest = read_manifest(Path(path), MANIFEST_FORMAT)
    found = ScoredTexts(source.name, _scorer(manifest), manifest.get("calibration") is not None)
    seen, stage = set[str](), f"reading {source.name}"
    size = source.file.size_bytes
    with _Unchanged(source, hashing=False) as reading:
        for count, passages in enumerate(reading.records()):
            for text, members in zip(passages.texts, passages.members(), strict=True):
                if members is None:
                    raise InputError(
                        f"{passages.place}: a text without scores: {_shortened(text)!r}",
                        hint=f"Score the file: goodctl score {source.name} --scorer NAME --out FILE",
                    )
                seen.update(name for name, value in members.items() if name != "text" and _is_number(value))
                score = _score(passages.place, members, where.attribute)
                _add(found, text, score, passages, where.attribute)
            if count % _EVERY == 0:
                report(Progress(stage, reading.bytes_done(), size, "bytes"))
    report(Progress(stage, size, size, "bytes", finished=True))
    if not found.scores:
        raise InputError(f"{source.name}: no texts", hint="Check that this is the right file.")
    if where.attribute not in seen:
        listed = ", ".join(sorted(seen)[:_LISTED])
        raise InputError(
            f"{source.name}: no text has a score {where.attribute!r}; scores: {listed or 'none'}",
            hint="Pass --attribute with one of them."
            if listed
            else f"Score the file: goodctl score {source.name} --scorer NAME --out FILE",
        )
    return found


class _Unchanged(PassageReading):
    """A pass that keeps NaN where JSON has it, which no scorer writes; in tables it marks what is missing."""

    def _passages(self, record: Record) -> Passages:
        passages = super()._passages(record)
        is_json = self._source.file.format.name in {"json", "jsonl"}
        return replace(passages, columns=record.value) if is_json and isinstance(record.value, dict) else passages


def _add(found: ScoredTexts, text: str, score: float | None, passages: Passages, attribute: str) -> None:
    other = found.add(text, passages.language or UNKNOWN, score)
    if other is not None:
        raise InputError(
            f"{passages.place}: {attribute} {score} for a text that had {other} before: {_shortened(text)!r}",
            hint="One scorer gives a text one score. Compare files of one scorer each.",
        )


def _key(text: str, language: str) -> bytes:
    return hashlib.blake2b(f"{language}\0{text}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _score(place: str, scores: Mapping[str, Any], attribute: str) -> float | None:
    value = scores.get(attribute)
    if value is None:
        return None
    if not _is_number(value) or not 0 <= value <= 1:
        raise InputError(
            f"{place}: {attribute} is {_shortened(json.dumps(value, ensure_ascii=False))}, not a number from 0 to 1.",
            hint="Scores are probabilities; correct the line, or score the file again.",
        )
    return float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _scorer(manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        return from_dict(manifest.get("scorer")).to_dict()
    except ValueError:
        return None


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"
