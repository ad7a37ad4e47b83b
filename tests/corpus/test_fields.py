from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from goodctl.corpus import Corpus, Document
from goodctl.errors import InputError


def read(tmp_path: Path, *records: Any, **options: Any) -> list[Document]:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return list(Corpus((str(path),), **options).documents())


def refused(tmp_path: Path, *records: Any, **options: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        read(tmp_path, *records, **options)
    return caught.value


def test_dotted_paths_reach_into_objects(tmp_path: Path) -> None:
    records = [{"prompt": {"text": "a"}}, {"prompt.text": "b", "prompt": {"text": "c"}}, {"prompt": None}]
    documents = read(tmp_path, *records, text_field="prompt.text")
    assert [document.text for document in documents] == ["a", "b", ""]


def test_languages(tmp_path: Path) -> None:
    records: list[Any] = [{"text": "a", "m": {"lang": " fr "}}, {"text": "b", "m": {"lang": None}}]
    records += [{"text": "c", "m": {}}, {"text": "d", "m": {"lang": ""}}, {"text": "e"}, "f"]
    documents = read(tmp_path, *records, language="de", language_field="m.lang")
    assert [document.language for document in documents] == ["fr", "de", "de", "de", "de", "de"]
    error = refused(tmp_path, {"text": "a", "lang": ["en"]}, language_field="lang")
    assert "a.jsonl:1: language field 'lang' is an array, not a string" in error.message


@pytest.mark.parametrize(
    ("record", "field", "message", "hint"),
    [
        ({"txt": "a", "label": "b"}, "text", "a.jsonl:2: no field 'text'; fields: txt, label", "--text-field txt"),
        ({"body": "a", "n": 1}, "text", "a.jsonl:2: no field 'text'; fields: body, n", "--text-field body"),
        ({"a": "x", "b": "y"}, "text", "fields: a, b", "--text-field NAME"),
        ({"p": {"text": "x", "n": 1}}, "text", "fields: p.text, p.n", "--text-field p.text"),
        ({"p": {"text": "x"}}, "p.txt", "no field 'p.txt'; fields: p.text", "--text-field p.text"),
        ({"p": "x"}, "p.text", "no field 'p.text'; fields: p", "--text-field p"),
        ({}, "text", "no field 'text'; fields: none", "--text-field NAME"),
        ({f"f{n}": n for n in range(25)}, "text", "f19 and 5 more", "--text-field NAME"),
        ({"text": 3, "title": "a"}, "text", "a.jsonl:2: field 'text' is a number, not a string", "--text-field title"),
        ({"text": {"x": "a"}}, "text", "field 'text' is an object, not a string", "--text-field text.x"),
        ({"text": True}, "text", "field 'text' is a boolean", "--text-field NAME"),
    ],
)
def test_a_wrong_text_field(tmp_path: Path, record: Any, field: str, message: str, hint: str) -> None:
    error = refused(tmp_path, "a plain string", record, text_field=field)
    assert message in error.message
    assert hint in str(error.hint)


@pytest.mark.parametrize(
    ("record", "options", "what"),
    [
        ({"text": "ok \ud800"}, {}, "field 'text' has the lone surrogate U+D800 at character 4"),
        ("\udc00", {}, "the text has the lone surrogate U+DC00 at character 1"),
        ({"text": "a", "l": "\ud83d"}, {"language_field": "l"}, "language field 'l' has the lone surrogate U+D83D"),
    ],
)
def test_half_a_surrogate_pair_is_no_text(tmp_path: Path, record: Any, options: dict[str, str], what: str) -> None:
    error = refused(tmp_path, "a", record, **options)
    assert f"a.jsonl:2: {what}" in error.message
    error.message.encode()


def test_parquet_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = [{"p": {"text": "a", "n": 1}, "lang": "de", "id": 1}, {"p": None, "lang": None, "id": 2}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    documents = list(Corpus((str(path),), text_field="p.text", language_field="lang").documents())
    assert documents == [Document("a", "de", path.as_posix(), 1), Document("", "und", path.as_posix(), 2)]
    with pytest.raises(InputError, match=r"a\.parquet: no field 'text'; fields: p, p\.text, p\.n, lang, id"):
        list(Corpus((str(path),)).documents())
    with pytest.raises(InputError, match=r"a\.parquet, row 1: field 'id' is a number, not a string"):
        list(Corpus((str(path),), text_field="id").documents())


def test_parquet_text_types(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    for kind in (pyarrow.large_string(), pyarrow.dictionary(pyarrow.int32(), pyarrow.string())):
        parquet.write_table(pyarrow.table({"text": pyarrow.array(["a", None, "a"]).cast(kind)}), path)
        assert [document.text for document in Corpus((str(path),)).documents()] == ["a", "", "a"]
    parquet.write_table(pyarrow.table({"text": pyarrow.array([b"a"])}), path)
    with pytest.raises(InputError, match="row 1: field 'text' is binary, not a string"):
        list(Corpus((str(path),)).documents())
