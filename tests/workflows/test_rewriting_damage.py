"""Damaged rows are never hashed anew: what writes rows again refuses, and the store is what it was."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from goodctl.datastore.compaction import compact
from goodctl.datastore.removal import remove
from goodctl.datastore.removal_plan import Removal
from goodctl.datastore.sharding import shard
from goodctl.datastore.store import Datastore
from goodctl.errors import DamagedError
from goodctl.workflows.verify import verify
from tests.datastore.rows import rows, write, writer
from tests.index.stores import keys, rows_of
from tests.index.stores import write as write_keys


def damage(store: Path, language: str) -> None:
    """Change one byte of the keys of a language's first part."""
    opened = Datastore.open(str(store))
    segment = next(each for each in opened.segments if each.language == language)
    content = np.asarray(next(opened.parts(segment)).read("keys")).tobytes()
    files = [file for file in (store / "repository" / "chunks").iterdir() if content.startswith(file.read_bytes()[:64])]
    (file,) = files
    damaged = bytearray(file.read_bytes())
    damaged[7] ^= 4
    file.write_bytes(bytes(damaged))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two segments that compaction would join, the first of them damaged."""
    write_keys(tmp_path / "s", ("en", rows_of(keys(0, 200))))
    write_keys(tmp_path / "s", ("en", rows_of(keys(1, 200))), job="other")
    damage(tmp_path / "s", "en")
    return tmp_path / "s"


@pytest.mark.parametrize(
    "rewrite",
    [
        compact,
        lambda store: compact(store, part_bytes=1),
        lambda store: remove(store, Removal(documents=("some.txt:3",))),
        lambda store: remove(store, Removal(documents=("some.txt:39",))),
        lambda store: shard(store, f"{store}-shards", count=3),
    ],
)
def test_what_writes_rows_anew_refuses(store: Path, rewrite: Callable[[str], object]) -> None:
    before = Datastore.open(str(store)).version.id
    with pytest.raises(DamagedError, match="is not what was written"):
        rewrite(str(store))
    assert Datastore.open(str(store)).version.id == before
    assert not verify(str(store), device="cpu").is_good, "it is still found"


def test_whole_segments_take_their_hashes_along(store: Path) -> None:
    shard(str(store), f"{store}-whole", by="language")
    assert not verify(f"{store}-whole/en", device="cpu").is_good


def test_an_addition_that_is_taken_up(tmp_path: Path) -> None:
    """Its checkpoint is damaged; then the branch moves, so that it would be copied."""
    write(tmp_path / "s", "build", ("en", rows(0)))
    writing = writer(tmp_path / "s", "add", part_bytes=400)
    writing.append("fr", rows(1, 200))
    writing.checkpoint({"position": {}})
    before = {file.name for file in (tmp_path / "s" / "repository" / "chunks").iterdir()}
    (name, *_) = sorted(before, key=lambda name: -(tmp_path / "s" / "repository" / "chunks" / name).stat().st_size)
    file = tmp_path / "s" / "repository" / "chunks" / name
    damaged = bytearray(file.read_bytes())
    damaged[9] ^= 1
    file.write_bytes(bytes(damaged))
    shutil.copytree(tmp_path / "s", tmp_path / "moved")
    with pytest.raises(DamagedError, match="is not what was written"):
        writer(tmp_path / "s", "add")
    write(tmp_path / "moved", "between", ("de", rows(2)))
    with pytest.raises(DamagedError, match="is not what was written"):
        writer(tmp_path / "moved", "add")
