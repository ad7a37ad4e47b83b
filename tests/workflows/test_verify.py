from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from goodctl.datastore.diff import diff
from goodctl.datastore.history import log
from goodctl.datastore.reference import MAIN
from goodctl.datastore.removal import remove
from goodctl.datastore.removal_plan import Removal
from goodctl.datastore.repository import Repository
from goodctl.datastore.sharding import shard
from goodctl.datastore.store import Datastore
from goodctl.errors import DamagedError, NotFoundError, UsageError
from goodctl.index.stores import cache_of
from goodctl.workflows.verify import VerifyResult, verify
from tests.datastore.contents import pieces
from tests.datastore.rows import writer
from tests.index.stores import keys, rows_of, searcher, trained, without_faiss, write

DATA = keys(0, 300)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two segments with codes, the first of several parts; one without."""
    codec = trained(DATA, "IVF4,SQ8")
    write(tmp_path / "s", *pieces("en", rows_of(DATA[:200])), ("fr", rows_of(DATA[200:])), codec=codec, part_bytes=4000)
    write(tmp_path / "s", ("de", rows_of(DATA[:50])), job="other")
    return tmp_path / "s"


def checked(store: Path | str, **options: Any) -> VerifyResult:
    return verify(str(store), device="cpu", **options)


def tampered(store: Path, change: Callable[[zarr.Group], None]) -> VerifyResult:
    """Verify a version in which something was changed that its hashes do not cover, or that they do."""
    session = Repository.open(str(store)).session(MAIN)
    change(session.root)
    session.commit("tampered", {"kind": "result", "command": "test", "results": {"rows": 0}})
    return checked(store)


def inside(root: zarr.Group, name: str) -> Any:
    return root[name]


def segment(root: zarr.Group, language: str) -> Any:
    (found,) = (group for _, group in inside(root, "segments").groups() if group.attrs["language"] == language)
    return found


def part(root: zarr.Group, language: str) -> Any:
    found = segment(root, language)["parts/000000"]
    assert isinstance(found, zarr.Group)
    return found


def said(result: VerifyResult) -> str:
    return "\n".join(f"{problem.where} {problem.what}" for problem in result.problems)


def test_a_good_store(store: Path) -> None:
    for deep in (False, True):
        result = checked(store, deep=deep)
        assert result.is_good, said(result)
        assert [each.language for each in result.good_segments] == ["en", "fr", "de"]
        assert not result.damaged_segments
        assert result.snapshot == Datastore.open(str(store)).version.id
    assert checked(store).rows == 350
    deep_result = checked(store, deep=True)
    assert deep_result.rows == 350 + 300, "the newest version, and what the one before it has brought"
    assert deep_result.versions == 2, "checkpoints on the way are no versions"


def set_values(place: int, value: int) -> Callable[[zarr.Group], None]:
    return lambda root: part(root, "fr")["values"].__setitem__(place, value)


@pytest.mark.parametrize(
    ("change", "message", "language"),
    [
        (set_values(3, 77), "1 values outside the vocabulary of 50", "fr"),
        (set_values(3, -1), "1 values outside the vocabulary of 50", "fr"),
        (lambda root: part(root, "fr")["keys"].__setitem__((2, 1), np.nan), "1 keys that are not finite", "fr"),
        (lambda root: part(root, "fr")["keys"].__setitem__((2, 1), np.inf), "1 keys that are not finite", "fr"),
        (lambda root: part(root, "fr")["offsets"].__setitem__(1, 0), "offsets that do not ascend", "fr"),
        (lambda root: part(root, "fr")["offsets"].__setitem__(0, 1), "offsets that do not ascend", "fr"),
        (lambda root: part(root, "fr")["document_lines"].__setitem__(0, 0), "lines below 1", "fr"),
        (lambda root: part(root, "fr")["document_sources"].__setitem__(0, 5), "does not describe", "fr"),
        (lambda root: part(root, "fr").__delitem__("values"), "is missing", "fr"),
        (lambda root: part(root, "fr").attrs.update({"rows": 99}), "99 were recorded", "fr"),
        (lambda root: segment(root, "en").attrs.update({"rows": 199}), "has 200 rows, 199 were recorded", "en"),
        (lambda root: segment(root, "en").attrs.update({"documents": 9}), "has 40 documents, 9 were recorded", "en"),
        (lambda root: segment(root, "en")["parts"].__delitem__("000001"), "parts", "en"),
        (lambda root: segment(root, "de").attrs.update({"order": 1}), "several segments at position 1", None),
        (
            lambda root: part(root, "fr")["codes"].__delitem__(next(part(root, "fr")["codes"].array_keys())),
            "codes",
            "fr",
        ),
        (
            lambda root: inside(root, "codecs").__delitem__(next(inside(root, "codecs").group_keys())),
            "which is not there",
            "en",
        ),
        (
            lambda root: next(group for _, group in inside(root, "codecs").groups()).attrs.update({"code_size": "x"}),
            "has codes of codec",
            "en",
        ),
    ],
)
def test_what_is_wrong_is_named(
    store: Path, change: Callable[[zarr.Group], None], message: str, language: str | None
) -> None:
    before = Datastore.open(str(store)).version.id
    result = tampered(store, change)
    assert message in said(result), said(result)
    damaged = {each.language for each in result.damaged_segments}
    assert language is None or language in damaged
    assert "de" not in damaged
    assert all(problem.snapshot == result.snapshot for problem in result.problems)
    assert checked(f"{store}@{before}").is_good


def test_codes_that_are_not_of_their_keys(store: Path) -> None:
    def swap(root: zarr.Group) -> None:
        from goodctl.datastore.content import array_sha256

        codes = part(root, "fr")["codes"]
        array = next(each for _, each in codes.arrays())
        turned = np.ascontiguousarray(np.asarray(array[:])[::-1])
        array[:] = turned
        array.attrs.update({"sha256": array_sha256(turned)})

    result = tampered(store, swap)
    assert "that are not of their keys" in said(result)
    assert [each.language for each in result.damaged_segments] == ["fr"]


def test_without_faiss_codes_are_not_compared(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_faiss(monkeypatch)
    result = checked(store)
    assert result.is_good
    assert result.notes == ("codes were not compared with keys: faiss is not installed",)


def test_flat_files_beside_the_store(store: Path) -> None:
    searcher(store).search(DATA[:2].astype(np.float32), 3)
    assert checked(store).is_good
    file = next((store / "cache").glob("lists-*.bin"))
    content = bytearray(file.read_bytes())
    content[10] ^= 255
    file.write_bytes(bytes(content))
    result = checked(store)
    assert [problem.kind for problem in result.problems] == ["cache"]
    assert f"rm {file}" in result.problems[0].what
    assert len(result.good_segments) == 3


def test_a_flat_file_that_a_killed_search_left_is_no_damage(store: Path) -> None:
    searcher(store).search(DATA[:2].astype(np.float32), 3)
    next((store / "cache").glob("lists-*.json")).unlink()
    assert checked(store).is_good


def test_every_byte_of_a_description_of_a_flat_file_means_something(store: Path) -> None:
    searcher(store).search(DATA[:2].astype(np.float32), 3)
    file = next((store / "cache").glob("values-*.json"))
    content = file.read_bytes()
    for place in range(len(content)):
        for other in (b"\t", b"\n", b"\r", b" "):
            if content[place : place + 1] != other:
                file.write_bytes(content[:place] + other + content[place + 1 :])
                assert cache_of(Datastore.open(str(store))).damaged(), (place, other)


def test_small_files_without_a_recorded_hash_are_named(store: Path) -> None:
    assert not checked(store).notes
    (store / "checksums.sha256").unlink()
    result = checked(store)
    assert result.is_good
    (note,) = result.notes
    assert "checksums.sha256 does not list them, such as repository/" in note
    remove(str(store), Removal(languages=("de",)))
    assert not checked(store).notes, "a writer records them"


def test_a_snapshot_in_the_place_of_another_is_an_end(store: Path) -> None:
    """Its parents lead to itself."""
    repository = Repository.open(str(store))
    newest, *_, oldest, _root = (version.id for version in repository.ancestry(repository.tip()))
    folder = store / "repository" / "snapshots"
    (folder / oldest).write_bytes((folder / newest).read_bytes())
    for deep in (False, True):
        result = checked(store, deep=deep)
        assert f"repository/snapshots/{oldest} is not what was written" in said(result)
    assert "round in a circle" in said(result)
    with pytest.raises(DamagedError, match="round in a circle"):
        log(str(store))


def test_an_earlier_version_is_checked_only_when_asked_for(store: Path) -> None:
    newest = Datastore.open(str(store))
    arrays = {np.asarray(each.read("keys")).tobytes() for each in newest.parts(newest.segments[1])}
    remove(str(store), Removal(languages=("fr",)))
    (chunk,) = [file for file in (store / "repository" / "chunks").iterdir() if file.read_bytes() in arrays]
    content = bytearray(chunk.read_bytes())
    content[0] ^= 1
    chunk.write_bytes(bytes(content))
    assert checked(store).is_good
    assert not checked(f"{store}@~1").is_good
    deep = checked(store, deep=True)
    assert not deep.is_good
    assert not deep.damaged_segments, "the newest version has none"
    assert len(deep.good_segments) == 2


def test_the_newest_good_version_is_named(store: Path) -> None:
    before = Datastore.open(str(store)).version.id
    result = tampered(store, lambda root: root.attrs.__delitem__("dimension"))
    assert result.snapshot is None
    assert "lack dimension" in said(result)
    assert result.good_version == before


def test_unfinished_writes_are_looked_at(store: Path) -> None:
    writing = writer(store, "left", part_bytes=400)
    writing.append("xx", rows_of(keys(5, 60)))
    writing.checkpoint({"position": {}})
    result = checked(store, deep=True)
    assert result.is_good
    assert result.rows == 350 + 300 + 60


def test_there_must_be_a_store(store: Path) -> None:
    with pytest.raises(NotFoundError):
        checked(store.parent / "none")
    with pytest.raises(NotFoundError):
        checked(f"{store}@v9")


def test_a_damaged_codec_takes_its_segments_along(store: Path) -> None:
    codec = Datastore.open(str(store)).segments[0].codes
    assert codec is not None
    content = np.asarray(
        inside(inside(Datastore.open(str(store)).root, f"codecs/{codec.codec}"), "trained")[:]
    ).tobytes()
    (chunk,) = [file for file in (store / "repository" / "chunks").iterdir() if file.read_bytes() == content]
    damaged = bytearray(content)
    damaged[-1] ^= 1
    chunk.write_bytes(bytes(damaged))
    result = checked(store)
    assert [each.language for each in result.damaged_segments] == ["en", "fr"]
    assert [each.language for each in result.good_segments] == ["de"]
    assert result.good_version is None


def test_sizes_are_checked_before_memory_is_taken(store: Path) -> None:
    def claim(root: zarr.Group) -> None:
        group = part(root, "fr")
        group.attrs.update({"rows": 10**13})
        del group["values"]
        group.create_array("values", shape=(10**13,), chunks=(10**13,), dtype="int32")

    assert "claims 40,000,000,000,000 bytes" in said(tampered(store, claim))
    with pytest.raises(DamagedError, match="were recorded"):
        shard(str(store), f"{store}-shards", count=3)


@pytest.mark.parametrize(
    "attributes", [{"language": ["fr"]}, {"label": 3}, {"job": None}, {"tokens": {"1": 2}}, {"sources": [{"name": 1}]}]
)
def test_descriptions_of_other_types(store: Path, attributes: dict[str, Any]) -> None:
    result = tampered(store, lambda root: segment(root, "fr").attrs.update(attributes))
    assert "unreadable description" in said(result)
    with pytest.raises(DamagedError, match="unreadable description"):
        diff(f"{store}@~1", str(store))


def test_counts_in_the_log_are_information_only(store: Path) -> None:
    session = Repository.open(str(store)).session(MAIN)
    session.root.attrs.update({"x": 1})
    session.commit("from elsewhere", {"kind": "result", "results": {"rows": "many", "languages": [1]}})
    assert (log(str(store))[0].rows, log(str(store))[0].languages) == (0, {})


def test_what_a_writer_changes_meanwhile_is_no_damage(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from goodctl.datastore.repository import references

    look, seen = references._damaged, list[int]()

    def between_two_steps(folder: Path) -> dict[str, str]:
        seen.append(1)
        return {"repository/refs/branch.main/ref.json": "is malformed"} if len(seen) == 1 else look(folder)

    monkeypatch.setattr(references, "_damaged", between_two_steps)
    assert checked(store).is_good


def test_a_checkpoint_is_no_version(store: Path) -> None:
    writing = writer(store, "left", part_bytes=400)
    writing.append("xx", rows_of(keys(5, 60)))
    writing.checkpoint({"position": {}})
    tip = Repository.open(str(store)).checkpoints()["left"]
    with pytest.raises(UsageError, match="is a checkpoint of a command, not a finished version"):
        Datastore.open(f"{store}@{tip}")
