"""Prompt files: the texts from which a generation starts, with all that the file says about each."""

from __future__ import annotations

import glob
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

from goodctl.corpus.fields import Fields
from goodctl.corpus.file_reading import FileReading
from goodctl.corpus.inputs import CorpusFile, resolve_inputs
from goodctl.corpus.parquet import ParquetReading
from goodctl.corpus.reading import Reading
from goodctl.corpus.record import Record, position
from goodctl.errors import InputError, UsageError

_PROMPT = "prompt"
_SEARCHED = (_PROMPT, "text")


@dataclass(frozen=True)
class Prompt:
    """One prompt of a file.

    Attributes:
        number: 0-based position among the prompts of the file.
        line: 1-based, for messages: the line on which the record starts, or the row (Parquet).
        text: The prompt; may be empty.
        columns: What the record had, in its order and with its values (NaN and infinity as None), headed by
            ``prompt`` (the text) if it had no column of that name.
    """

    number: int
    line: int
    text: str
    columns: dict[str, Any]


@dataclass(frozen=True)
class PromptFile:
    """A prompt file that has been read.

    Attributes:
        name: The path as given, with forward slashes.
        sha256: Of all bytes on disk, however many of the prompts were read.
        prompts: At least one.
    """

    name: str
    sha256: str
    prompts: tuple[Prompt, ...]


def read_prompts(path: str, *, most: int | None = None, field: str | None = None) -> PromptFile:
    """Reads a file of prompts; its suffix says the format, as for a corpus.

    The prompt of a record is its field ``prompt``, else its field ``text``. Where that field holds an object, as in
    RealToxicityPrompts, the prompt is the string ``text`` inside it; where it is null, the prompt is empty. A record
    that is a string, and a line of a TXT file, is the prompt itself. An empty line of a TXT file is an empty prompt,
    unless it is the last one.

    Args:
        path: One file.
        most: Reads only the first so many prompts, and checks nothing behind them; None reads all.
        field: The field to take instead, by its whole name or, with dots, inside objects (``a.b``).

    Raises:
        UsageError: The path names no single file, its suffix is none that is read, or an option has no meaning.
        InputError: The file has no prompts, or something in it cannot be read; the message names the line.
        NotFoundError: There is no such file.
        MissingDependency: Parquet needs a package that is not installed.
        ServiceError: The disk fails.
    """
    if most is not None and most < 1:
        raise UsageError(
            f"The number of prompts is {most}.", hint="Give --num-prompts of at least 1, or leave it out to read all."
        )
    if field is not None and not field.strip():
        raise UsageError("The prompt field is empty.", hint="Give --prompt-field a name, or leave it out.")
    file = _one_file(path)
    fields = _PromptFields(field)
    try:
        with closing(_open(file, fields)) as reading:
            records: Iterable[Record] = reading.records()
            if file.format.name == "txt":
                records = _without_empty_end(records)
            prompts = tuple(
                _prompt(file.name, number, record, fields) for number, record in enumerate(islice(records, most))
            )
            sha256 = reading.sha256()
    except InputError as error:
        if error.hint is not None:  # the fields of a corpus are named by another option
            error.hint = error.hint.replace("--text-field", "--prompt-field")
        raise
    if not prompts:
        raise InputError(
            f"{file.name}: no prompts",
            hint='Check that this is the right file. One empty prompt is the line {"prompt": ""} in a .jsonl file.',
        )
    return PromptFile(file.name, sha256, prompts)


class _PromptFields(Fields):
    """The field of the prompt: the one that was named, else the first of those that are searched."""

    def __init__(self, named: str | None) -> None:
        super().__init__(named or _PROMPT)
        self._searched = _SEARCHED if named is None else (named,)

    def of(self, columns: Mapping[str, Any]) -> Fields:
        """The field in a record of these columns."""
        name = next((name for name in self._searched if name in columns), self.text)
        return Fields(f"{name}.text" if isinstance(columns.get(name), dict) else name)

    def check_columns(self, place: str, columns: Mapping[str, bool]) -> None:
        """Decides for one column, now that the table's header is known, and makes sure that it is there."""
        # Nobody else has this object, and the readers ask for the text's column only after this check.
        object.__setattr__(self, "text", self.of(columns).text)
        super().check_columns(place, columns)

    def needed_columns(self, columns: Iterable[str]) -> list[str]:
        """All of them: a prompt keeps its columns."""
        return list(columns)


def _one_file(path: str) -> CorpusFile:
    is_folder = os.path.isdir(path)  # noqa: PTH112  # Path.is_dir raises where a folder above is closed to us
    if not is_folder and (os.path.lexists(path) or not glob.has_magic(path)):
        (source,) = resolve_inputs([path])
        if isinstance(source, CorpusFile):
            return source
    what = "a folder" if is_folder else "a pattern" if glob.has_magic(path) else "a hub dataset"
    raise UsageError(f"{path}: {what}, and one file of prompts is needed", hint="Name one file.")


def _open(file: CorpusFile, fields: Fields) -> Reading:
    if file.format.name == "parquet":
        return ParquetReading(file, fields)
    return FileReading(file, fields, hashing=True)


def _without_empty_end(records: Iterable[Record]) -> Iterator[Record]:
    """All but a last line that is empty: it was left there by accident."""
    held: list[Record] = []
    for record in records:
        yield from held
        held = [] if record.value else [record]
        if not held:
            yield record


def _prompt(name: str, number: int, record: Record, fields: _PromptFields) -> Prompt:
    columns: dict[str, Any] = {}
    if isinstance(record.value, dict):
        columns = _as_json(record.value, position(name, record))
    text = fields.of(columns).document(name, record).text
    if _PROMPT not in columns:
        columns = {_PROMPT: text, **columns}
    return Prompt(number, record.number if record.line is None else record.line, text, columns)


def _without_nan(value: Any) -> Any:
    """The same with None for numbers that JSON lacks: NaN, which marks what is missing in tables, and infinity."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _without_nan(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    return value


def _as_json(columns: Mapping[str, object], place: str) -> dict[str, Any]:
    """The columns as the output of a generation can have them."""
    found = {}
    for column, value in columns.items():
        try:
            json.dumps({column: value}, ensure_ascii=False).encode()
            found[column] = _without_nan(value)
        except UnicodeEncodeError as error:
            raise InputError(
                f"{place}: field {column!r} has the lone surrogate U+{ord(error.object[error.start]):04X}, "
                "which is no text",
                hint="Write the text again with its characters complete; half of an escaped pair is missing.",
            ) from error
        except (TypeError, RecursionError) as error:  # a date in Parquet; brackets in brackets
            raise InputError(
                f"{place}: field {column!r} cannot be written as JSON: {error}",
                hint="Convert it to strings or numbers, or take it out of the file.",
            ) from error
    return found
