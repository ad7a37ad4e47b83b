"""Plain text: each line is a document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from goodctl.corpus.record import Record
from goodctl.corpus.text_lines import text_lines


def read_plain_text(stream: BinaryIO, name: str) -> Iterator[Record]:
    r"""Yields each line without its ``\n`` or ``\r\n``; an empty line is a record with an empty text.

    Raises:
        InputError: A line is not UTF-8 or too long.
    """
    for number, line in enumerate(text_lines(stream, name), start=1):
        text = line
        if line.endswith("\n"):
            text = line[:-2] if line.endswith("\r\n") else line[:-1]
        yield Record(text, number, number)
