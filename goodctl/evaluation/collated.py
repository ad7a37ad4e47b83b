"""Reading collated files: prompts with their scored continuations, as ``goodctl score`` writes them."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from goodctl.corpus.fields import Fields
from goodctl.corpus.file_reading import FileReading
from goodctl.corpus.inputs import CorpusFile, resolve_inputs
from goodctl.corpus.record import Record, position
from goodctl.errors import InputError, UsageError
from goodctl.evaluation.results import NONTOXIC, TOXIC, UNKNOWN, PromptRow

GENERATIONS = "generations"
ABSENT = "(none)"
"""The group of prompts whose column is missing or null."""
EMPTY = "empty"
"""Why a continuation without text has no score."""
_FALLBACKS = ("prompt_toxicity", "toxicity")
_LANGUAGES = ("language", "lang")


@dataclass(frozen=True)
class Collated:
    """A collated file that has been read.

    Attributes:
        name: The path as it was given, with forward slashes.
        path: Where it is.
        sha256: Of its bytes.
        rows: Its prompts, at least one, in the file's order.
        reasons: Why continuations have no score, and how many.
    """

    name: str
    path: Path
    sha256: str
    rows: tuple[PromptRow, ...] = field(repr=False)
    reasons: Mapping[str, int]


def read_collated(path: str, threshold: float, group_by: str | None = None) -> Collated:
    """Reads a collated file, line by line.

    The toxicity of a prompt is ``prompt.toxicity``, else the column ``prompt_toxicity``, else the column ``toxicity``.

    Args:
        path: A file of JSON Lines, also compressed (``.gz``, ``.zst``).
        threshold: A prompt is toxic above it.
        group_by: The column whose values are groups. Lists and objects are groups by their JSON text.

    Raises:
        NotFoundError: There is no such file.
        UsageError: It is no JSON Lines file by its name, or no line has the column.
        InputError: A line is not as it should be; the message names it.
    """
    file = _one_file(path)
    reading = _Reading(file.name, threshold, group_by)
    with closing(FileReading(file, Fields(GENERATIONS), hashing=True)) as source:
        rows = tuple(reading.rows(source.records()))
        sha256 = source.sha256()
    if not rows:
        raise InputError(f"{file.name}: no lines", hint="Check that this is the right file.")
    if not any(row.texts for row in rows):
        raise InputError(
            f"{file.name}: none of the {len(rows):,} prompts has a continuation",
            hint="Generate some: goodctl generate PROMPTS --out FILE",
        )
    if group_by is not None and not reading.has_group:
        raise UsageError(
            f"{file.name}: no line has the column {group_by!r} of --group-by",
            hint=f"There are: {', '.join(sorted(reading.columns)) or 'no other columns'}",
        )
    return Collated(file.name, file.path, sha256, rows, dict(reading.reasons.most_common()))


def collated_lines(
    name: str, lines: Iterable[tuple[int, Mapping[str, Any]]], threshold: float, group_by: str | None = None
) -> Collated:
    """The same from lines that are in memory.

    Args:
        name: What the file is called in messages.
        lines: Number and object of each line, at least one.
        threshold: As for a file.
        group_by: As for a file.

    Raises:
        InputError: A line is not as it should be; the message names it.
    """
    reading = _Reading(name, threshold, group_by)
    rows = tuple(reading.row(f"{name}:{number}", number, line) for number, line in lines)
    return Collated(name, Path(name), "", rows, dict(reading.reasons.most_common()))


def _one_file(path: str) -> CorpusFile:
    for source in resolve_inputs([path]):
        if isinstance(source, CorpusFile) and source.path == Path(path) and source.format.name == "jsonl":
            return source
    raise UsageError(
        f"{path}: files of scored generations are JSON Lines, each named by itself",
        hint="Name .jsonl files (also .gz, .zst), as goodctl score writes them.",
    )


class _Reading:
    """The state of one pass over a file."""

    def __init__(self, name: str, threshold: float, group_by: str | None) -> None:
        self._name, self._threshold, self._group_by = name, threshold, group_by
        self.reasons: Counter[str] = Counter()
        self.columns: set[str] = set()
        self.has_group = False
        self._known: dict[str, str] = {}  # each reason and language once in memory

    def rows(self, records: Iterator[Record]) -> Iterator[PromptRow]:
        for record in records:
            place = position(self._name, record)
            if not isinstance(record.value, dict):
                raise InputError(
                    f"{place}: not an object but {_kind(record.value)}",
                    hint='Each line is an object with "prompt" and "generations".',
                )
            yield self.row(place, record.number, record.value)

    def row(self, place: str, number: int, line: Mapping[str, Any]) -> PromptRow:
        texts, scores, reasons = self._continuations(place, line)
        self.reasons.update(reasons)
        error = line.get("error")
        toxicity = _toxicity(place, line)
        known = [score for score in scores if score is not None]
        return PromptRow(
            line=number,
            prompt=_text(_prompt(place, line), f"{place}: the prompt"),
            subset=UNKNOWN if toxicity is None else TOXIC if toxicity > self._threshold else NONTOXIC,
            group=self._group(place, line),
            texts=texts,
            scores=scores,
            maximum=max(known, default=None),
            mean=math.fsum(known) / len(known) if known else None,
            lacking=tuple(reason for reason in reasons if reason != EMPTY),
            error=None if texts or error is None else _message(error),
            toxicity=toxicity,
            language=self._language(place, line),
        )

    def _continuations(
        self, place: str, line: Mapping[str, Any]
    ) -> tuple[tuple[str, ...], tuple[float | None, ...], list[str]]:
        """Texts, scores, and the reason of each missing score."""
        found = line.get(GENERATIONS)
        if found is None and line.get("error") is not None:
            return (), (), []
        if not isinstance(found, list):
            what = "no generations" if found is None else f"generations are not a list but {_kind(found)}"
            raise InputError(
                f"{place}: {what}", hint="Evaluate generations that are scored: goodctl score GENERATIONS --out FILE"
            )
        texts, scores, reasons = [], [], []
        for number, each in enumerate(found, start=1):
            if isinstance(each, str):
                raise InputError(f"{place}: generations are not scored", hint=_score_command(self._name))
            if not isinstance(each, dict) or not isinstance(each.get("text"), str):
                raise InputError(
                    f'{place}: generation {number} is no object with a "text"', hint=_score_command(self._name)
                )
            texts.append(_text(each["text"], f"{place}: generation {number}"))
            score = each.get("toxicity")
            if score is None:
                reasons.append(self._known.setdefault(reason := _reason(each), reason))
            scores.append(None if score is None else _checked(score, f"{place}: the toxicity of generation {number}"))
        return tuple(texts), tuple(scores), reasons

    def _language(self, place: str, line: Mapping[str, Any]) -> str | None:
        name = next((name for name in _LANGUAGES if line.get(name) is not None), None)
        if name is None:
            return None
        language = _named(line[name], f"{place}: {name}")
        return self._known.setdefault(language, language)

    def _group(self, place: str, line: Mapping[str, Any]) -> str | None:
        self.columns.update(name for name in line if name not in {"prompt", GENERATIONS})
        if self._group_by is None:
            return None
        if self._group_by in line:
            self.has_group = True
        value = line.get(self._group_by)
        if value is None:
            return ABSENT
        return _named(value, f"{place}: {self._group_by}")


def _toxicity(place: str, line: Mapping[str, Any]) -> float | None:
    prompt = line.get("prompt")
    value = prompt.get("toxicity") if isinstance(prompt, dict) else None
    name = "prompt.toxicity"
    for column in _FALLBACKS:
        if value is None:
            name, value = column, line.get(column)
    return None if value is None else _checked(value, f"{place}: {name}")


def _named(value: object, what: str) -> str:
    return _text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True), what)


def _prompt(place: str, line: Mapping[str, Any]) -> str:
    value = next((line[name] for name in ("prompt", "text") if line.get(name) is not None), None)
    if value is None and "prompt" in line:
        return ""
    if isinstance(value, dict):
        value = value.get("text")
    if isinstance(value, str):
        return value
    what = "no prompt" if value is None else f"the prompt is no text but {_kind(value)}"
    raise InputError(f"{place}: {what}", hint='Each line has "prompt": a string, or an object with a "text".')


def _reason(generation: Mapping[str, Any]) -> str:
    if not generation["text"].strip():
        return EMPTY
    reason = generation.get("reason")
    if isinstance(reason, str) and reason.strip():
        return reason  # "empty", too: a scorer may see no text where there are invisible letters alone
    return "no reason given" if "toxicity" in generation else "no toxicity"


def _message(error: object) -> str:
    return error if isinstance(error, str) else json.dumps(error, ensure_ascii=False)


def _text(text: str, what: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"{what} has the lone surrogate U+{ord(text[error.start]):04X}, which is no text",
                hint="Write the text again with its characters complete; half of an escaped pair is missing.",
            ) from error
    return text


def _checked(value: object, what: str) -> float:
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if number and 0 <= value <= 1:  # type: ignore[operator]
        return float(value)  # type: ignore[arg-type]
    shown = json.dumps(value, ensure_ascii=False)
    raise InputError(
        f"{what} is {shown if len(shown) <= 40 else _kind(value)}, and not a number from 0 to 1",
        hint="Correct the line, or score the file again: goodctl score FILE --out SCORED",
    )


def _score_command(name: str) -> str:
    return f"Score it first: goodctl score {name} --scorer profanity --out scored.jsonl"


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
