"""A file of bytes as decoded lines, split at line feeds only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from goodctl.corpus.record import MAX_RECORD_BYTES
from goodctl.corpus.utf8 import BOM, not_utf8
from goodctl.errors import InputError


def text_lines(stream: BinaryIO, name: str, *, max_bytes: int = MAX_RECORD_BYTES) -> Iterator[str]:
    r"""Yields each line with its line end; a byte order mark is dropped.

    The lines are split before they are decoded: no other character that Unicode calls a line separator ends a line,
    and a byte that is not UTF-8 has an exact place.

    Args:
        stream: The decompressed content.
        name: The file, for messages.
        max_bytes: Longest line that is read.

    Raises:
        InputError: A line is too long or not UTF-8.
    """
    offset = 0
    number = 0
    while raw := stream.readline(max_bytes + 1):
        number += 1
        if len(raw) > max_bytes:
            raise InputError(
                f"{name}:{number}: the line is longer than {max_bytes} bytes",
                hint="Split the text, or check that the file's name says its format.",
            )
        skip = len(BOM) if number == 1 and raw.startswith(BOM) else 0
        try:
            line = raw[skip:].decode("utf-8")
        except UnicodeDecodeError as error:
            start = skip + error.start
            raise not_utf8(name, number, offset + start, raw[start]) from error
        offset += len(raw)
        yield line
