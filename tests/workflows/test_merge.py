from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goodctl.datastore.history import log
from goodctl.datastore.removal import remove
from goodctl.datastore.removal_plan import Removal
from goodctl.datastore.repository import Repository
from goodctl.datastore.store import Datastore
from goodctl.errors import DamagedError, ExistsError, IncompatibleError, NotFoundError, UsageError
from goodctl.workflows.merge import MergeChoice, merge
from tests.datastore.contents import SOURCES, check_description, documents, from_sources, pieces
from tests.datastore.rows import write
from tests.index.stores import brute_force, keys, rows_of, searcher, trained, without_faiss
from tests.index.stores import write as write_keys


@pytest.fixture
def stores(tmp_path: Path) -> list[str]:
    """English and French, German, and English once more with the same lines of the same file."""
    english = ("en", from_sources(0, 9, [0]))
    write(tmp_path / "a", "one", english, ("fr", from_sources(1, 6, [0, 1])), label="toxic", sources=SOURCES)
    write(tmp_path / "b", "two", *pieces("de", from_sources(2, 40, [1, 2])), sources=SOURCES, part_bytes=600)
    write(tmp_path / "c", "other", english, ("it", from_sources(5, 4, [1])), sources=SOURCES)
    return [str(tmp_path / name) for name in "abc"]


def test_into_a_new_store(stores: list[str], tmp_path: Path) -> None:
    result = merge(stores[:2], out=str(tmp_path / "new"))
    assert documents(tmp_path / "new") == documents(stores[0]) + documents(stores[1])
    check_description(tmp_path / "new")
    assert result.rows == result.store_rows == Datastore.open(str(tmp_path / "new")).rows
    assert result.segments == 3
    assert [each["store"] for each in result.inputs] == stores[:2]
    (entry,) = log(str(tmp_path / "new"))
    assert (entry.command, entry.rows, entry.snapshot) == ("merge", result.rows, result.snapshot)


def test_into_a_store_that_is_there(stores: list[str]) -> None:
    before = documents(stores[1])
    result = merge([stores[0]], into=stores[1])
    assert documents(stores[1]) == before + documents(stores[0])
    assert documents(f"{stores[1]}@~1") == before
    assert result.store_rows == Datastore.open(stores[1]).rows
    check_description(stores[1])


def test_where_rows_came_from_is_kept(stores: list[str], tmp_path: Path) -> None:
    merge(stores[:2], out=str(tmp_path / "new"))
    before = [segment for each in stores[:2] for segment in Datastore.open(each).segments]
    after = Datastore.open(str(tmp_path / "new")).segments
    for order, (old, new) in enumerate(zip(before, after, strict=True)):
        assert new == replace(old, order=order)
    metadata: Any = Datastore.open(str(tmp_path / "new")).version.metadata
    assert [each["snapshot"] for each in metadata["inputs"]] == [log(each)[0].snapshot for each in stores[:2]]


def test_duplicates_are_skipped_and_named(stores: list[str], tmp_path: Path) -> None:
    result = merge([stores[0], stores[2]], out=str(tmp_path / "new"))
    assert [each.language for each in documents(tmp_path / "new")] == ["en"] * 9 + ["fr"] * 6 + ["it"] * 4
    (duplicate,) = result.duplicates
    assert (duplicate.store, duplicate.language) == (stores[2], "en")
    assert duplicate.same_as.endswith(f"in {stores[0]} (en, toxic)"), "the label that is not copied is named"
    again = merge([stores[0]], into=str(tmp_path / "new"))
    assert (again.rows, len(again.duplicates)) == (0, 2)
    assert again.snapshot == result.snapshot, "no version without a change"


def test_duplicates_can_be_kept(stores: list[str], tmp_path: Path) -> None:
    merge([stores[0], stores[2]], out=str(tmp_path / "new"), choice=MergeChoice(keep_duplicates=True))
    assert documents(tmp_path / "new") == documents(stores[0]) + documents(stores[2])
    twice = merge([stores[0]], into=stores[0], choice=MergeChoice(keep_duplicates=True))
    assert documents(stores[0]) == 2 * documents(f"{stores[0]}@~1")
    assert twice.segments == 2
    assert len({segment.id for segment in Datastore.open(stores[0]).segments}) == 4
    check_description(stores[0])


