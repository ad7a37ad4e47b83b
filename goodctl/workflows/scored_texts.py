"""Scores read back from a collated file: each distinct text once, with its language."""

from __future__ import annotations

import hashlib
import json
import math
from array import array
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from goodctl.corpus.fields import Fields
from goodctl.corpus.file_reading import FileReading
from goodctl.corpus.inputs import CorpusFile, resolve_inputs
from goodctl.corpus.record import Record, position
from goodctl.errors import InputError, UsageError
from goodctl.progress import Progress, Report, silent

UNKNOWN = "und"
_LANGUAGES = ("language", "lang")
_FIELDS = ("prompt", "text")
_GENERATIONS = "generations"
_MANIFEST_FORMAT = "goodctl-scores"
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
        scores: In the order of their first line; NaN where there is none.
        languages: Number of each text's language in ``names``.
        lines: Where each text stands first.
        names: Of languages.
        occurrences: Scored texts of all lines, repetitions included.
        places: Hash of language and text to the place in the other columns.
    """

    name: str
    scorer: dict[str, Any] | None = None
    scores: array[float] = field(default_factory=lambda: array("d"))
    languages: array[int] = field(default_factory=lambda: array("l"))
    lines: array[int] = field(default_factory=lambda: array("q"))
    names: list[str] = field(default_factory=list)
    occurrences: int = 0
    places: dict[bytes, int] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)

    @property
    def missing(self) -> int:
        """Texts without a score."""
        return sum(map(math.isnan, self.scores))

    def add(self, text: str, language: str, score: float | None, line: int) -> float | None:
        """Keep a text's score. Gives the score that it had before, where that is another one."""
        self.occurrences += 1
        place = self.places.setdefault(_key(text, language), len(self.scores))
        if place == len(self.scores):
            if language not in self._numbers:
                self._numbers[language] = len(self.names)
                self.names.append(language)
            self.scores.append(math.nan if score is None else score)
            self.languages.append(self._numbers[language])
            self.lines.append(line)
        elif score is not None:
            before = self.scores[place]
            if not math.isnan(before) and before != score:
                return before
            self.scores[place] = score
        return None

    def line_of(self, text: str, language: str) -> int:
        """Where a text stands first."""
        return self.lines[self.places[_key(text, language)]]


def read_scored(path: str, where: Where, report: Report = silent) -> ScoredTexts:
    """Read a file that ``goodctl score`` has written.

    Args:
        path: JSON Lines or JSON, perhaps compressed.
        where: Where its texts and scores are.
        report: Gets progress.

    Raises:
        NotFoundError: There is no such file.
        UsageError: The name is not that of one such file.
        InputError: A line cannot be read, has no scored text, or gives a text another score than an earlier one; no
            text has a score of the attribute.
    """
    file = _one_file(path)
    found, seen, stage = ScoredTexts(file.name, _scorer(path)), set[str](), f"reading {file.name}"
    with closing(FileReading(file, Fields("text"), hashing=False)) as reading:
        for count, record in enumerate(reading.records()):
            for text, language, scores in _texts(file.name, record, where):
                seen.update(name for name, value in scores.items() if name != "text" and _is_number(value))
                score = _score(position(file.name, record), scores, where.attribute)
                _add(found, text, language, score, record, where)
            if count % _EVERY == 0:
                report(Progress(stage, reading.bytes_done(), file.size_bytes, "bytes"))
    report(Progress(stage, file.size_bytes, file.size_bytes, "bytes", finished=True))
    if not found.scores:
        raise InputError(f"{file.name}: no texts", hint="Check that this is the right file.")
    if where.attribute not in seen:
        listed = ", ".join(sorted(seen)[:_LISTED])
        raise InputError(
            f"{file.name}: no text has a score {where.attribute!r}; scores: {listed or 'none'}",
            hint="Pass --attribute with one of them." if listed else "Score the file: goodctl score",
        )
    return found


def _key(text: str, language: str) -> bytes:
    return hashlib.blake2b(f"{language}\0{text}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _add(found: ScoredTexts, text: str, language: str, score: float | None, record: Record, where: Where) -> None:
    line = record.number if record.line is None else record.line
    other = found.add(text, language, score, line)
    if other is not None:
        raise InputError(
            f"{position(found.name, record)}: {where.attribute} {score} for a text that has {other} in line "
            f"{found.line_of(text, language)}: {_shortened(text)!r}",
            hint="One scorer gives a text one score. Compare files of one scorer each.",
        )


def _one_file(path: str) -> CorpusFile:
    sources = resolve_inputs([path])
    if len(sources) != 1 or not isinstance(sources[0], CorpusFile):
        raise UsageError(f"{path}: one file is needed.", hint="Name one file that goodctl score has written.")
    if sources[0].format.name not in {"jsonl", "json"}:
        raise UsageError(
            f"{path}: scores are read from .jsonl and .json files, perhaps with .gz or .zst appended.",
            hint="Name a file that goodctl score has written.",
        )
    return sources[0]


def _texts(name: str, record: Record, where: Where) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Text, language and scores of each scored text of a line."""
    place, line = position(name, record), record.value
    if not isinstance(line, dict):
        raise InputError(f"{place}: the record is no object.", hint="Each line must be one that goodctl score wrote.")
    language = _language(place, line, where.language_field)
    field_name, values = _scored_values(place, line, where.text_field)
    for value in values:
        if not isinstance(value, dict) or not isinstance(value.get("text"), str):
            raise InputError(
                f"{place}: field {field_name!r} has texts without scores.",
                hint=f"Score the file: goodctl score {name} --scorer NAME --out FILE",
            )
        yield value["text"], language, value


def _scored_values(place: str, line: dict[str, Any], named: str | None) -> tuple[str, list[Any]]:
    if named is None and _GENERATIONS in line:
        if not isinstance(line[_GENERATIONS], list):
            raise InputError(f"{place}: field 'generations' is no array.", hint="Correct this line.")
        return _GENERATIONS, line[_GENERATIONS]
    known = named or next((each for each in _FIELDS if each in line), _FIELDS[0])
    if known not in line:
        listed = ", ".join(map(str, list(line)[:_LISTED])) or "none"
        raise InputError(
            f"{place}: no field {known!r}; fields: {listed}",
            hint="Pass --text-field with the field of the scored text.",
        )
    return known, line[known] if isinstance(line[known], list) else [line[known]]


def _language(place: str, line: dict[str, Any], named: str | None) -> str:
    for name in (named,) if named else _LANGUAGES:
        if name in line:
            value = line[name]
            if value is not None and not isinstance(value, str):
                raise InputError(
                    f"{place}: language field {name!r} is no string.", hint="Pass --language-field with another one."
                )
            return (value or "").strip() or UNKNOWN
    return UNKNOWN


def _score(place: str, scores: dict[str, Any], attribute: str) -> float | None:
    value = scores.get(attribute)
    if value is None:
        return None
    if not _is_number(value) or not 0 <= value <= 1:
        raise InputError(
            f"{place}: {attribute} is {json.dumps(value)}, not a number from 0 to 1.",
            hint="Scores are probabilities; correct the line, or score the file again.",
        )
    return float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _scorer(path: str) -> dict[str, Any] | None:
    """The scorer's identity from the manifest beside a file, which only names it: a broken one is as good as none."""
    try:
        manifest = json.loads(Path(f"{path}.manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(manifest, dict) or manifest.get("format") != _MANIFEST_FORMAT:
        return None
    scorer = manifest.get("scorer")
    return scorer if isinstance(scorer, dict) and isinstance(scorer.get("scorer"), str) else None


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"
