"""Prompt files: the texts from which a generation starts, with all that the file says about each."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

from goodctl.corpus.record import Record, position
from goodctl.corpus.whole_records import WholeFields, check_json, one_file, open_whole, whole_records
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
        columns: What the record had, in its order and with its values, headed by ``prompt`` (the text) if it had no
            column of that name.
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
    file = one_file(path, of="prompts")
    fields = WholeFields(field, _SEARCHED)
    try:
        with closing(open_whole(file, fields)) as reading:
            records = islice(whole_records(file, reading), most)
            prompts = tuple(_prompt(file.name, number, record, fields) for number, record in enumerate(records))
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


def _prompt(name: str, number: int, record: Record, fields: WholeFields) -> Prompt:
    columns: dict[str, Any] = {}
    if isinstance(record.value, dict):
        columns = record.value
        check_json(columns, position(name, record))
    text = fields.of(columns).document(name, record).text
    if _PROMPT not in columns:
        columns = {_PROMPT: text, **columns}
    return Prompt(number, record.number if record.line is None else record.line, text, columns)
