from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from goodctl.datastore.compaction import compact
from goodctl.datastore.description import SourceInfo
from goodctl.datastore.history import log
from goodctl.datastore.removal import remove
from goodctl.datastore.removal_plan import Removal
from goodctl.datastore.sharding import shard
from goodctl.datastore.store import Datastore
from goodctl.errors import ConflictError, DamagedError, NotFoundError, UsageError
from tests.datastore.contents import SOURCES, check_description, documents, from_sources, pieces, total
from tests.datastore.rows import write
from tests.index.stores import keys, rows_of, searcher, trained
from tests.index.stores import write as write_keys


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """English and French of one command, labelled; then German of two sources in several parts."""
    path = tmp_path / "s"
    both = ("en", from_sources(0, 9, [0])), ("fr", from_sources(1, 6, [0, 1]))
    write(path, "one", *both, label="toxic", sources=SOURCES)
    write(path, "two", *pieces("de", from_sources(2, 40, [1, 2])), sources=SOURCES, part_bytes=600)
    return path


@pytest.mark.parametrize(
    ("removal", "goes"),
    [
        (Removal(languages=("fr",)), lambda each: each.language == "fr"),
        (Removal(languages=("fr", "de")), lambda each: each.language in {"fr", "de"}),
        (Removal(labels=("toxic",)), lambda each: each.label == "toxic"),
        (Removal(labels=("toxic",), languages=("en",)), lambda each: each.language == "en"),
        (Removal(sources=("texts/first.txt",)), lambda each: each.source == "texts/first.txt"),
        (Removal(sources=("first.txt",)), lambda each: each.source == "texts/first.txt"),
        (Removal(sources=("bbbbbbbb",)), lambda each: each.source == "texts/second.txt"),
        (
            Removal(sources=("texts/second.txt",), languages=("de",)),
            lambda each: each.source == "texts/second.txt" and each.language == "de",
        ),
        (Removal(sources=tuple(source.name for source in SOURCES)), lambda each: True),
        (
            Removal(documents=("first.txt:2", "more/second.txt:20")),
            lambda each: (each.source, each.line) in {("texts/first.txt", 2), ("more/second.txt", 20)},
        ),
        (
            Removal(documents=("first.txt:2",), languages=("fr",)),
            lambda each: (each.source, each.line, each.language) == ("texts/first.txt", 2, "fr"),
        ),
    ],
)
def test_what_is_named_goes_and_all_else_stays(store: Path, removal: Removal, goes: object) -> None:
    assert callable(goes)
    before = documents(store)
    gone = [each for each in before if goes(each)]
    result = remove(str(store), removal)
    assert documents(store) == [each for each in before if not goes(each)]
    assert documents(f"{store}@{result.before}") == before, "earlier versions keep everything"
    assert (result.rows, result.documents) == (total(gone), len(gone))
    assert sum(result.languages.values()) == result.rows
    assert (result.store_rows, result.store_documents) == (total(before) - total(gone), len(before) - len(gone))
    check_description(store)
    entry = log(str(store))[0]
    assert (entry.command, entry.rows, entry.documents) == ("remove", -result.rows, -result.documents)
    assert entry.snapshot == result.snapshot


def test_only_parts_that_lose_documents_are_written(store: Path) -> None:
    before = Datastore.open(str(store))
    german = before.segments[2]
    assert german.parts > 5
    remove(str(store), Removal(documents=("more/second.txt:1",)))
    after = Datastore.open(str(store))
    assert after.segments[2].parts == german.parts
    old, new = [[part.group.path for part in each.parts(german)] for each in (before, after)]
    assert old == new
    changed = after.repository.new_arrays(before.version.id, after.version.id)
    assert {path.split("/")[4] for path in changed} == {"000000"}


def test_a_part_without_documents_goes(store: Path) -> None:
    part = next(Datastore.open(str(store)).parts(Datastore.open(str(store)).segments[2]))
    names = {source.index: source.name for source in SOURCES}
    here = zip(part.read("document_sources").tolist(), part.read("document_lines").tolist(), strict=True)
    before = documents(store)
    named = [(names[source], line) for source, line in here]
    remove(str(store), Removal(documents=tuple(f"{source}:{line}" for source, line in named), languages=("de",)))
    assert Datastore.open(str(store)).segments[2].parts < Datastore.open(f"{store}@~1").segments[2].parts
    stays = [each for each in before if each.language != "de" or (each.source, each.line) not in named]
    assert documents(store) == stays
    check_description(store)


def test_an_empty_store_can_be_looked_at_and_added_to(store: Path) -> None:
    before = documents(store)
    result = remove(str(store), Removal(languages=("en", "fr", "de")))
    assert (result.segments, result.store_rows) == (3, 0)
    assert documents(store) == []
    write(store, "three", ("it", from_sources(7, 3, [0])), sources=SOURCES)
    assert {each.language for each in documents(store)} == {"it"}
    assert documents(f"{store}@~2") == before


def test_where_rows_came_from_is_kept(store: Path) -> None:
    before = Datastore.open(str(store)).segments[1]
    remove(str(store), Removal(documents=("texts/second.txt:1",), languages=("fr",)))
    after = Datastore.open(str(store)).segments[1]
    assert [origin.job for origin in after.origins] == [before.job]
    assert after.origins[0].rows == before.rows > after.rows
    assert {source.name: source.sha256 for source in after.sources} == {
        source.name: source.sha256 for source in before.sources
    }


