from __future__ import annotations

import io
import json
from typing import Any

import pytest

from goodctl.corpus.json_array import read_json_array
from goodctl.errors import InputError

CHUNKS = (1, 2, 3, 7, 64, 65536)


def elements(content: str | bytes, chunk_bytes: int = 65536, **options: int) -> list[Any]:
    raw = content if isinstance(content, bytes) else content.encode()
    return [record.value for record in read_json_array(io.BytesIO(raw), "a.json", chunk_bytes=chunk_bytes, **options)]


class EndlessArray(io.RawIOBase):
    """An array that never ends, and knows how much of it was read."""

    def __init__(self, start: bytes = b"[", element: bytes = b'{"text": "some words"},\n') -> None:
        self._ahead = start
        self._element = element
        self.bytes_read = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        assert size >= 0
        while len(self._ahead) < size:
            self._ahead += self._element * 1000
        given, self._ahead = self._ahead[:size], self._ahead[size:]
        self.bytes_read += size
        assert self.bytes_read < 2**22, "the reader goes on and on"
        return given


@pytest.mark.parametrize("chunk_bytes", CHUNKS)
def test_elements_straddle_buffers(chunk_bytes: int) -> None:
    values = [
        {"text": 'ä\n"\\ 😀 \u2028', "n": [-1.5e-7, True, None, {"a": []}]},
        "",
        "string 😀",
        [1, [2]],
        123456789,
        -1.25e10,
        True,
        None,
        float("inf"),
    ]
    compact = json.dumps(values, separators=(",", ":"))
    for content in (json.dumps(values, indent=2), json.dumps(values, ensure_ascii=False), compact):
        assert elements(content, chunk_bytes) == values
        assert elements(b"\xef\xbb\xbf" + content.encode(), chunk_bytes) == values


def test_numbers_and_lines_of_records() -> None:
    content = io.BytesIO(b'\n[\n\n"a", "b",\n{\n"text": "c"\n}\n,\n"d"]')
    found = [(record.number, record.line) for record in read_json_array(content, "a.json", chunk_bytes=3)]
    assert found == [(1, 4), (2, 4), (3, 5), (4, 9)]


@pytest.mark.parametrize("chunk_bytes", CHUNKS)
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "a.json:1: broken JSON: the file is empty"),
        (" \n ", "a.json:2: broken JSON: the file is empty"),
        ('{"text": "a"}', "a.json:1: broken JSON: expecting an array, found an object"),
        ('\n"a"', "a.json:2: broken JSON: expecting an array, found '\"'"),
        ('[\n"a"\n"b"]', "a.json:3: broken JSON: expecting ',' or ']' after element 1"),
        ('[\n"a",\n]', "a.json:3: broken JSON: Expecting value"),
        ('[\n"a"\n', "a.json:3: broken JSON: expecting ',' or ']' after element 1"),
        ('[\n"a"]\nx', "a.json:3: broken JSON: extra data after the end"),
        ("[,]", "a.json:1: broken JSON: Expecting value"),
        ('[\n{"text": "a",\n"b" 1}, "' + "x" * 200 + '"]', "a.json:3: broken JSON: Expecting ':' delimiter"),
        ('[\n{"text": "a\nb"}]', "a.json:2: broken JSON: Invalid control character"),
        ('["a",\n\n{"text":\n "b', "the file ends within element 2, which starts on line 3"),
        ('["a",\n{"text": "b"', "the file ends within element 2, which starts on line 2"),
        ('["a",\ntru]', "a.json:2: broken JSON: Expecting value"),
        ('["a",\n"\\x"]', "a.json:2: broken JSON: Invalid \\escape"),
        ("[\n" + "[" * 100_000, "a.json:2: broken JSON: element 1"),
    ],
)
def test_broken_arrays(content: str, expected: str, chunk_bytes: int) -> None:
    with pytest.raises(InputError) as caught:
        elements(content, chunk_bytes)
    assert expected in caught.value.message
    assert caught.value.hint


def test_an_object_instead_of_an_array_may_be_json_lines() -> None:
    with pytest.raises(InputError) as caught:
        elements('{"text": "a"}\n{"text": "b"}\n')
    assert ".jsonl" in str(caught.value.hint)


@pytest.mark.parametrize("chunk_bytes", CHUNKS)
def test_bytes_that_are_not_utf8(chunk_bytes: int) -> None:
    good = '["ä",\n"ö",\n"'.encode()
    for bad in (b'\xff"]', b'\xe4"]', b'\xf0\x9f\x98"]', b"\xf0\x9f"):
        with pytest.raises(InputError, match=rf"^a\.json:3: not UTF-8: byte 0x{bad[0]:02x} at byte offset {len(good)}"):
            elements(good + bad, chunk_bytes)


def test_the_first_element_comes_after_little_is_read() -> None:
    stream = EndlessArray()
    records = read_json_array(stream, "a.json", chunk_bytes=1024)  # type: ignore[arg-type]
    assert next(records).value == {"text": "some words"}
    assert stream.bytes_read == 1024
    for _ in range(1000):
        next(records)
    assert stream.bytes_read < 30_000


@pytest.mark.parametrize("start", [b'[{"text": "a" "b"},', b'[{"text": "missing},', b"[{text: 1},", b'["a" "b",'])
def test_a_broken_element_is_noticed_before_much_is_read(start: bytes) -> None:
    stream = EndlessArray(start)
    with pytest.raises(InputError, match=r"^a\.json:1: broken JSON"):
        list(read_json_array(stream, "a.json", chunk_bytes=1024))  # type: ignore[arg-type]
    assert stream.bytes_read <= 2048


def test_an_element_without_end_stops_at_the_cap() -> None:
    stream = EndlessArray(b'["', b"words and words ")
    with pytest.raises(InputError, match=r"^a\.json:1: element 1 is longer than 100000 characters"):
        list(read_json_array(stream, "a.json", max_characters=100_000))  # type: ignore[arg-type]
    assert stream.bytes_read < 300_000


def test_a_long_element_is_not_parsed_too_often() -> None:
    reads = 0

    class Counting(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            nonlocal reads
            reads += 1
            return super().read(size)

    content = json.dumps(["x" * 2**20])
    assert len(list(read_json_array(Counting(content.encode()), "a.json", chunk_bytes=16))) == 1
    assert reads < 25
