from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from goodctl.corpus import Corpus, Source
from goodctl.errors import InputError
from goodctl.progress import Progress

from .writing import SUFFIXES, write_texts


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_scan_counts_and_hashes(tmp_path: Path, suffix: str) -> None:
    path = write_texts(tmp_path, suffix, ["one", "", "dreißig"])
    events: list[Progress] = []
    scan = Corpus((str(path),)).scan(events.append)
    content = path.read_bytes()
    assert scan.sources == (Source(path.as_posix(), hashlib.sha256(content).hexdigest(), len(content), 3),)
    assert (scan.documents, scan.characters) == (3, 10)
    assert events == [Progress("reading", len(content), len(content), "bytes", finished=True)]


def test_the_fingerprint_is_of_bytes_order_and_options_not_of_names(tmp_path: Path) -> None:
    one, two, copy = tmp_path / "1.txt", tmp_path / "2.txt", tmp_path / "z.txt"
    for path, text in ((one, "a"), (two, "b"), (copy, "a")):
        path.write_text(text)

    def fingerprint(*paths: Path, **options: Any) -> str:
        return Corpus(tuple(map(str, paths)), **options).scan().fingerprint

    assert fingerprint(one, two) == fingerprint(copy, two)
    assert len(fingerprint(one)) == 64
    as_json_lines = one.rename(tmp_path / "1.jsonl")
    as_json_lines.write_text('"a"')
    as_text = tmp_path / "same.txt"
    as_text.write_text('"a"')
    different = [
        fingerprint(copy, two),
        fingerprint(two, copy),
        fingerprint(copy),
        fingerprint(copy, language="de"),
        fingerprint(copy, language_field="lang"),
        fingerprint(copy, text_field="body"),
        fingerprint(as_json_lines),
        fingerprint(as_text),
    ]
    assert len(set(different)) == len(different)


def test_progress_comes_every_few_mebibytes(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(("word " * 200 + "\n") * 6000)
    events: list[Progress] = []
    scan = Corpus((str(tmp_path),)).scan(events.append)
    total = sum(source.size_bytes for source in scan.sources)
    assert [event.finished for event in events] == [False, False, True]
    assert {event.total for event in events} == {total}
    done = [event.done for event in events]
    assert done == sorted(done)
    assert done[-1] == total


@pytest.mark.parametrize(
    ("name", "content"), [("a.txt", "\n\n"), ("a.jsonl", ""), ("a.json", "[]"), ("a.csv", "text\n")]
)
def test_a_corpus_without_text(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError, match="no text") as caught:
        Corpus((str(path),)).scan()
    assert path.as_posix() in caught.value.message
    assert caught.value.hint


def test_one_source_may_be_empty(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "b.txt").write_text("words")
    scan = Corpus((str(tmp_path),)).scan()
    assert [source.documents for source in scan.sources] == [0, 1]


def test_a_language_field_that_no_record_has_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "lang": ""}\n')
    events: list[Progress] = []
    Corpus((str(path),), language_field="language").scan(events.append)
    assert events[-1].note == "No record has the language field 'language'; every language is 'und'."
    Corpus((str(path),), language_field="lang").scan(events.append)
    assert events[-1].note is None


def test_the_first_bad_record_is_raised(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('"a"\n{"text": 1}\n')
    (tmp_path / "b.jsonl").write_text("{")
    with pytest.raises(InputError, match=r"a\.jsonl:2: field 'text' is a number"):
        Corpus((str(tmp_path),)).scan()


def test_documents_can_be_abandoned(tmp_path: Path) -> None:
    path = write_texts(tmp_path, ".json.zst", ["a", "b"])
    documents = Corpus((str(path),)).documents()
    assert next(documents).text == "a"
    documents.close()  # type: ignore[attr-defined]  # it is a generator
