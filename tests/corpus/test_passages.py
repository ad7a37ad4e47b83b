from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from goodctl.corpus.passages import PassageFile, Passages
from goodctl.errors import InputError, NotFoundError, UsageError


def read(path: Path, *options: str | None) -> list[Passages]:
    with PassageFile.find(str(path), *options).open() as reading:
        return list(reading.records(check=True))


def jsonl(tmp_path: Path, *records: Any) -> Path:
    file = tmp_path / "in.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return file


def marked(passages: Passages) -> dict[str, Any]:
    """The record with the length of each text beside it."""
    return passages.with_members([{"n": len(text)} for text in passages.texts], ["old"])


@pytest.mark.parametrize(
    ("record", "field", "texts", "out"),
    [
        (
            {"prompt": "p", "generations": ["a", "bc"], "id": 1},
            None,
            ("a", "bc"),
            {"prompt": "p", "generations": [{"text": "a", "n": 1}, {"text": "bc", "n": 2}], "id": 1},
        ),
        (
            {"prompt": "p", "generations": [{"old": 1, "text": "bc", "n": 7, "kept": [1]}]},
            None,
            ("bc",),
            {"prompt": "p", "generations": [{"text": "bc", "n": 2, "kept": [1]}]},
        ),
        ({"prompt": "p", "generations": []}, None, (), {"prompt": "p", "generations": []}),
        (
            {"prompt": "pp", "generations": ["a"]},
            "prompt",
            ("pp",),
            {"prompt": {"text": "pp", "n": 2}, "generations": ["a"]},
        ),
        ({"text": "a", "prompt": "pp"}, None, ("pp",), {"text": "a", "prompt": {"text": "pp", "n": 2}}),
        (
            {"prompt": {"toxicity": 0.5, "text": "a", "old": 1}},
            None,
            ("a",),
            {"prompt": {"text": "a", "n": 1, "toxicity": 0.5}},
        ),
        (
            {"prompt": {"text": "a", "b": 1}},
            "prompt.text",
            ("a",),
            {"prompt": {"text": "a", "n": 1, "b": 1}},
        ),
        ({"text": {"text": "a", "n": 0}}, None, ("a",), {"text": {"text": "a", "n": 1}}),
        ({"a": {"b": "x", "c": 1}}, "a.b", ("x",), {"a": {"b": {"text": "x", "n": 1}, "c": 1}}),
        ({"a": {"b": {"text": "x"}, "c": 1}}, "a.b", ("x",), {"a": {"b": {"text": "x", "n": 1}, "c": 1}}),
        ({"a.b": "x"}, "a.b", ("x",), {"a.b": {"text": "x", "n": 1}}),
        ({"a": None}, "a.b", ("",), {"a": {"b": {"text": "", "n": 0}}}),
        ({"text": None}, None, ("",), {"text": {"text": "", "n": 0}}),
        ("just text", None, ("just text",), {"text": {"text": "just text", "n": 9}}),
        ("just text", "body", ("just text",), {"text": {"text": "just text", "n": 9}}),
        ({"generations": "a string"}, "generations.x", None, None),
    ],
)
def test_where_texts_are_and_where_they_go(
    tmp_path: Path, record: Any, field: str | None, texts: tuple[str, ...] | None, out: Any
) -> None:
    file = jsonl(tmp_path, record)
    if texts is None:
        with pytest.raises(InputError):
            read(file, field)
        return
    before = json.dumps(record)
    (passages,) = read(file, field)
    assert passages.texts == texts
    assert marked(passages) == out
    assert json.dumps(record) == before
    if "a.b" in out:  # a name with a dot of its own leads to a string only
        return
    again = jsonl(tmp_path, out)
    (passages,) = read(again, field if isinstance(record, dict) else None)
    assert marked(passages) == out, "what was written is read as what it was made of"


@pytest.mark.parametrize(
    ("columns", "language", "field", "found"),
    [
        ({}, None, None, None),
        ({"lang": "de"}, None, None, "de"),
        ({"language": "fr", "lang": "de"}, None, None, "fr"),
        ({"lang": "und"}, None, None, None),
        ({"lang": None}, None, None, None),
        ({"lang": " "}, None, None, None),
        ({"lang": "de"}, "en", None, "en"),
        ({"lang": "de", "tongue": "it"}, None, "tongue", "it"),
        ({"tongue": None}, "en", "tongue", "en"),
        ({"meta": {"l": "it"}}, None, "meta.l", "it"),
    ],
)
def test_languages(
    tmp_path: Path, columns: dict[str, Any], language: str | None, field: str | None, found: str | None
) -> None:
    file = jsonl(tmp_path, {"text": "a", **columns}, {"text": "a", **columns})
    assert [passages.language for passages in read(file, None, language, field)] == [found, found]
    generations = jsonl(tmp_path, {"generations": ["a"], **columns})
    assert read(generations, None, language, field)[0].language == found


