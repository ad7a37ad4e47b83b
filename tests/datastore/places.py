"""A store of some size to do things to where it is hard: on full disks, without permission, beside the dead."""

from __future__ import annotations

from pathlib import Path

from goodctl.datastore.history import log
from goodctl.workflows.merge import MergeChoice
from tests.datastore.contents import Document, documents
from tests.index.stores import keys, rows_of, split
from tests.index.stores import write as write_keys

DIMENSION = 64
CPU = MergeChoice(device="cpu")


def described(store: Path) -> tuple[list[Document], list[str]]:
    """Content and versions."""
    return documents(store), [entry.snapshot for entry in log(str(store))]


def write_store(folder: Path, *, seed: int = 0) -> None:
    """About 1 MB: two segments of a language next to one another and one of another language, in parts."""
    for number, (language, count) in enumerate([("en", 3000), ("en", 2000), ("fr", 3000)]):
        batch = rows_of(keys(seed + number, count, DIMENSION))
        batches = [(language, piece) for piece in split(batch, count // 3, 2 * count // 3)]
        write_keys(folder, *batches, job=f"{seed}-{number}", part_bytes=100_000)