def test_equal_segments_of_one_store_are_both_copied(tmp_path: Path) -> None:
    for job in ("one", "again"):
        write(tmp_path / "s", job, ("en", from_sources(0, 9, [0])), sources=SOURCES)
    assert not merge([str(tmp_path / "s")], out=str(tmp_path / "new")).duplicates
    assert documents(tmp_path / "new") == documents(tmp_path / "s")


def test_what_was_removed_comes_back_from_an_earlier_version(stores: list[str]) -> None:
    before = documents(stores[0])
    remove(stores[0], Removal(languages=("en",)))
    result = merge([f"{stores[0]}@~1"], into=stores[0])
    assert (result.segments, len(result.duplicates)) == (1, 1)
    assert sorted(documents(stores[0]), key=repr) == sorted(before, key=repr)


def test_the_same_id_with_other_rows_gets_another_id(stores: list[str], tmp_path: Path) -> None:
    merge([stores[0]], out=str(tmp_path / "whole"))
    remove(stores[0], Removal(documents=("first.txt:2",)))
    merge([stores[0]], into=str(tmp_path / "whole"))
    now = Datastore.open(str(tmp_path / "whole"))
    assert len({segment.id for segment in now.segments}) == len(now.segments) == 4
    check_description(tmp_path / "whole")


def test_codes_of_one_codec_are_copied(tmp_path: Path) -> None:
    data = keys(0, 600)
    codec = trained(data, "IVF4,SQ8")
    write_keys(tmp_path / "a", ("en", rows_of(data[:300])), codec=codec)
    write_keys(tmp_path / "b", ("fr", rows_of(data[300:])), codec=codec, job="other")
    result = merge([str(tmp_path / "a"), str(tmp_path / "b")], out=str(tmp_path / "new"))
    expected = documents(tmp_path / "a", codes=True) + documents(tmp_path / "b", codes=True)
    assert documents(tmp_path / "new", codes=True) == expected
    assert result.index == ()


def searched(store: Path, data: Any) -> None:
    """The nearest rows are those of an exact search."""
    asked = data[::37].astype(np.float32)
    exact = brute_force(data, asked, 5)[1]
    assert np.array_equal(searcher(store, fidelity="exact").search(asked, 5).rows, exact)
    assert np.mean(searcher(store).search(asked, 5).rows == exact) > 0.95


def test_a_codec_that_fits_encodes_the_others_anew(tmp_path: Path) -> None:
    data = keys(0, 3000)
    write_keys(tmp_path / "a", ("en", rows_of(data[:1500])), index="ivf-sq8")
    write_keys(tmp_path / "b", ("fr", rows_of(data[1500:])), index="ivf-sq8", job="other")
    write_keys(tmp_path / "c", ("de", rows_of(data[:40])), job="third")
    a, b, c = (Datastore.open(str(tmp_path / name)) for name in "abc")
    assert a.segments[0].codes and b.segments[0].codes and not c.segments[0].codes
    result = merge([str(tmp_path / name) for name in "abc"], out=str(tmp_path / "new"))
    new = Datastore.open(str(tmp_path / "new"))
    codes = [segment.codes for segment in new.segments]
    assert {each.codec for each in codes if each} == {a.segments[0].codes.codec}
    assert [each.decision for each in codes if each] == ["trained", "reused", "reused"]
    assert [line.startswith("index: codec") for line in result.index] == [True, True]
    searched(tmp_path / "new", np.concatenate([data, data[:40]]))


