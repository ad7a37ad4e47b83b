from __future__ import annotations

import os
from pathlib import Path

import pytest

from goodctl.corpus import Corpus, CorpusFile, HubSplit
from goodctl.errors import InputError, NotFoundError, UsageError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("c/b.txt", "c/a/z.txt", "c/a.jsonl", "c/README.md", "c/.hidden.txt", "c/.cache/x.txt", "d/B.TXT.GZ"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("words\n")
    return tmp_path


def names(*inputs: str) -> list[str]:
    return [source.name for source in Corpus(inputs).files()]


def test_folders_are_walked_in_sorted_order_without_hidden_and_other_files(folder: Path) -> None:
    assert names("c") == ["c/a/z.txt", "c/a.jsonl", "c/b.txt"]
    assert names("d", "c/b.txt") == ["d/B.TXT.GZ", "c/b.txt"]


def test_globs(folder: Path) -> None:
    assert names("c/*") == ["c/a.jsonl", "c/b.txt"]
    assert names("**/*.txt") == ["c/a/z.txt", "c/b.txt"]
    assert names(str(folder / "c" / "[ab].*")) == [(folder / "c" / name).as_posix() for name in ("a.jsonl", "b.txt")]


def test_an_existing_file_is_not_a_glob(folder: Path) -> None:
    Path("x[1].txt").write_text("a")
    assert names("x[1].txt") == ["x[1].txt"]


def test_what_is_reached_twice_is_read_once_where_it_came_first(folder: Path) -> None:
    Path("link.txt").symlink_to("c/b.txt")
    assert names("c/b.txt", "c", "./c/../c/b.txt", "link.txt") == ["c/b.txt", "c/a/z.txt", "c/a.jsonl"]
    assert names("hf://a/b:train", "hf://a/b:train") == ["hf://a/b:train"]


def test_links_to_folders_are_followed_and_cycles_end(folder: Path) -> None:
    Path("c/loop").symlink_to("..")
    assert names("c") == ["c/a/z.txt", "c/a.jsonl", "c/b.txt", "c/loop/d/B.TXT.GZ"]


def test_formats_and_sizes(folder: Path) -> None:
    (found,) = Corpus(("d",)).files()
    assert isinstance(found, CorpusFile)
    assert (found.format.name, found.format.compression, found.size_bytes) == ("txt", "gzip", 6)
    assert isinstance(Corpus(("hf://a:b",)).files()[0], HubSplit)


@pytest.mark.parametrize(
    ("text", "kind", "message", "hint"),
    [
        ("none.txt", NotFoundError, "none.txt: No such file", "relative to"),
        ("none/none.txt", NotFoundError, "none/none.txt: No such file", "relative to"),
        ("c/b.txt/x.txt", NotFoundError, "c/b.txt/x.txt: Not a directory", "relative to"),
        ("x" * 300 + ".txt", NotFoundError, "File name too long", "relative to"),
        ("*.csv", NotFoundError, "*.csv: the pattern matches nothing", "Supported suffixes: .json"),
        (
            "c/*.md",
            NotFoundError,
            "c/*.md: the pattern matches no file that can be read (1 other",
            "Supported suffixes",
        ),
        ("empty", NotFoundError, "empty: the folder has no file that can be read", "Supported suffixes: .json"),
        ("c/README.md", UsageError, "c/README.md: the suffix says none", "Supported suffixes: .json"),
        ("a.parquet.gz", UsageError, "a.parquet.gz: Parquet inside another compression", "Decompress"),
        ("fifo.txt", InputError, "fifo.txt: not a regular file", "Save"),
        ("", UsageError, "'' is not a path", "Name a file"),
        ("a\0b", UsageError, "is not a path", "Name a file"),
    ],
)
def test_what_cannot_be_read_is_named(folder: Path, text: str, kind: type[UsageError], message: str, hint: str) -> None:
    Path("empty").mkdir()
    Path("empty/notes.md").write_text("a")
    Path("a.parquet.gz").write_text("a")
    os.mkfifo("fifo.txt")
    with pytest.raises(kind) as caught:
        names("c/b.txt", text)
    assert type(caught.value) is kind
    assert message in caught.value.message
    assert hint in str(caught.value.hint)


def test_closed_files_and_folders(folder: Path) -> None:
    Path("c/b.txt").chmod(0)
    if os.access("c/b.txt", os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(InputError, match=r"c/b\.txt: the file cannot be read: Permission denied"):
        list(Corpus(("c/b.txt",)).documents())
    Path("c/a").chmod(0)
    try:
        with pytest.raises(InputError, match="c/a: the folder cannot be read: Permission denied"):
            names("c")
        with pytest.raises(InputError, match=r"c/a/z\.txt: the file cannot be read: Permission denied"):
            names("c/a/z.txt")
    finally:
        Path("c/a").chmod(0o755)


def test_a_file_that_vanishes_is_named(folder: Path) -> None:
    Path("gone.txt").symlink_to("nowhere")
    with pytest.raises(NotFoundError, match=r"gone\.txt: No such file"):
        names("gone.txt")


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX only")
def test_a_name_that_is_not_utf8_can_still_be_stored(folder: Path) -> None:
    path = os.fsdecode(b"caf\xe9.txt")
    try:
        Path(path).write_text("words")
    except OSError:
        pytest.skip("the file system takes UTF-8 names only")
    assert Corpus((path,)).scan().sources[0].name == "caf\\xe9.txt"


def test_the_corpus_checks_its_own_values() -> None:
    with pytest.raises(UsageError, match="No corpus"):
        Corpus(()).files()
    with pytest.raises(UsageError, match="inputs is the string"):
        Corpus("a.txt")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="The text field is empty"):
        Corpus(("a.txt",), text_field="")
    with pytest.raises(UsageError, match="The language is empty"):
        Corpus(("a.txt",), language=" ")
