from __future__ import annotations

import io
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from goodctl.corpus import Corpus
from goodctl.corpus.text_lines import text_lines
from goodctl.errors import InputError

from .writing import compress, write_texts


def refused(path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        Corpus((str(path),)).scan()
    assert path.as_posix() in caught.value.message
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize(
    ("kind", "before"),
    [
        (".txt", b"fine\r\n\xef\xbb\xbf\n"),
        (".jsonl", b'\xef\xbb\xbf{"text": "x"}\n\n"'),
        (".csv", b'text\n"a\n'),
        (".json", b'[\n\n"'),
    ],
)
def test_bytes_that_are_not_utf8(tmp_path: Path, kind: str, before: bytes, suffix: str) -> None:
    path = tmp_path / f"a{kind}{suffix}"
    path.write_bytes(compress(before + b'caf\xe9"]\n', suffix))
    error = refused(path)
    assert f"{path.name}:3: not UTF-8: byte 0xe9 at byte offset {len(before) + 3}" in error.message
    assert "iconv -f ISO-8859-1 -t UTF-8" in str(error.hint)


def test_utf16_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("words".encode("utf-16"))
    assert "iconv -f UTF-16 -t UTF-8" in str(refused(path).hint)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("kind", [".txt", ".json", ".jsonl", ".csv"])
@pytest.mark.parametrize("keep", [0.5, 0.999])
def test_cut_off_files(tmp_path: Path, kind: str, suffix: str, keep: float) -> None:
    path = write_texts(tmp_path, kind + suffix, [f"text {number * 7919}" for number in range(3000)])
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    assert "damaged or cut off" in refused(path).message


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_other_bytes_than_the_name_says(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(b"these are plain words\n")
    assert "damaged or cut off" in refused(path).message
    path.write_bytes(compress(b"words\n", suffix) + b"garbage behind the end")
    assert "damaged or cut off" in refused(path).message


@pytest.mark.parametrize("content", [b"", b"PAR1", b"plain words, and many of them", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_files_that_are_not_parquet(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    assert "damaged or cut off, or is not Parquet" in refused(path).message


def test_damaged_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pyarrow.table({"text": [f"text {number}" for number in range(1000)]})
    parquet.write_table(table, path, write_page_checksum=True)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert "damaged" in refused(path).message
    path.write_bytes(content[:4] + b"\xff" * 100 + content[104:])
    assert "damaged" in refused(path).message
    path.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
    assert "damaged" in refused(path).message


def test_parquet_strings_that_are_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    array = pyarrow.array([b"a", b"b", b"caf\xe9"]).view(pyarrow.string())
    parquet.write_table(pyarrow.table({"text": array}), path)
    assert "a.parquet, row 3: not UTF-8: byte 0xe9 at byte offset 3" in refused(path).message


def test_a_line_without_end_stops_at_the_cap() -> None:
    lines = text_lines(io.BytesIO(b"ab\n" + b"x" * 100), "a.txt", max_bytes=10)
    assert next(lines) == "ab\n"
    with pytest.raises(InputError, match=r"a\.txt:2: the line is longer than 10 bytes"):
        next(lines)