def test_a_codec_that_does_not_fit_lets_the_other_come_along(tmp_path: Path) -> None:
    data = keys(0, 1500)
    far = (10 + 4 * keys(7, 1500, clusters=40)).astype(np.float16)
    write_keys(tmp_path / "a", ("en", rows_of(data)), index="ivf-sq8")
    write_keys(tmp_path / "b", ("fr", rows_of(far)), index="ivf-sq8", job="other")
    result = merge([str(tmp_path / "a"), str(tmp_path / "b")], out=str(tmp_path / "new"))
    expected = documents(tmp_path / "a", codes=True) + documents(tmp_path / "b", codes=True)
    assert documents(tmp_path / "new", codes=True) == expected
    assert ["comes along" in line for line in result.index] == [True]
    searched(tmp_path / "new", np.concatenate([data, far]))
    reused = merge(
        [str(tmp_path / "a"), str(tmp_path / "b")], out=str(tmp_path / "one"), choice=MergeChoice(codec="reuse")
    )
    assert "encodes fr" in reused.index[0]
    segments = Datastore.open(str(tmp_path / "one")).segments
    assert len({segment.codes.codec for segment in segments if segment.codes}) == 1


def test_every_codec_can_be_kept(tmp_path: Path) -> None:
    data = keys(0, 3000)
    write_keys(tmp_path / "a", ("en", rows_of(data[:1500])), index="ivf-sq8")
    write_keys(tmp_path / "b", ("fr", rows_of(data[1500:])), index="ivf-sq8", job="other")
    stores = [str(tmp_path / "a"), str(tmp_path / "b")]
    merge(stores, out=str(tmp_path / "new"), choice=MergeChoice(codec="keep"))
    expected = documents(stores[0], codes=True) + documents(stores[1], codes=True)
    assert documents(tmp_path / "new", codes=True) == expected


