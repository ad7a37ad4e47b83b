from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr

from goodctl.datastore.codes import (
    CodecInfo,
    codec_infos,
    delete_codec,
    delete_codes,
    describe_codec,
    fingerprint,
    read_codec,
    read_codes,
    write_codec,
    write_codes,
)
from goodctl.datastore.content import array_sha256
from goodctl.datastore.description import SegmentCodes
from goodctl.datastore.reference import MAIN
from goodctl.datastore.repository import Repository
from goodctl.datastore.store import Datastore
from goodctl.errors import DamagedError, IncompatibleError
from tests.index.stores import keys, rows_of, searcher, trained, write

DATA = keys(0, 300)
QUERIES = keys(1, 4).astype(np.float32)


def tamper(store: Path, change: Callable[[zarr.Group], None]) -> None:
    """Commit a change to the newest version."""
    session = Repository.open(str(store)).session(MAIN)
    change(session.root)
    session.commit("tampered", {"kind": "result", "command": "test", "results": {"rows": 0}})


def group(root: zarr.Group, path: str) -> zarr.Group:
    found = root[path]
    assert isinstance(found, zarr.Group)
    return found


def replaced(
    parent: zarr.Group, name: str, array: npt.NDArray[np.generic], attributes: dict[str, Any] | None = None
) -> None:
    del parent[name]
    parent.create_array(name, data=array, attributes=attributes or {})


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write(tmp_path / "s", rows_of(DATA), codec=trained(DATA, "IVF4,SQ8"))
    return tmp_path / "s"


def only_codec(store: Path) -> CodecInfo:
    opened = Datastore.open(str(store))
    (info,) = codec_infos(opened.root, opened.location).values()
    return info


def codes_of(store: Path) -> npt.NDArray[np.uint8]:
    opened = Datastore.open(str(store))
    (part,) = opened.parts(opened.segments[0])
    return read_codes(part, only_codec(store))


def test_what_is_written_is_read(store: Path) -> None:
    codec = trained(DATA, "IVF4,SQ8")
    opened = Datastore.open(str(store))
    info = only_codec(store)
    assert replace(info, created_at="") == replace(codec.info, created_at="")
    np.testing.assert_array_equal(read_codec(opened.root, info.id, "s"), codec.trained)
    np.testing.assert_array_equal(codes_of(store), codec.encode(DATA, searcher(opened).device))
    assert opened.segments[0].codes == SegmentCodes(info.id, "trained", 0.0, None, 0.0, None)


def test_a_store_without_codecs(tmp_path: Path) -> None:
    opened = write(tmp_path / "s", rows_of(DATA))
    assert codec_infos(opened.root, opened.location) == {}
    assert opened.segments[0].codes is None


def test_writing_a_codec_twice_leaves_the_last_and_a_description_can_change() -> None:
    root, codec = zarr.create_group(store=zarr.storage.MemoryStore()), trained(DATA, "SQ8")
    write_codec(root, codec.info, codec.trained)
    write_codec(root, replace(codec.info, error=0.5), codec.trained)
    assert codec_infos(root, "s") == {codec.info.id: replace(codec.info, error=0.5)}
    described = replace(codec.info, settings={"high": {"nprobe": 3, "rerank": 1, "tv": 0.1, "recall": 0.9}})
    describe_codec(root, described)
    assert codec_infos(root, "s") == {codec.info.id: described}
    delete_codec(root, codec.info.id)
    assert codec_infos(root, "s") == {}


def test_codes_of_some_codecs_can_be_deleted() -> None:
    part = zarr.create_group(store=zarr.storage.MemoryStore())
    delete_codes(part)
    for name in ("a", "b", "c"):
        write_codes(part, name, np.zeros((3, 2), np.uint8))
    delete_codes(part, keep=["b"])
    assert list(group(part, "codes").array_keys()) == ["b"]
    delete_codes(part)
    assert list(group(part, "codes").array_keys()) == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda codes: codes[:, :-1], r"uint8 \(300, 16\), not uint8 \(300, 17\)"),
        (lambda codes: codes[:-1], r"uint8 \(299, 17\)"),
        (lambda codes: codes.astype(np.int16), "int16"),
        (lambda codes: codes.reshape(-1), r"\(5100,\)"),
        (lambda codes: codes ^ np.uint8(1), "not the bytes that were written"),
        (None, "missing"),
    ],
)
def test_codes_that_are_not_as_they_were_written(
    store: Path, damage: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.generic]] | None, message: str
) -> None:
    name, codes = only_codec(store).id, codes_of(store)
    segment = Datastore.open(str(store)).segments[0].id
    path = f"segments/{segment}/parts/000000/codes"

    def change(root: zarr.Group) -> None:
        if damage is None:
            del group(root, path)[name]
        else:
            replaced(group(root, path), name, damage(codes), {"sha256": array_sha256(codes)})

    tamper(store, change)
    with pytest.raises(DamagedError, match=message) as caught:
        searcher(store).search(QUERIES, 3)
    assert f"{path}/{name}" in caught.value.message
    assert caught.value.hint and f"goodctl datastore index {store}" in caught.value.hint
    assert searcher(store, fidelity="exact").search(QUERIES, 3).rows.shape == (4, 3)


