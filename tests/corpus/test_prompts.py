from __future__ import annotations

import hashlib
import json
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from goodctl.corpus.prompts import Prompt, PromptFile, read_prompts
from goodctl.errors import GoodctlError, InputError, NotFoundError, UsageError

from .test_round_trip import JSON, TEXT
from .writing import SUFFIXES, compress, write_texts

REAL_TOXICITY = {
    "filename": "0766186-bc7f2a64cb271f5f56cf6f25570cd9ed.txt",
    "begin": 340,
    "challenging": False,
    "prompt": {"text": "Le café, “ça va”? ", "toxicity": 0.14523514, "threat": None},
    "continuation": {"text": " 好的 🙂", "toxicity": 1e-07},
    "lang": "fr",
}


def read(tmp_path: Path, *records: Any, **options: Any) -> list[Prompt]:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return list(read_prompts(str(path), **options).prompts)


def refused(path: Path | str, kind: type[GoodctlError] = InputError, **options: Any) -> GoodctlError:
    with pytest.raises(kind) as caught:
        read_prompts(str(path), **options)
    assert type(caught.value) is kind
    assert caught.value.hint
    assert "--text-field" not in caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (REAL_TOXICITY, "Le café, “ça va”? "),
        ({"prompt": "a", "text": "b", "id": 7}, "a"),
        ({"id": 7, "prompt": "a", "generations": ["b", "c"]}, "a"),
        ({"prompt": {"text": "a"}, "generations": [{"text": "b", "toxicity": 0.5}]}, "a"),
        ({"prompt": None, "text": "b"}, ""),
        ({"prompt": {"text": None, "toxicity": None}}, ""),
        ({"prompt": ""}, ""),
    ],
)
def test_a_record_with_a_prompt_keeps_its_columns(tmp_path: Path, record: dict[str, Any], text: str) -> None:
    (prompt,) = read(tmp_path, record)
    assert prompt.text == text
    assert list(prompt.columns.items()) == list(record.items())


@pytest.mark.parametrize(
    ("record", "columns"),
    [
        ({"lang": "en", "text": "a"}, {"prompt": "a", "lang": "en", "text": "a"}),
        ({"text": "a", "generations": [{"text": "b"}]}, {"prompt": "a", "text": "a", "generations": [{"text": "b"}]}),
        ({"text": None}, {"prompt": "", "text": None}),
        ("a\u2028b", {"prompt": "a\u2028b"}),
    ],
)
def test_the_prompt_heads_the_columns_of_a_record_without_one(tmp_path: Path, record: Any, columns: Any) -> None:
    (prompt,) = read(tmp_path, record)
    assert prompt.text == columns["prompt"]
    assert list(prompt.columns.items()) == list(columns.items())


def test_a_named_field(tmp_path: Path) -> None:
    records: list[Any] = [{"q": {"de": "a"}, "text": "b"}, {"q.de": "c", "prompt": "d"}, {"q": None}, "e"]
    prompts = read(tmp_path, *records, field="q.de")
    assert [prompt.text for prompt in prompts] == ["a", "c", "", "e"]
    assert prompts[0].columns == {"prompt": "a", "q": {"de": "a"}, "text": "b"}
    assert prompts[1].columns == {"q.de": "c", "prompt": "d"}
    assert [read(tmp_path, REAL_TOXICITY, field=name)[0].text for name in ("continuation", "lang")] == [
        " 好的 🙂",
        "fr",
    ]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format(tmp_path: Path, suffix: str) -> None:
    texts = ["one, two", "", "drei 🙂"]
    path = write_texts(tmp_path, suffix, texts)
    found = read_prompts(str(path))
    assert (found.name, found.sha256) == (path.as_posix(), hashlib.sha256(path.read_bytes()).hexdigest())
    assert [(prompt.number, prompt.text) for prompt in found.prompts] == list(enumerate(texts))
    ids = {} if suffix.startswith((".txt", ".text")) else {"id": "r2", "text": "drei 🙂"}
    assert found.prompts[2].columns == {"prompt": "drei 🙂", **ids}


