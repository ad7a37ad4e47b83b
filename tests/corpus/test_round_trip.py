from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodctl.corpus import Corpus
from goodctl.corpus.json_array import read_json_array
from goodctl.corpus.text_lines import text_lines

from .writing import write_texts

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n")).filter(
    lambda text: not text.endswith("\r")
)


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".tsv", ".parquet", ".jsonl.gz", ".json.zst"])
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(texts=st.lists(TEXT))
def test_any_texts_come_back(suffix: str, texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write_texts(Path(folder), suffix, texts)
        assert [document.text for document in Corpus((str(path),)).documents()] == texts


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(lines=st.lists(LINE))
def test_any_lines_come_back(lines: list[str]) -> None:
    if lines and lines[0].startswith("\ufeff"):
        lines[0] = "\ufeff" + lines[0]  # the first mark is not text
    with tempfile.TemporaryDirectory() as folder:
        path = write_texts(Path(folder), ".txt", lines)
        expected = [lines[0].removeprefix("\ufeff"), *lines[1:]] if lines else []
        assert [document.text for document in Corpus((str(path),)).documents()] == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    values=st.lists(JSON, max_size=6),
    chunk_bytes=st.integers(1, 40),
    indent=st.none() | st.integers(0, 3),
    ascii_only=st.booleans(),
)
def test_an_array_is_the_same_for_every_buffer_size(
    values: list[object], chunk_bytes: int, indent: int | None, ascii_only: bool
) -> None:
    content = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
    records = list(read_json_array(io.BytesIO(content.encode()), "a.json", chunk_bytes=chunk_bytes))
    assert [record.value for record in records] == values
    assert [record.number for record in records] == list(range(1, len(values) + 1))


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(text=TEXT)
def test_lines_add_up_to_the_content(text: str) -> None:
    content = b"\xef\xbb\xbf" + text.encode()
    assert "".join(text_lines(io.BytesIO(content), "a.txt")) == text
