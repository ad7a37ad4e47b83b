"""A JSON array of any length, element by element."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import BinaryIO

from goodctl.corpus.record import MAX_RECORD_BYTES, Record
from goodctl.corpus.utf8 import not_utf8
from goodctl.errors import InputError

_WHITESPACE = re.compile(r"[ \t\r\n]*")
# An element that is cut off by the end of the buffer fails at most this far before it: at "-Infinit", "\ud83d\ude0".
_LONGEST_TOKEN = 16


def read_json_array(
    stream: BinaryIO, name: str, *, chunk_bytes: int = 64 * 1024, max_characters: int = MAX_RECORD_BYTES
) -> Iterator[Record]:
    """Yields each element of the array; no more of the file is read than is needed for the next one.

    Args:
        stream: The decompressed content.
        name: The file, for messages.
        chunk_bytes: How much is read at a time; more while an element is longer than that.
        max_characters: Longest element that is read.

    Raises:
        InputError: The content is not one JSON array, not UTF-8, or has an element that is too long.
    """
    text = _Window(stream, name, chunk_bytes)
    _check_start(text)
    text.pos += 1
    number = 0
    while (character := text.peek()) != "]":
        if number:
            if character != ",":
                raise text.error(text.pos, f"expecting ',' or ']' after element {number}")
            text.pos += 1
            text.peek()  # a "]" here is an element that is missing
        number += 1
        line = text.line_at(text.pos)
        yield Record(_element(text, number, line, max_characters), number, line)
    text.pos += 1
    if text.peek():
        raise text.error(text.pos, "extra data after the end of the array")


class _Window:
    """The decoded text between what has been parsed and what has been read."""

    def __init__(self, stream: BinaryIO, name: str, chunk_bytes: int) -> None:
        self.name = name
        self.buffer = ""
        self.pos = 0  # start of what is not parsed yet
        self.ended = False
        self._stream = stream
        self._chunk_bytes = chunk_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._bytes_read = 0
        self._at_start = True  # where a byte order mark may be
        self._lines_dropped = 0  # line feeds before the buffer
        self._counted = (0, 0)  # position in the buffer, line feeds before it: so that none is counted twice

    def more(self) -> bool:
        """Reads on; False at the end of the file."""
        if self.ended:
            return False
        self.line_at(self.pos)
        self._lines_dropped += self._counted[1]
        self._counted = (0, 0)
        self.buffer = self.buffer[self.pos :]
        self.pos = 0
        # As much again as there is: an element that has to be parsed anew each time costs twice its length at most.
        raw = self._stream.read(max(self._chunk_bytes, len(self.buffer)))
        self._bytes_read += len(raw)
        self.ended = not raw
        decoded = self._decoded(raw)
        if self._at_start and decoded:
            decoded = decoded.removeprefix("\ufeff")
            self._at_start = False
        self.buffer += decoded
        return True

    def peek(self) -> str:
        """The next character that is not white space, at ``pos``; empty at the end of the file."""
        while True:
            found = _WHITESPACE.match(self.buffer, self.pos)
            self.pos = found.end() if found else self.pos
            if self.pos < len(self.buffer):
                return self.buffer[self.pos]
            if not self.more():
                return ""

    def line_at(self, position: int) -> int:
        """1-based line of a position in the buffer; not before one that was asked for earlier."""
        start, lines = self._counted
        self._counted = (position, lines + self.buffer.count("\n", start, position))
        return 1 + self._lines_dropped + self._counted[1]

    def error(self, position: int, problem: str, hint: str | None = None) -> InputError:
        """The error for broken JSON at a position in the buffer."""
        return InputError(
            f"{self.name}:{self.line_at(position)}: broken JSON: {problem}",
            hint=hint or "Correct the file; a .json file must be one array of objects or strings.",
        )

    def _decoded(self, raw: bytes) -> str:
        try:
            return self._decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            # error.object is what the decoder had kept from the chunk before, and this chunk
            offset = self._bytes_read - len(error.object) + error.start
            line = self.line_at(len(self.buffer)) + error.object.count(b"\n", 0, error.start)
            raise not_utf8(self.name, line, offset, error.object[error.start]) from error


def _check_start(text: _Window) -> None:
    first = text.peek()
    if first == "[":
        return
    if not first:
        raise text.error(text.pos, "the file is empty; expecting an array")
    if first == "{":
        raise text.error(
            text.pos,
            "expecting an array, found an object",
            "If each line is an object, rename the file to .jsonl; else save the array inside the object as a file.",
        )
    raise text.error(text.pos, f"expecting an array, found {first!r}")


def _element(text: _Window, number: int, line: int, max_characters: int) -> object:
    """Parses the element at ``text.pos`` and moves behind it, reading on only if the buffer ends within it."""
    decoder = json.JSONDecoder()
    while True:
        try:
            value, end = decoder.raw_decode(text.buffer, text.pos)
        except json.JSONDecodeError as error:
            # The parser reports a string without an end at its start, which may be far back.
            open_string = error.msg.startswith("Unterminated string")
            cut_off = open_string or len(text.buffer) - error.pos <= _LONGEST_TOKEN
            if cut_off and len(text.buffer) - text.pos > max_characters:
                raise InputError(
                    f"{text.name}:{line}: element {number} is longer than {max_characters} characters",
                    hint="Split the text, or look for a missing quote.",
                ) from error
            if cut_off and text.more():
                continue
            at_end = open_string or not text.buffer[error.pos :].strip()
            ending = f" (the file ends within element {number}, which starts on line {line})" if at_end else ""
            raise text.error(error.pos, f"{error.msg}{ending}") from error
        except (ValueError, RecursionError) as error:  # a number of thousands of digits; brackets in brackets
            raise text.error(text.pos, f"element {number}: {error}") from error
        # A number at the end of the buffer may go on behind it; "-1." is taken for -1 and a dot.
        if isinstance(value, int | float) and len(text.buffer) - end <= _LONGEST_TOKEN and text.more():
            continue
        text.pos = end
        return value