def test_codes_go_with_their_rows(tmp_path: Path) -> None:
    data, path = keys(0, 400), tmp_path / "s"
    codec = trained(data, "IVF4,SQ8")
    write_keys(path, ("en", rows_of(data[:300])), ("fr", rows_of(data[300:])), codec=codec, part_bytes=4000)
    before = documents(path, codes=True)
    remove(str(path), Removal(documents=("some.txt:7", "some.txt:33")))
    assert documents(path, codes=True) == [each for each in before if each.line not in {7, 33}]
    check_description(path)
    found = searcher(path).search(data[:1].astype(np.float32), 5)
    exact = searcher(path, fidelity="exact").search(data[:1].astype(np.float32), 5)
    assert np.array_equal(found.rows, exact.rows)
    result = remove(str(path), Removal(languages=("en", "fr")))
    assert len(result.codecs) == 1


@pytest.mark.parametrize(
    ("removal", "error", "message"),
    [
        (Removal(), UsageError, "Nothing says what to remove"),
        (Removal(languages=("xx",)), NotFoundError, "no language xx: it has de, en, fr"),
        (Removal(labels=("toxik",)), NotFoundError, "no label toxik: it has toxic"),
        (Removal(sources=("third.txt",)), NotFoundError, "no source third.txt: it has"),
        (Removal(sources=("second.txt",)), UsageError, "several sources second.txt: more/second.txt, texts/second.txt"),
        (Removal(documents=("first.txt",)), UsageError, "names no document"),
        (Removal(documents=("first.txt:x",)), UsageError, "names no document"),
        (Removal(documents=("first.txt:1", "first.txt:900")), NotFoundError, "no document first.txt:900"),
        (Removal(languages=("de",), labels=("toxic",)), NotFoundError, "no document that meets every condition"),
        (Removal(languages=("en",), documents=("more/second.txt:1",)), NotFoundError, "meets every condition"),
    ],
)
def test_bad_requests_change_nothing(store: Path, removal: Removal, error: type[Exception], message: str) -> None:
    before, version = documents(store), log(str(store))[0].snapshot
    with pytest.raises(error, match=message):
        remove(str(store), removal)
    assert log(str(store))[0].snapshot == version
    assert documents(store) == before


def test_a_dry_run_changes_nothing_and_says_the_same(store: Path) -> None:
    removal = Removal(sources=("texts/second.txt",))
    version, size = log(str(store))[0].snapshot, Datastore.open(str(store)).repository.disk_bytes()
    asked = remove(str(store), removal, dry_run=True)
    assert (log(str(store))[0].snapshot, Datastore.open(str(store)).repository.disk_bytes()) == (version, size)
    done = remove(str(store), removal)
    for name in ("rows", "documents", "languages", "segments", "rewritten", "store_rows", "store_documents"):
        assert getattr(asked, name) == getattr(done, name)


def test_versions_cannot_be_changed(store: Path) -> None:
    with pytest.raises(UsageError, match=r"is a version of .*, not a branch") as caught:
        remove(f"{store}@~1", Removal(languages=("en",)))
    assert "goodctl datastore branch" in str(caught.value.hint)


def test_one_writer_at_a_time(store: Path) -> None:
    from goodctl.datastore.repository import writer_lock

    with writer_lock(str(store), "test"), pytest.raises(ConflictError, match="is being written"):
        remove(str(store), Removal(languages=("en",)))


def test_one_name_of_two_contents(tmp_path: Path) -> None:
    for job, sha256 in (("one", "aa" * 32), ("two", "bb" * 32)):
        source = (SourceInfo(0, "some.txt", sha256, 1),)
        write(tmp_path / "s", job, ("en", from_sources(len(sha256), 4, [0])), sources=source)
    with pytest.raises(UsageError, match=r"has 2 sources some\.txt, with different contents") as caught:
        remove(str(tmp_path / "s"), Removal(documents=("some.txt:1",)))
    assert "aaaaaaaaaaaa:LINE" in str(caught.value.hint)
    assert remove(str(tmp_path / "s"), Removal(documents=("bbbbbbbb:1",))).documents == 1
    assert remove(str(tmp_path / "s"), Removal(sources=("some.txt",))).documents == 7


def test_segments_that_name_no_source(tmp_path: Path) -> None:
    write(tmp_path / "s", "one", ("en", from_sources(0, 4, [0])), sources=())
    write(tmp_path / "s", "two", ("en", from_sources(1, 4, [0])), sources=SOURCES)
    assert remove(str(tmp_path / "s"), Removal(sources=("first.txt",))).documents == 4
    assert len(Datastore.open(str(tmp_path / "s")).segments) == 1
    with pytest.raises(DamagedError, match="documents of sources that it does not describe"):
        shard(str(tmp_path / "s"), str(tmp_path / "out"), by="source")
    assert not (tmp_path / "out").exists()


def test_text_that_is_gone_from_a_compacted_segment_can_be_added_again(tmp_path: Path) -> None:
    for number, job in enumerate(("one", "two")):
        batch = ("en", from_sources(number, 4, [number]))
        write(tmp_path / "s", job, batch, sources=SOURCES, settings={"text": job})
    compact(str(tmp_path / "s"))
    (before,) = Datastore.open(str(tmp_path / "s")).segments
    assert [origin.job for origin in before.all_origins()] == ["one", "two"]
    remove(str(tmp_path / "s"), Removal(sources=("texts/second.txt",)))
    (after,) = Datastore.open(str(tmp_path / "s")).segments
    assert [origin.job for origin in after.all_origins()] == ["one"]


@pytest.mark.parametrize("line", ["9" * 5000, "\u0663"])
def test_lines_that_are_no_numbers(store: Path, line: str) -> None:
    with pytest.raises(UsageError, match="names no document"):
        remove(str(store), Removal(documents=(f"first.txt:{line}",)))