def test_codes_of_a_list_that_is_not_there(store: Path) -> None:
    name, codes = only_codec(store).id, codes_of(store)
    codes[17, 0] = 200
    segment = Datastore.open(str(store)).segments[0].id
    where = f"segments/{segment}/parts/000000/codes"
    tamper(store, lambda root: replaced(group(root, where), name, codes, {"sha256": array_sha256(codes)}))
    with pytest.raises(DamagedError, match="codes of list 200") as caught:
        searcher(store).search(QUERIES, 3)
    assert "has 4 lists" in caught.value.message


@pytest.mark.parametrize("damage", ["byte", "cut", "type", "missing"])
def test_a_changed_codec_never_reaches_faiss(store: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import faiss

    name = only_codec(store).id
    stored = read_codec(Datastore.open(str(store)).root, name, "s")

    def change(root: zarr.Group) -> None:
        codec = group(root, f"codecs/{name}")
        if damage == "missing":
            del codec["trained"]
            return
        changed: npt.NDArray[np.generic] = stored.copy()
        changed = {"byte": stored ^ np.uint8(4), "cut": stored[:-1], "type": stored.astype(np.int32)}[damage]
        replaced(codec, "trained", changed)

    tamper(store, change)

    def never(*_arguments: object) -> None:
        raise AssertionError("faiss was given unchecked bytes")

    monkeypatch.setattr(faiss, "deserialize_index", never)
    with pytest.raises(DamagedError) as caught:
        searcher(store)
    assert f"codecs/{name}/trained" in caught.value.message
    assert caught.value.hint and f"goodctl datastore index {store}" in caught.value.hint
    assert searcher(store, fidelity="exact").rows == 300


def test_a_codec_that_is_gone(store: Path) -> None:
    tamper(store, lambda root: delete_codec(root, only_codec(store).id))
    with pytest.raises(DamagedError, match=r"the codec .* is missing") as caught:
        searcher(store)
    assert caught.value.hint and "datastore index" in caught.value.hint
    assert searcher(store, fidelity="exact").rows == 300


def test_a_description_that_is_incomplete(store: Path) -> None:
    name = only_codec(store).id

    def change(root: zarr.Group) -> None:
        attributes = dict(group(root, f"codecs/{name}").attrs)
        del attributes["dimension"]
        group(root, f"codecs/{name}").attrs.put(attributes)

    tamper(store, change)
    with pytest.raises(DamagedError, match=r"codec .* of segment .* is missing"):
        searcher(store)


@pytest.mark.parametrize(("described", "error"), [(16, DamagedError), (8, IncompatibleError)])
def test_a_codec_of_another_dimension(store: Path, described: int, error: type[Exception]) -> None:
    other = trained(keys(0, 300, 8), "IVF4,SQ8")
    segment = Datastore.open(str(store)).segments[0]

    def change(root: zarr.Group) -> None:
        write_codec(root, replace(other.info, dimension=described), other.trained)
        codes: dict[str, Any] = {"codec": other.info.id, "decision": "trained", "error": 0.0, "coarse_error": None}
        codes |= {"codec_error": 0.0, "codec_coarse_error": None}
        group(root, f"segments/{segment.id}").attrs.update({"codes": codes})

    tamper(store, change)
    with pytest.raises(error, match="8 dimensions"):
        searcher(store)


def test_fingerprints_follow_the_bytes() -> None:
    some = np.arange(100, dtype=np.uint8)
    assert fingerprint(some) == fingerprint(np.repeat(some, 2)[::2]) != fingerprint(some[::-1])
