"""Stores to damage, and single changed bytes in their files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from goodctl.datastore.names import create_tag, delete_tag
from goodctl.datastore.removal import remove
from goodctl.datastore.removal_plan import Removal
from goodctl.datastore.rollback import rollback
from goodctl.workflows.index_choice import IndexChoice
from tests.datastore.contents import pieces
from tests.index.stores import keys, rows_of, searcher, write

QUERIES = keys(9, 6).astype(np.float32)


def damaged_once(store: Path) -> Path:
    """A store with two languages, several parts, a codec, tags, a rollback, and flat files beside it."""
    write(store, *pieces("en", rows_of(keys(0, 260)), 12), index=IndexChoice("ivf-sq8", k=16), part_bytes=4000)
    write(store, ("fr", rows_of(keys(1, 90))), job="other", index=IndexChoice("auto"))
    create_tag(str(store), "first")
    create_tag(str(store), "gone")
    delete_tag(str(store), "gone")
    remove(str(store), Removal(documents=("some.txt:3",), languages=("en",)))
    rollback(str(store), "~1")
    remove(str(store), Removal(documents=("some.txt:5",), languages=("fr",)))
    searcher(store).search(QUERIES, 5)
    searcher(store, fidelity="exact").search(QUERIES, 5)
    return store


def files(store: Path) -> list[Path]:
    """All files that matter."""
    return [file for file in sorted(store.rglob("*")) if file.is_file() and not file.name.startswith(".lock")]


def positions(file: Path, count: int, seed: int) -> Iterator[tuple[int, int]]:
    """Places in a file, and what to change there: drawn at random; all of a small file's."""
    size, rng = file.stat().st_size, np.random.default_rng(seed)
    chosen = range(size) if size <= count else sorted(rng.integers(0, size, count).tolist())
    for place in chosen:
        yield place, int(rng.integers(1, 256))


class changed:
    """One byte of a file is another one while inside; the file's time stays, as when a disk goes bad."""

    def __init__(self, file: Path, place: int, change: int) -> None:
        self._file, self._place, self._change = file, place, change

    def __enter__(self) -> None:
        self._was, self._stat = self._file.read_bytes(), self._file.stat()
        content = bytearray(self._was)
        content[self._place] ^= self._change
        self._put(bytes(content))

    def __exit__(self, *error: object) -> None:
        self._put(self._was)

    def _put(self, content: bytes) -> None:
        import os

        self._file.write_bytes(content)
        os.utime(self._file, ns=(self._stat.st_atime_ns, self._stat.st_mtime_ns))