def test_tables_keep_strings_and_say_where_a_row_starts(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,toxicity,prompt,lang\nb,0.10,"two\nlines",de\nb,,null\n')
    assert read_prompts(str(path)).prompts == (
        Prompt(0, 2, "two\nlines", {"text": "b", "toxicity": "0.10", "prompt": "two\nlines", "lang": "de"}),
        Prompt(1, 4, "null", {"text": "b", "toxicity": "", "prompt": "null"}),
    )
    assert [prompt.text for prompt in read_prompts(str(path), field="text").prompts] == ["b", "b"]


def test_parquet_keeps_all_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows: list[dict[str, Any]] = [REAL_TOXICITY, {**REAL_TOXICITY, "prompt": None}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    assert read_prompts(str(path)).prompts == (
        Prompt(0, 1, "Le café, “ça va”? ", rows[0]),
        Prompt(1, 2, "", rows[1]),
    )
    parquet.write_table(pyarrow.table({"text": ["a"], "day": [date(2024, 1, 2)]}), path)
    assert "a.parquet, row 1: field 'day' cannot be written as JSON" in refused(path).message


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("a\n\nb", ["a", "", "b"]),
        ("a\n\nb\n", ["a", "", "b"]),
        ("\n\na\r\n\r\n", ["", "", "a"]),
        ("a\n\n\n", ["a", ""]),
        (" \n", [" "]),
    ],
)
def test_only_the_last_line_of_plain_text_may_be_empty_without_being_a_prompt(
    tmp_path: Path, content: str, texts: list[str]
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content.encode())
    prompts = read_prompts(str(path)).prompts
    assert [prompt.text for prompt in prompts] == texts
    assert [prompt.line for prompt in prompts] == list(range(1, len(texts) + 1))


