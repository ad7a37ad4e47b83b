"""CSV and TSV: a header row, then one record a row."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

from goodctl.corpus.fields import Fields
from goodctl.corpus.record import MAX_RECORD_BYTES, Record
from goodctl.corpus.text_lines import text_lines
from goodctl.errors import InputError


def read_delimited(stream: BinaryIO, name: str, *, delimiter: str, fields: Fields) -> Iterator[Record]:
    """Yields each data row as an object of its columns; blank lines are skipped.

    A row may be shorter than the header (those columns are absent), as long as it has the text. A longer
    one is an error: it is what a text with a delimiter outside quotes looks like, and would be cut.

    Args:
        stream: The decompressed content.
        name: The file, for messages.
        delimiter: A comma or a tab.
        fields: Says which column has the text.

    Raises:
        InputError: No column for the text, broken quoting, a row of the wrong length, a column name that occurs twice,
            or not UTF-8.
    """
    # The limit belongs to the process; it is only ever raised, so that no other user of the module loses by it.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD_BYTES))
    rows = _rows(stream, name, delimiter)
    header_line, header = next(rows, (1, []))
    if not header:
        return
    twice = [column for column, count in Counter(header).items() if count > 1 and column]
    if twice:
        raise InputError(
            f"{name}:{header_line}: the header names {twice[0]!r} more than once", hint="Rename one of the columns."
        )
    fields.check_columns(f"{name}:{header_line}", dict.fromkeys(header, True))
    needed = header.index(fields.text) + 1
    for number, (line, row) in enumerate(rows, start=1):
        if len(row) > len(header):
            raise InputError(
                f"{name}:{line}: the row has {len(row)} columns, the header has {len(header)}",
                hint="Put texts that contain the delimiter into double quotes.",
            )
        if len(row) < needed:
            raise InputError(
                f"{name}:{line}: the row has {len(row)} columns and so no {fields.text!r}, which is column {needed}",
                hint="Complete the row, or take it out.",
            )
        yield Record(dict(zip(header, row, strict=False)), number, line)


def _rows(stream: BinaryIO, name: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with the line on which it starts."""
    reader = csv.reader(text_lines(stream, name), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise InputError(
                f"{name}:{line}: broken {'TSV' if delimiter == chr(9) else 'CSV'}: {error}",
                hint='Quote texts with "…", and double each quote inside them ("").',
            ) from error
        if row is None:
            return
        if row:
            yield line, row
