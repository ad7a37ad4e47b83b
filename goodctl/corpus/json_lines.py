"""JSON Lines: each line that is not blank is a JSON value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import BinaryIO

from goodctl.corpus.record import Record
from goodctl.corpus.text_lines import text_lines
from goodctl.errors import InputError


def read_json_lines(stream: BinaryIO, name: str) -> Iterator[Record]:
    """Yields the value of each line; blank lines are skipped.

    Raises:
        InputError: A line is not JSON, not UTF-8 or too long.
    """
    decoder = json.JSONDecoder()
    for number, line in enumerate(text_lines(stream, name), start=1):
        # What JSON calls white space; a line of others (U+00A0) is not blank but broken.
        content = line.strip(" \t\r\n")
        if not content:
            continue
        try:
            value = decoder.decode(content)
        except json.JSONDecodeError as error:
            raise InputError(
                f"{name}:{number}: broken JSON: {error.msg} (column {error.pos + 1})",
                hint=_hint(number, content),
            ) from error
        except (ValueError, RecursionError) as error:  # a number of thousands of digits; brackets in brackets
            raise InputError(
                f"{name}:{number}: broken JSON: {error}", hint="Take this line out, or write it more simply."
            ) from error
        yield Record(value, number, number)


def _hint(number: int, content: str) -> str:
    if number == 1 and (content.startswith("[") or content == "{"):
        return "A .jsonl file has one JSON value a line. If this is one JSON array over many lines, rename it to .json."
    return "Correct this line. Each line must be one complete JSON value."
