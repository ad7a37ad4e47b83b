from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import zarr

from goodctl.datastore.content import array_sha256
from goodctl.datastore.history import log
from goodctl.datastore.parts import stored_parts
from goodctl.datastore.repository import Repository
from goodctl.datastore.segments import Rows
from goodctl.datastore.store import Datastore
from goodctl.errors import ConflictError, NotFoundError, ServiceError
from tests.datastore.rows import decode, rows, write, writer


def content(folder: Path, reference: str = "") -> dict[str, list[bytes]]:
    store = Datastore.open(f"{folder}{reference}")
    names = ("keys", "values", "offsets", "document_sources", "document_lines")
    return {segment.language: [store.read(segment, name).tobytes() for name in names] for segment in store.segments}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    batch = rows(0)
    snapshot = write(tmp_path / "s", "build", ("en", batch))
    store = Datastore.open(str(tmp_path / "s"))
    (segment,) = store.segments
    assert store.version.id == snapshot
    assert store.rows == len(batch.values)
    assert store.documents == 5
    np.testing.assert_array_equal(store.read(segment, "keys"), batch.keys)
    np.testing.assert_array_equal(store.read(segment, "values"), batch.values)
    np.testing.assert_array_equal(np.diff(store.read(segment, "offsets")), batch.lengths)
    np.testing.assert_array_equal(store.read(segment, "document_lines"), batch.lines)
    assert segment.sources[0].rows == store.rows
    assert segment.sources[0].documents == 5
    assert store.read(segment, "keys").dtype == np.float16
    assert store.value_counts().sum() == store.rows


def test_tokens_of_frequent_values_are_kept(tmp_path: Path) -> None:
    batch = rows(0)
    write(tmp_path / "s", "build", ("en", batch))
    (segment,) = Datastore.open(str(tmp_path / "s")).segments
    most = int(np.bincount(batch.values).argmax())
    assert segment.tokens[str(most)] == f"<{most}>"


def test_each_language_is_a_segment_in_order_of_appearance(tmp_path: Path) -> None:
    write(tmp_path / "s", "build", ("ru", rows(0)), ("en", rows(1)), ("ru", rows(2)))
    store = Datastore.open(str(tmp_path / "s"))
    assert [segment.language for segment in store.segments] == ["ru", "en"]
    expected = np.concatenate([rows(0).keys, rows(2).keys])
    np.testing.assert_array_equal(store.read(store.segments[0], "keys"), expected)


