from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodctl.datastore.removal import remove
from goodctl.datastore.removal_plan import Removal
from goodctl.datastore.sharding import shard
from goodctl.datastore.store import Datastore
from goodctl.errors import ExistsError, UsageError
from goodctl.workflows.merge import MergeChoice, merge
from tests.datastore.contents import SOURCES, Document, check_description, documents, from_sources, pieces
from tests.datastore.rows import write
from tests.index.stores import keys, rows_of, trained
from tests.index.stores import write as write_keys


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three languages, two labels, three sources, several parts."""
    path = tmp_path_factory.mktemp("sharding") / "s"
    both = ("en", from_sources(0, 9, [0])), ("fr", from_sources(1, 6, [0, 1]))
    write(path, "one", *both, label="toxic", sources=SOURCES)
    more = (*pieces("de", from_sources(2, 40, [1, 2])), ("en", from_sources(3, 5, [2])))
    write(path, "two", *more, sources=SOURCES, part_bytes=600)
    return path


def gathered(shards: list[str]) -> list[Document]:
    return [document for each in shards for document in documents(each)]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20, 60])
def test_shards_hold_all_rows_in_order(store: Path, tmp_path: Path, count: int) -> None:
    result = shard(str(store), str(tmp_path / "out"), count=count)
    places = [each.store for each in result.shards]
    assert gathered(places) == documents(store)
    assert len(places) == count
    assert all(each.rows for each in result.shards)
    for place in places:
        check_description(place)
    longest = max(len(document.values) for document in documents(store))
    if count < 20:  # as even as documents allow
        assert max(abs(each.rows - result.rows / count) for each in result.shards) <= longest
    merged = merge(places, out=str(tmp_path / "again"))
    assert documents(tmp_path / "again") == documents(store)
    assert not merged.duplicates


@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=3), count=st.integers(1, 6), seed=st.integers(0, 99))
def test_any_store_comes_back(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], count: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("any")
    for number, size in enumerate(sizes):
        batch = f"l{number % 2}", from_sources(seed + number, size, [0, 1])
        write(folder / "s", f"job{number}", batch, sources=SOURCES)
    count = min(count, sum(sizes))
    places = [each.store for each in shard(str(folder / "s"), str(folder / "out"), count=count).shards]
    merge(places, out=str(folder / "again"), choice=MergeChoice(keep_duplicates=True))
    assert documents(folder / "again") == documents(folder / "s")
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("language", {"en": ["en"], "fr": ["fr"], "de": ["de"]}),
        ("label", {"toxic": ["toxic"], "unlabelled": [None]}),
        (
            "source",
            {"first.txt": ["texts/first.txt"], "second.txt": ["texts/second.txt"], "second.txt-2": ["more/second.txt"]},
        ),
    ],
)
def test_by_property(store: Path, tmp_path: Path, by: str, names: dict[str, list[str | None]]) -> None:
    result = shard(str(store), str(tmp_path), by=by)
    assert {Path(each.store).name for each in result.shards} == set(names)
    for name, values in names.items():
        here = documents(tmp_path / name)
        assert {getattr(each, by) for each in here} == set(values)
        assert here == [each for each in documents(store) if getattr(each, by) in values]
        check_description(tmp_path / name)


def test_sources_come_in_the_order_of_their_first_documents(tmp_path: Path) -> None:
    """A writer may take documents in any order, whatever the numbers of their sources are."""
    batches = [("en", from_sources(number, 1, [source])) for number, source in enumerate([2, 0, 1, 2])]
    write(tmp_path / "s", "one", *batches, sources=SOURCES)
    result = shard(str(tmp_path / "s"), str(tmp_path / "out"), by="source")
    firsts = [documents(Path(each.store))[0].source for each in result.shards]
    assert firsts == [SOURCES[2].name, SOURCES[0].name, SOURCES[1].name]


def test_codecs_are_shared_and_codes_come_along(tmp_path: Path) -> None:
    data = keys(0, 600)
    both = ("en", rows_of(data[:350])), ("fr", rows_of(data[350:]))
    write_keys(tmp_path / "s", *both, codec=trained(data, "IVF4,SQ8"), part_bytes=6000)
    result = shard(str(tmp_path / "s"), str(tmp_path / "out"), count=3)
    segments = [segment for each in result.shards for segment in Datastore.open(each.store).segments]
    assert len({segment.codes.codec for segment in segments if segment.codes}) == 1
    expected = documents(tmp_path / "s", codes=True)
    assert [each for one in result.shards for each in documents(one.store, codes=True)] == expected
    merge([each.store for each in result.shards], out=str(tmp_path / "again"))
    assert documents(tmp_path / "again", codes=True) == expected


def test_an_earlier_version_can_be_cut(store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(store, copy)
    before = documents(copy)
    remove(str(copy), Removal(languages=("de",)))
    result = shard(f"{copy}@~1", str(tmp_path / "out"), count=2)
    assert gathered([each.store for each in result.shards]) == before


def test_it_goes_on_where_it_was_stopped(store: Path, tmp_path: Path) -> None:
    first = shard(str(store), str(tmp_path / "out"), count=4)
    shutil.rmtree(first.shards[2].store)
    second = shard(str(store), str(tmp_path / "out"), count=4)
    assert [each.kept for each in second.shards] == [True, True, False, True]
    assert [each.snapshot for each in first.shards][:2] == [each.snapshot for each in second.shards][:2]
    assert gathered([each.store for each in second.shards]) == documents(store)


def test_places_that_are_taken(store: Path, tmp_path: Path) -> None:
    shard(str(store), str(tmp_path / "out"), by="language")
    other = tmp_path / "other"
    shutil.copytree(store, other)
    remove(str(other), Removal(labels=("toxic",)))
    with pytest.raises(ExistsError, match="holds other datastores"):
        shard(str(other), str(tmp_path / "out"), by="language")
    with pytest.raises(ExistsError, match="holds other datastores"):
        shard(str(store), str(tmp_path / "out"), count=2)
    remove(str(other), Removal(documents=("more/second.txt:1",)))
    shutil.rmtree(tmp_path / "out" / "en")
    shutil.rmtree(tmp_path / "out" / "fr")
    with pytest.raises(ExistsError, match="is a datastore already"):
        shard(str(other), str(tmp_path / "out"), by="language")
    with pytest.raises(ExistsError, match="is a datastore itself"):
        shard(str(store), str(other), count=2)
    (tmp_path / "new" / "fr").mkdir(parents=True)
    (tmp_path / "new" / "fr" / "notes.txt").write_text("mine")
    with pytest.raises(ExistsError, match=r"holds other files: notes\.txt"):
        shard(str(store), str(tmp_path / "new"), by="language")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["fr"], "nothing was written"


def test_names_that_no_file_system_takes(tmp_path: Path) -> None:
    for number, language in enumerate(("a/b", "..", "A", "a", "")):
        write(tmp_path / "s", f"job{number}", (language, from_sources(number, 2, [0])), sources=SOURCES)
    places = [Path(each.store) for each in shard(str(tmp_path / "s"), str(tmp_path / "out"), by="language").shards]
    assert {place.parent for place in places} == {tmp_path / "out"}
    assert len({place.name.casefold() for place in places}) == 5
    assert gathered([str(place) for place in places]) == documents(tmp_path / "s")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either by --shards or by --by"),
        ({"count": 2, "by": "label"}, "either by --shards or by --by"),
        ({"count": 0}, "none of them is divided"),
        ({"count": 61}, "has 60 documents"),
        ({"by": "colour"}, "there is no such property"),
    ],
)
def test_bad_requests(store: Path, tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        shard(str(store), str(tmp_path / "out"), **options)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
