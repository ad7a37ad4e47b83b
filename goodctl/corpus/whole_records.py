"""Reading one file whose records keep all their columns, since they are written again with something added."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Iterator, Mapping

from goodctl.corpus.fields import Fields
from goodctl.corpus.file_reading import FileReading
from goodctl.corpus.inputs import CorpusFile, resolve_inputs
from goodctl.corpus.parquet import ParquetReading
from goodctl.corpus.reading import Reading
from goodctl.corpus.record import Record
from goodctl.errors import InputError, UsageError


class WholeFields(Fields):
    """The field of the text: the one that was named, else the first that a record has of those that are searched.

    Where that field holds an object, as in RealToxicityPrompts, the text is the string ``text`` inside it.

    Args:
        named: The field that the user named, or None.
        searched: Where to look otherwise; the first is also the name in messages.
    """

    def __init__(self, named: str | None, searched: tuple[str, ...]) -> None:
        super().__init__(named or searched[0])
        self._searched = searched if named is None else (named,)

    def of(self, columns: Mapping[str, object]) -> Fields:
        """The field in a record of these columns."""
        name = next((name for name in self._searched if name in columns), self._searched[0])
        return Fields(f"{name}.text" if isinstance(_inside(columns, name), dict) else name)

    def check_columns(self, place: str, columns: Mapping[str, bool]) -> None:
        """Decides for one column, now that the table's header is known, and makes sure that it is there."""
        # Nobody else has this object, and the readers ask for the text's column only after this check.
        object.__setattr__(self, "text", self.of(columns).text)
        super().check_columns(place, columns)

    def needed_columns(self, columns: Iterable[str]) -> list[str]:
        """All of them."""
        return list(columns)


def _inside(columns: Mapping[str, object], name: str) -> object:
    if name in columns:
        return columns[name]
    found: object = columns
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def one_file(path: str, *, of: str) -> CorpusFile:
    """The file of a path.

    Args:
        path: As the user typed it.
        of: What it is to hold, for messages (``prompts``).

    Raises:
        UsageError: The path names no single file, or its suffix is none that is read.
        NotFoundError: There is no such file.
        InputError: It cannot be read.
    """
    is_folder = os.path.isdir(path)  # noqa: PTH112  # Path.is_dir raises where a folder above is closed to us
    if not is_folder and (os.path.lexists(path) or not glob.has_magic(path)):
        (source,) = resolve_inputs([path])
        if isinstance(source, CorpusFile):
            return source
    what = "a folder" if is_folder else "a pattern" if glob.has_magic(path) else "a hub dataset"
    raise UsageError(f"{path}: {what}, and one file of {of} is needed", hint="Name one file.")


def open_whole(file: CorpusFile, fields: Fields, *, hashing: bool = True) -> Reading:
    """A pass over a file."""
    if file.format.name == "parquet":
        return ParquetReading(file, fields)
    return FileReading(file, fields, hashing=hashing)


def whole_records(file: CorpusFile, reading: Reading) -> Iterator[Record]:
    """The records of a pass; a last line of a TXT file that is empty is none, as it was left there by accident."""
    records = reading.records()
    return _without_empty_end(records) if file.format.name == "txt" else records


def _without_empty_end(records: Iterable[Record]) -> Iterator[Record]:
    held: list[Record] = []
    for record in records:
        yield from held
        held = [] if record.value else [record]
        if not held:
            yield record


def check_json(columns: Mapping[str, object], place: str, *, allow_nan: bool = True) -> None:
    """Makes sure that JSON can hold these columns.

    Args:
        columns: A record.
        place: Where it is, for messages.
        allow_nan: Whether numbers that JSON has no name for are let through.

    Raises:
        InputError: It cannot; the message names the field.
    """
    try:
        json.dumps(columns, ensure_ascii=False, allow_nan=allow_nan).encode()
    except (ValueError, TypeError, RecursionError):
        _check_each(columns, place, allow_nan)


def _check_each(columns: Mapping[str, object], place: str, allow_nan: bool) -> None:
    for column, value in columns.items():
        try:
            json.dumps({column: value}, ensure_ascii=False, allow_nan=allow_nan).encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"{place}: field {column!r} has the lone surrogate U+{ord(error.object[error.start]):04X}, "
                "which is no text",
                hint="Write the text again with its characters complete; half of an escaped pair is missing.",
            ) from error
        except ValueError as error:
            raise InputError(
                f"{place}: field {column!r} has a number that is not finite, which JSON does not have",
                hint="Write null instead.",
            ) from error
        except (TypeError, RecursionError) as error:  # a date in Parquet; brackets in brackets
            raise InputError(
                f"{place}: field {column!r} cannot be written as JSON: {error}",
                hint="Convert it to strings or numbers, or take it out of the file.",
            ) from error