def test_blank_lines_of_json_lines_count_as_lines_but_not_as_prompts(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('\ufeff{"text": "a"}\n\n \n"b"\n')
    assert [(prompt.number, prompt.line) for prompt in read_prompts(str(path)).prompts] == [(0, 1), (1, 4)]


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_most_reads_the_first_prompts_and_hashes_the_whole_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    lines = "".join(json.dumps({"prompt": f"prompt {number * 7919}"}) + "\n" for number in range(20_000))
    path.write_bytes(compress(lines.encode() + b"no JSON", suffix))
    found = read_prompts(str(path), most=2)
    assert [prompt.text for prompt in found.prompts] == ["prompt 0", "prompt 7919"]
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert f"a.jsonl{suffix}:20001: broken JSON" in refused(path).message


def test_most_may_be_more_than_there_are(tmp_path: Path) -> None:
    assert len(read(tmp_path, "a", "b", most=2)) == len(read(tmp_path, "a", "b", most=3)) == 2


def test_numbers_that_json_does_not_have_become_null(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": {"text": "a", "toxicity": NaN}, "more": [1.5, Infinity, {"b": -Infinity}]}\n')
    columns = read_prompts(str(path)).prompts[0].columns
    assert columns == {"prompt": {"text": "a", "toxicity": None}, "more": [1.5, None, {"b": None}]}


@pytest.mark.parametrize("depth", [300, 900, 5000])
def test_brackets_in_brackets_are_read_or_refused_with_their_line(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "a", "deep": ' + "[" * depth + "]" * depth + "}\n")
    try:
        assert read_prompts(str(path)).prompts[0].text == "a"
    except InputError as error:
        assert "a.jsonl:1" in error.message


RECORD = st.dictionaries(TEXT, JSON, max_size=4)
PROMPT = TEXT | st.none() | st.fixed_dictionaries({"text": TEXT | st.none()}, optional={"toxicity": st.floats()})


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(
    rows=st.lists(st.tuples(RECORD, st.sampled_from(["prompt", "text"]), PROMPT, RECORD), min_size=1, max_size=5),
    ascii_only=st.booleans(),
)
def test_any_columns_come_back_in_order(rows: list[tuple[Any, str, Any, Any]], ascii_only: bool) -> None:
    records = [{**before, name: value, **after} for before, name, value, after in rows]
    for record, (_, name, value, _) in zip(records, rows, strict=True):
        record[name] = value  # whatever the others had under this name
        if name == "text":
            record.pop("prompt", None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.jsonl")
        lines = [json.dumps(record, ensure_ascii=ascii_only) + "\n" for record in records]
        path.write_text("".join(lines), encoding="utf-8", newline="\n")
        prompts = read_prompts(str(path)).prompts
    for number, (prompt, record, (_, name, value, _)) in enumerate(zip(prompts, records, rows, strict=True)):
        text = (value["text"] if isinstance(value, dict) else value) or ""
        expected = record if name == "prompt" else {"prompt": text, **record}
        assert (prompt.number, prompt.line, prompt.text) == (number, number + 1, text)
        # Equal in order and in type, but for numbers that JSON does not have.
        standard = json.loads(json.dumps(expected), parse_constant=lambda _: None)
        assert json.dumps(prompt.columns, allow_nan=False) == json.dumps(standard)


@pytest.mark.parametrize(
    ("record", "options", "message", "hint"),
    [
        (7, {}, "a.jsonl:2: the record is a number, not an object or a string", "Each record must be"),
        (["a"], {}, "a.jsonl:2: the record is an array", "Each record must be"),
        (None, {}, "a.jsonl:2: the record is null", "Each record must be"),
        ({"prompt": ["a"]}, {}, "a.jsonl:2: field 'prompt' is an array, not a string", "--prompt-field NAME"),
        ({"prompt": 3, "text": "a"}, {}, "a.jsonl:2: field 'prompt' is a number", "--prompt-field text"),
        ({"prompt": {"txt": "a"}}, {}, "a.jsonl:2: no field 'prompt.text'; fields: prompt.txt", "prompt.txt"),
        ({"prompt": {"text": 3}}, {}, "a.jsonl:2: field 'prompt.text' is a number", "--prompt-field NAME"),
        ({"prompt": {}}, {}, "a.jsonl:2: no field 'prompt.text'; fields: prompt", "--prompt-field prompt"),
        ({"txt": "a", "id": 1}, {}, "a.jsonl:2: no field 'prompt'; fields: txt, id", "--prompt-field txt"),
        ({"prompt": "a"}, {"field": "promt"}, "a.jsonl:2: no field 'promt'", "--prompt-field prompt"),
        ({"prompt": "a \ud800"}, {}, "a.jsonl:2: field 'prompt' has the lone surrogate U+D800", "Write the text again"),
        ("\udc00", {}, "a.jsonl:2: the text has the lone surrogate U+DC00", "Write the text again"),
        ({"prompt": "a", "m": [{"\ud83d": 1}]}, {}, "a.jsonl:2: field 'm' has the lone surrogate U+D83D", "half"),
    ],
)
def test_records_without_a_prompt(
    tmp_path: Path, record: Any, options: dict[str, Any], message: str, hint: str
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'"fine"\n{json.dumps(record)}\n')
    error = refused(path, **options)
    assert message in error.message
    error.message.encode()
    assert hint in str(error.hint)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'"a"\n{"prompt": "b"\n', "a.jsonl:2: broken JSON"),
        ("a.jsonl", b'"a"\n{"prompt": "b", "m": ' + b"[" * 100_000, "a.jsonl:2: broken JSON"),
        ("a.json", b'["a",\n{"prompt": "b"}', "a.json:2: broken JSON"),
        ("a.json", b'{"prompt": "a"}', "a.json:1: broken JSON: expecting an array, found an object"),
        ("a.json", b'["a",\n\n7]', "a.json:3: the record is a number"),
        ("a.txt", b"a\ncaf\xe9\n", "a.txt:2: not UTF-8: byte 0xe9 at byte offset 5"),
        ("a.csv", b'prompt\na\n"b', "a.csv:3: broken CSV"),
        ("a.csv", b"id,promt\n1,a\n", "a.csv:1: no field 'prompt'; fields: id, promt"),
        ("a.tsv", b"id\ttext\n1\n", "a.tsv:2: the row has 1 columns and so no 'text'"),
        ("a.txt.gz", b"words", "a.txt.gz: the gzip file is damaged"),
        ("a.parquet", b"words", "a.parquet: the Parquet file is damaged"),
        ("a.jsonl", b"", "a.jsonl: no prompts"),
        ("a.jsonl", b"\n\n", "a.jsonl: no prompts"),
        ("a.json", b"[]", "a.json: no prompts"),
        ("a.json", b"", "a.json:1: broken JSON: the file is empty"),
        ("a.csv", b"", "a.csv: no prompts"),
        ("a.csv", b"prompt\n", "a.csv: no prompts"),
        ("a.txt", b"\n", "a.txt: no prompts"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert message in refused(path).message


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("none.jsonl", NotFoundError, "none.jsonl: No such file"),
        ("a.md", UsageError, "a.md: the suffix says none of the formats"),
        ("", UsageError, "'' is not a path"),
        (".", UsageError, ".: a folder, and one file of prompts is needed"),
        ("*.txt", UsageError, "*.txt: a pattern, and one file of prompts is needed"),
        ("hf://a/b:train", UsageError, "hf://a/b:train: a hub dataset, and one file of prompts is needed"),
    ],
)
def test_one_file_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, kind: type[GoodctlError], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.md", "b.txt", "c[1].txt"):
        Path(name).write_text("a\n")
    assert message in refused(path, kind).message
    found = read_prompts("c[1].txt")
    digest = hashlib.sha256(b"a\n").hexdigest()
    assert found == PromptFile("c[1].txt", digest, (Prompt(0, 1, "a", {"prompt": "a"}),))


def test_options_are_checked(tmp_path: Path) -> None:
    path = write_texts(tmp_path, ".txt", ["a"])
    for most in (0, -1):
        error = refused(path, UsageError, most=most)
        assert error.message == f"The number of prompts is {most}."
        assert "--num-prompts" in str(error.hint)
    assert "--prompt-field" in str(refused(path, UsageError, field=" ").hint)