def test_every_format(tmp_path: Path) -> None:
    records = [{"lang": "en", "text": "one"}, {"lang": "de", "text": "zwei, drei"}]
    lines = "".join(json.dumps(record) + "\n" for record in records).encode()
    (tmp_path / "a.jsonl").write_bytes(lines)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "c.jsonl.zst").write_bytes(zstandard.compress(lines))
    (tmp_path / "d.json").write_text(json.dumps(records))
    (tmp_path / "e.csv").write_text('lang,text\nen,one\nde,"zwei, drei"\n')
    (tmp_path / "f.tsv").write_text("lang\ttext\nen\tone\nde\tzwei, drei\n")
    parquet.write_table(pa.Table.from_pylist(records), tmp_path / "g.parquet")
    for file in sorted(tmp_path.iterdir()):
        found = read(file)
        assert [(each.language, each.texts) for each in found] == [("en", ("one",)), ("de", ("zwei, drei",))], file
        assert marked(found[1]) == {"lang": "de", "text": {"text": "zwei, drei", "n": 10}}, file
    txt = tmp_path / "h.txt"
    txt.write_text("one\n\ntwo\n\n")
    assert [each.texts for each in read(txt)] == [("one",), ("",), ("two",)]


def test_generations_in_parquet(tmp_path: Path) -> None:
    file = tmp_path / "g.parquet"
    parquet.write_table(pa.Table.from_pylist([{"generations": ["a", "b"], "id": 1}]), file)
    (passages,) = read(file)
    assert passages.texts == ("a", "b")
    assert passages.columns["id"] == 1


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (['{"text": "a"}', '{"text": 3}'], "in.jsonl:2: field 'text' is a number"),
        (['{"text": "a"}', '{"txt": "b"}'], "in.jsonl:2: no field"),
        (['{"text": "a"}', "", '{"text"'], "in.jsonl:3: broken JSON"),
        (['{"text": "a"}', "[1]"], "in.jsonl:2: the record is an array"),
        (['{"text": "a", "n": NaN}'], "in.jsonl:1: field 'n' has a number that is not finite"),
        (['{"text": "a", "n": {"m": [-Infinity]}}'], "in.jsonl:1: field 'n' has a number that is not finite"),
        (['{"text": "a\\ud83d"}'], "in.jsonl:1: field 'text' has the lone surrogate U+D83D"),
        (['{"generations": ["a\\ud83d"]}'], "in.jsonl:1: field 'generations' has the lone surrogate"),
        (['"a\\ud83d"'], "in.jsonl:1: the text has the lone surrogate"),
        (['{"generations": ["a", 3]}'], "in.jsonl:1: generation 2 is no text"),
        (['{"generations": [null]}'], "in.jsonl:1: generation 1 is no text"),
        (['{"generations": [{"txt": "a"}]}'], "in.jsonl:1: generation 1 is no text"),
        (['{"generations": {"a": 1}}'], "in.jsonl:1: field 'generations' is no array"),
        (['{"generations": ["a"]}', '{"text": "a"}'], "in.jsonl:2: no field 'generations'"),
        (['{"text": "a"}', '{"text": "a", "generations": ["a"]}'], "in.jsonl:2: field 'generations', and the records"),
        (['"a"', '{"generations": ["a"]}'], "in.jsonl:2: field 'generations'"),
        (['{"text": "a", "lang": 3}'], "in.jsonl:1: language field 'lang' is a number"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, lines: list[str], words: str) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError) as raised:
        read(file)
    assert words in raised.value.message
    assert raised.value.hint


def test_paths_and_options_that_mean_nothing(tmp_path: Path) -> None:
    file = jsonl(tmp_path, {"text": "a"})
    with pytest.raises(NotFoundError):
        PassageFile.find(str(tmp_path / "none.jsonl"))
    for path in (tmp_path, tmp_path / "*.jsonl", tmp_path / "a.pdf"):
        (tmp_path / "a.pdf").touch()
        with pytest.raises(UsageError):
            PassageFile.find(str(path))
    for number, option in enumerate(("text-field", "language", "language-field")):
        options: list[str | None] = [None, None, None]
        options[number] = " "
        with pytest.raises(UsageError, match=option):
            PassageFile.find(str(file), *options)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.lists(
        st.tuples(st.dictionaries(st.text(max_size=5), values, max_size=3), st.lists(st.text(max_size=5), max_size=3)),
        min_size=1,
        max_size=5,
    )
)
def test_all_but_the_texts_stays_what_it_was(tmp_path_factory: Any, records: list[Any]) -> None:
    lines = [{**columns, "generations": texts, "lang": "en"} for columns, texts in records]
    file = jsonl(tmp_path_factory.mktemp("p"), *lines)
    for line, passages in zip(lines, read(file), strict=True):
        out = marked(passages)
        assert list(out) == list(line)
        assert {**out, "generations": [each["text"] for each in out["generations"]]} == line
