from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
import zstandard

from goodctl.corpus import Corpus, Document
from goodctl.errors import InputError

from .writing import COMPRESSIONS, SUFFIXES, compress, write_texts

TEXTS = ["plain", "", "größer, 日本語 😀", 'says "no"', "line\u2028separator\x85\x0b\x0cnext", "tab\there", "last"]


def read(path: Path, **options: Any) -> list[Document]:
    return list(Corpus((str(path),), **options).documents())


def texts(path: Path) -> list[str]:
    return [document.text for document in read(path)]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_yields_the_same_documents(tmp_path: Path, suffix: str) -> None:
    path = write_texts(tmp_path, suffix, TEXTS)
    documents = read(path, language="de")
    assert [document.text for document in documents] == TEXTS
    assert {document.source for document in documents} == {path.as_posix()}
    assert {document.language for document in documents} == {"de"}
    assert [document.line for document in documents] == list(range(1, len(TEXTS) + 1))


@pytest.mark.parametrize("suffix", [suffix for suffix in SUFFIXES if ".parquet" not in suffix])
def test_a_byte_order_mark_is_dropped(tmp_path: Path, suffix: str) -> None:
    plain = write_texts(tmp_path, suffix.removesuffix(".gz").removesuffix(".zst"), ["\ufeffkept", "b"])
    path = tmp_path / f"marked{suffix}"
    path.write_bytes(compress(b"\xef\xbb\xbf" + plain.read_bytes(), path.suffix))
    assert texts(path) == ["\ufeffkept", "b"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"a\n\n", ["a", ""]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\r\r\nb", ["a\r", "b"]),
        (b"a\rb\n", ["a\rb"]),
        (b"a\r", ["a\r"]),
        (b"  a \n", ["  a "]),
        (b"a\x00b\n", ["a\x00b"]),
    ],
)
def test_txt_line_ends(tmp_path: Path, content: bytes, expected: list[str]) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    assert texts(path) == expected


def test_json_strings_and_objects_mix(tmp_path: Path) -> None:
    array = tmp_path / "a.json"
    array.write_text('[ "one"\n,{"text":"two"},\n"\\ud83d\\ude00", {"text": null}]\n')
    assert texts(array) == ["one", "two", "😀", ""]
    lines = tmp_path / "a.jsonl"
    lines.write_text('"one"\n\n  \t\r\n{"text":"two"}\r\n"three"')
    assert [(document.text, document.line) for document in read(lines)] == [("one", 1), ("two", 4), ("three", 5)]


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_an_empty_array_has_no_documents(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.json{suffix}"
    path.write_bytes(compress(b" [ \n ] ", suffix))
    assert texts(path) == []


def test_csv_rows_over_lines_blank_lines_and_short_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'text,lang\r\n"two\r\nlines",de\r\n\r\n"say ""hi""",\r\nshort\r\n')
    found = [(document.text, document.language, document.line) for document in read(path, language_field="lang")]
    assert found == [("two\r\nlines", "de", 1), ('say "hi"', "und", 2), ("short", "und", 3)]


def test_a_csv_text_longer_than_the_modules_default_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text\n" + "x" * 500_000 + "\n")
    assert texts(path) == ["x" * 500_000]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'id,text\n1,a\n\n2,"b\nc"\n3\n', "a.csv:6: the row has 1 columns and so no 'text', which is column 2"),
        (b"id,text\n1,hello, world\n", "a.csv:2: the row has 3 columns, the header has 2"),
        (b'id,text\n1,a\n2,"open\n3,c\n', "a.csv:3: broken CSV: unexpected end of data"),
        (b'id,text\n1,"a" b\n', "a.csv:2: broken CSV: ',' expected after '\"'"),
        (b"text,text\n1,2\n", "a.csv:1: the header names 'text' more than once"),
        (b"\n\nid,body\n", "a.csv:3: no field 'text'; fields: id, body"),
    ],
)
def test_broken_csv(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(path)
    assert expected in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("content", "expected", "hint"),
    [
        ('{"text": "a"}\n{"text": }\n', "a.jsonl:2: broken JSON: Expecting value (column 10)", "one complete JSON"),
        ('[\n{"text": "a"}\n]', "a.jsonl:1: broken JSON", "rename it to .json"),
        ("\n\n17\n", "a.jsonl:3: the record is a number", "object"),
        ('{"text": "a"} {"text": "b"}\n', "a.jsonl:1: broken JSON: Extra data", "one complete JSON"),
        ('"a"\n' + "[" * 100_000 + "\n", "a.jsonl:2: broken JSON", "simply"),
        ('{"text": "a", "n": ' + "9" * 5000 + "}\n", "a.jsonl:1: broken JSON: Exceeds the limit", "simply"),
    ],
)
def test_broken_json_lines(tmp_path: Path, content: str, expected: str, hint: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read(path)
    assert expected in caught.value.message
    assert hint in str(caught.value.hint)


def test_many_frames_and_members(tmp_path: Path) -> None:
    compressor = zstandard.ZstdCompressor()
    skippable = b"\x50\x2a\x4d\x18\x05\x00\x00\x00hello"
    frames = skippable + compressor.compress(b"a\nb") + compressor.compress(b"") + compressor.compress(b"c\nd\n")
    (tmp_path / "a.txt.zst").write_bytes(frames + skippable)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"a\nb") + gzip.compress(b"c\nd\n"))
    assert texts(tmp_path / "a.txt.zst") == texts(tmp_path / "a.txt.gz") == ["a", "bc", "d"]


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_content_larger_than_all_buffers(tmp_path: Path, suffix: str) -> None:
    many = [f"{number} " + "ö" * (number % 97) for number in range(20_000)]
    assert texts(write_texts(tmp_path, f".json{suffix}", many)) == many
