"""A record: what a format's reader found, before a text is taken out of it."""

from __future__ import annotations

from typing import NamedTuple

MAX_RECORD_BYTES = 256 * 2**20
"""Longest record that is read. A longer one is a mistake (a missing quote or line end) that would fill the memory."""


class Record(NamedTuple):
    """One record of a source.

    Attributes:
        value: The decoded value; an object or a string if all is well.
        number: What ``Document.line`` will be.
        line: Line of the file on which the record starts, or None for formats without lines.
    """

    value: object
    number: int
    line: int | None


def position(source: str, record: Record) -> str:
    """Names the place of a record in messages: ``FILE:LINE``, or ``FILE, row NUMBER``."""
    return f"{source}:{record.line}" if record.line is not None else f"{source}, row {record.number}"