def test_without_faiss_all_codes_come_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = keys(0, 3000)
    write_keys(tmp_path / "a", ("en", rows_of(data[:1500])), index="ivf-sq8")
    write_keys(tmp_path / "b", ("fr", rows_of(data[1500:])), index="ivf-sq8", job="other")
    write_keys(tmp_path / "c", ("de", rows_of(data[:40])), job="third")
    stores = [str(tmp_path / name) for name in "abc"]
    without_faiss(monkeypatch)
    result = merge(stores, out=str(tmp_path / "new"))
    assert [bool(segment.codes) for segment in Datastore.open(str(tmp_path / "new")).segments] == [True, True, False]
    assert result.index == ("note: de is searched exactly: without faiss it gets no codes",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key_layer": "last-hidden"}, "its key layer is last-hidden, not ffn-input"),
        ({"window": 8}, "its window is 8, not 16"),
        ({"vocabulary": 70}, "its vocabulary is 70, not 50"),
        ({"model": {"name": "x", "architecture": "X", "fingerprint": {"weights": "ff" * 32}}}, "its model is x"),
    ],
)
def test_stores_that_do_not_fit(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    data = keys(0, 50)
    write_keys(tmp_path / "a", rows_of(data))
    write_keys(tmp_path / "b", rows_of(data), **changes)
    for options in ({"out": str(tmp_path / "new")}, {"into": str(tmp_path / "a")}):
        with pytest.raises(IncompatibleError, match=message):
            merge([str(tmp_path / "a"), str(tmp_path / "b")], **options)  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()
    assert len(log(str(tmp_path / "a"))) == 1


def test_bad_requests(stores: list[str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="either a new store or --into"):
        merge(stores)
    with pytest.raises(UsageError, match="either a new store or --into"):
        merge([], out=str(tmp_path / "new"))
    with pytest.raises(UsageError, match="there is no such choice"):
        merge(stores, out=str(tmp_path / "new"), choice=MergeChoice(codec="best"))
    with pytest.raises(NotFoundError, match="There is no datastore"):
        merge([str(tmp_path / "none")], out=str(tmp_path / "new"))
    with pytest.raises(NotFoundError, match="There is no datastore"):
        merge(stores, into=str(tmp_path / "new"))
    with pytest.raises(ExistsError, match="is a datastore already"):
        merge(stores[:1], out=stores[1])
    with pytest.raises(UsageError, match="not a branch") as caught:
        merge(stores[:1], into=f"{stores[1]}@{log(stores[1])[0].snapshot}")
    assert "merge --into" in str(caught.value.hint)
    assert not (tmp_path / "new").exists()


def test_what_fails_leaves_nothing(stores: list[str], tmp_path: Path) -> None:
    chunk = max((Path(stores[1]) / "repository" / "chunks").iterdir(), key=lambda file: file.stat().st_size)
    chunk.unlink()
    with pytest.raises(DamagedError):
        merge(stores[:2], out=str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()
    before = documents(stores[0])
    with pytest.raises(DamagedError):
        merge([stores[1]], into=stores[0])
    assert documents(stores[0]) == before


def test_checked_reading_finds_what_copying_does_not(stores: list[str], tmp_path: Path) -> None:
    chunk = max((Path(stores[1]) / "repository" / "chunks").iterdir(), key=lambda file: file.stat().st_size)
    damaged = bytearray(chunk.read_bytes())
    damaged[5] ^= 1
    chunk.write_bytes(bytes(damaged))
    with pytest.raises(DamagedError, match="its SHA-256 differs"):
        merge(stores[:2], out=str(tmp_path / "new"), choice=MergeChoice(check=True))
    assert not (tmp_path / "new").exists()


def test_a_killed_merge_can_be_run_again(stores: list[str], tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    Repository.create(str(tmp_path / "new"))  # what is left of it: no version, no checkpoint
    merge(stores[:2], out=str(tmp_path / "new"))
    assert documents(tmp_path / "new") == documents(stores[0]) + documents(stores[1])


@pytest.mark.parametrize("name", ["tiny", "/elsewhere/tiny"])
def test_the_fingerprint_decides_and_not_where_the_model_lies(tmp_path: Path, name: str) -> None:
    data = keys(0, 50)
    model = {"name": "tiny", "revision": None, "architecture": "Tiny", "fingerprint": {"weights": "ab" * 32}}
    write_keys(tmp_path / "a", rows_of(data[:25]), model=model)
    write_keys(tmp_path / "b", rows_of(data[25:]), model={**model, "name": name}, job="other")
    other = {**model, "fingerprint": {"weights": "ab" * 16 + "cd" * 16}}
    write_keys(tmp_path / "c", rows_of(data[25:]), model=other, job="other")
    assert merge([str(tmp_path / "a"), str(tmp_path / "b")], out=str(tmp_path / "new")).rows == 50
    with pytest.raises(IncompatibleError, match="its model is"):
        merge([str(tmp_path / "a"), str(tmp_path / "c")], out=str(tmp_path / "no"))


def test_text_that_is_there_in_another_shape_is_named(stores: list[str], tmp_path: Path) -> None:
    merge([stores[1]], out=str(tmp_path / "new"))
    remove(str(tmp_path / "new"), Removal(documents=("more/second.txt:1",)))
    result = merge([stores[1]], into=str(tmp_path / "new"))
    assert ["was made from the same text as" in line for line in result.index] == [True]
    assert not merge([stores[0]], into=str(tmp_path / "new")).index


def test_a_new_name_that_would_be_read_as_a_version(stores: list[str]) -> None:
    with pytest.raises(UsageError, match=r"would be taken for version trial of"):
        merge(stores[:1], out=f"{stores[1]}@trial")
    assert not Path(f"{stores[1]}@trial").exists()


def test_a_failure_leaves_no_folders(stores: list[str], tmp_path: Path) -> None:
    max((Path(stores[1]) / "repository" / "chunks").iterdir(), key=lambda file: file.stat().st_size).unlink()
    with pytest.raises(DamagedError):
        merge([stores[1]], out=str(tmp_path / "deep" / "er" / "new"))
    assert not (tmp_path / "deep").exists()


def test_a_segment_that_lacks_its_parts(stores: list[str], tmp_path: Path) -> None:
    from goodctl.datastore.reference import MAIN

    session = Repository.open(stores[0]).session(MAIN)
    segments: Any = session.root["segments"]
    del segments[Datastore.open(stores[0]).segments[0].id]["parts"]
    session.commit("tampered", {"kind": "result"})
    with pytest.raises(DamagedError, match="0 parts, 1 were recorded"):
        merge(stores[:1], out=str(tmp_path / "new"))