def test_an_addition_leaves_what_is_there_untouched(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    write(folder, "build", ("en", rows(0, documents=100)))  # smaller chunks are kept inside the manifest
    chunks = folder / "repository" / "chunks"
    before = {file.name: file.read_bytes() for file in chunks.iterdir()}
    english = content(folder)["en"]
    write(folder, "more", ("fr", rows(1)))
    assert {name: (chunks / name).read_bytes() for name in before} == before
    assert content(folder)["en"] == english
    assert list(content(folder)) == ["en", "fr"]
    assert list(content(folder, "@~1")) == ["en"]


@pytest.mark.parametrize("part_bytes", [1, 700, 2**20])
def test_division_into_parts_does_not_show(tmp_path: Path, part_bytes: int) -> None:
    batches = [("en", rows(seed)) for seed in range(6)]
    write(tmp_path / "s", "build", *batches, part_bytes=part_bytes)
    store = Datastore.open(str(tmp_path / "s"))
    (segment,) = store.segments
    keys = np.concatenate([batch.keys for _, batch in batches])
    lengths = np.concatenate([batch.lengths for _, batch in batches])
    np.testing.assert_array_equal(store.read(segment, "keys"), keys)
    np.testing.assert_array_equal(np.diff(store.read(segment, "offsets")), lengths)
    assert segment.sha256["keys"] == array_sha256(keys)
    assert segment.sha256["offsets"] == array_sha256(np.concatenate([[0], np.cumsum(lengths)]))
    assert segment.parts == len(list(store.parts(segment)))
    assert (segment.parts == 1) == (part_bytes == 2**20)


def test_keys_are_raw_and_parts_carry_hashes(tmp_path: Path) -> None:
    batch = rows(0, documents=100)
    write(tmp_path / "s", "build", ("en", batch))
    store = Datastore.open(str(tmp_path / "s"))
    (part,) = store.parts(store.segments[0])
    keys = part.group["keys"]
    assert isinstance(keys, zarr.Array)
    assert keys.compressors == ()
    assert keys.shards is None
    assert part.sha256["keys"] == array_sha256(batch.keys)
    chunks = [file.read_bytes() for file in (tmp_path / "s" / "repository" / "chunks").iterdir()]
    assert batch.keys.tobytes() in chunks


def test_nothing_is_seen_before_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    writing = writer(folder, "build", command="build")
    writing.append("en", rows(0))
    writing.checkpoint({"position": 1})
    with pytest.raises(NotFoundError, match="no finished version") as caught:
        Datastore.open(str(folder))
    assert f"{writing.rows} rows are kept" in str(caught.value)
    writing.finish({"position": 1}, decode, {"rows": writing.rows})
    assert Datastore.open(str(folder)).rows == writing.rows


def test_resumed_writing_ends_with_the_same_content(tmp_path: Path) -> None:
    batches = [("en", rows(0)), ("fr", rows(1)), ("en", rows(2)), ("de", rows(3))]
    write(tmp_path / "whole", "job", *batches)
    stopped = writer(tmp_path / "cut", "job")
    for language, batch in batches[:2]:
        stopped.append(language, batch)
    stopped.checkpoint({"position": 2})
    stopped.append(*batches[2])  # lost: no checkpoint follows
    resumed = writer(tmp_path / "cut", "job")
    assert resumed.state == {"position": 2}
    assert resumed.rows == len(rows(0).values) + len(rows(1).values)
    for language, batch in batches[2:]:
        resumed.append(language, batch)
    resumed.finish({"position": 4}, decode, {})
    assert content(tmp_path / "cut") == content(tmp_path / "whole")
    whole, cut = (Datastore.open(str(tmp_path / name)).segments for name in ("whole", "cut"))
    assert [segment.sha256 for segment in whole] == [segment.sha256 for segment in cut]
    assert [segment.tokens for segment in whole] == [segment.tokens for segment in cut]
    assert not Repository.open(str(tmp_path / "cut")).checkpoints()


def test_a_checkpoint_survives_another_addition(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    write(folder, "build", ("en", rows(0)))
    stopped = writer(folder, "slow", part_bytes=1)
    stopped.append("fr", rows(1))
    stopped.append("it", rows(2))
    stopped.checkpoint({"position": 2})
    write(folder, "quick", ("de", rows(3)))
    resumed = writer(folder, "slow")
    assert resumed.state == {"position": 2}
    resumed.append("fr", rows(4))
    resumed.finish({"position": 3}, decode, {})
    store = Datastore.open(str(folder))
    assert [segment.language for segment in store.segments] == ["en", "de", "fr", "it"]
    assert [segment.order for segment in store.segments] == [0, 1, 2, 3]
    expected = np.concatenate([rows(1).keys, rows(4).keys])
    np.testing.assert_array_equal(store.read(store.segments[2], "keys"), expected)
    assert not Repository.open(str(folder)).checkpoints()


@pytest.mark.parametrize("moment", ["move_branch", "delete_branch"])
def test_killed_while_finishing(tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "s"
    write(folder, "build", ("en", rows(0)))

    def killed(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    stopped = writer(folder, "job")
    stopped.append("fr", rows(1))
    with monkeypatch.context() as patch:
        patch.setattr(stopped.repository, moment, killed)
        with pytest.raises(KeyboardInterrupt):
            stopped.finish({"position": 1}, decode, {})
    moved = moment == "delete_branch"
    assert ("fr" in content(folder)) is moved
    resumed = writer(folder, "job")
    if moved:
        assert resumed.state is None, "it is done: nothing to go on with"
        assert not Repository.open(str(folder)).checkpoints()
    else:
        assert resumed.state == {"position": 1}
        resumed.finish({"position": 1}, decode, {})
        assert list(content(folder)) == ["en", "fr"]
        np.testing.assert_array_equal(np.frombuffer(content(folder)["fr"][1], np.int32), rows(1).values)


def test_a_branch_without_a_checkpoint_is_dropped(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    write(folder, "build", ("en", rows(0)))
    repository = Repository.open(str(folder))
    repository.create_branch("checkpoint-job", repository.tip())
    assert writer(folder, "job").state is None
    assert not Repository.open(str(folder)).checkpoints()


def test_discarding_forgets_the_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    write(folder, "build", ("en", rows(0)))
    stopped = writer(folder, "job")
    stopped.append("fr", rows(1))
    stopped.checkpoint({"position": 1})
    stopped.discard()
    assert writer(folder, "job").state is None


def test_main_that_moved_in_spite_of_the_lock_is_a_conflict(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    write(folder, "build", ("en", rows(0)))
    slow = writer(folder, "slow")
    slow.append("fr", rows(1))
    write(folder, "quick", ("de", rows(2)))
    with pytest.raises(ConflictError, match="another writer"):
        slow.finish({"position": 1}, decode, {})
    assert list(content(folder)) == ["en", "de"]
    resumed = writer(folder, "slow")
    resumed.finish({"position": 1}, decode, {})
    assert list(content(folder)) == ["en", "de", "fr"]


def test_no_room_is_noticed_before_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "s"
    write(folder, "build", ("en", rows(0)))
    writing = writer(folder, "job")
    writing.append("fr", rows(1))
    full = os.statvfs_result((4096, 4096, 10, 0, 0, 10, 10, 10, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _path: full)
    with pytest.raises(ServiceError, match="The disk is full") as caught:
        writing.checkpoint({"position": 1})
    assert caught.value.exit_code == 5
    monkeypatch.undo()
    assert list(content(folder)) == ["en"]


def test_rows_of_nothing_are_ignored(tmp_path: Path) -> None:
    some = rows(0)
    empty = Rows(some.keys[:0], some.values[:0], some.lengths[:0], some.sources[:0], some.lines[:0])
    writing = writer(tmp_path / "s", "job")
    writing.append("en", empty)
    assert writing.rows == 0
    assert writing.languages() == {}


def test_log_folds_checkpoints(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    write(folder, "build", ("en", rows(0)), command="build")
    writing = writer(folder, "more")
    for seed in range(3):
        writing.append("fr", rows(seed))
        writing.checkpoint({"position": seed})
    writing.finish({"position": 3}, decode, {"rows": writing.rows, "documents": 15, "languages": {"fr": writing.rows}})
    newest, oldest = log(str(folder))
    assert (newest.command, newest.checkpoints, newest.rows) == ("add", 3, writing.rows)
    assert newest.names == ("main",)
    assert (oldest.command, oldest.checkpoints) == ("build", 1)
    assert log(f"{folder}@~1") == [oldest]


def test_parts_of_a_group_without_parts(tmp_path: Path) -> None:
    group = zarr.create_group(store=zarr.storage.MemoryStore())
    assert list(stored_parts(group, "store")) == []
