"""Stores of random rows, written as an addition writes them but without a model; for the benchmarks of storing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from goodctl.datastore.description import SourceInfo
from goodctl.datastore.format import Header
from goodctl.datastore.repository import Repository, is_store, writer_lock
from goodctl.datastore.segments import Rows
from goodctl.datastore.store import Datastore
from goodctl.datastore.writer import Addition, Writer

VOCABULARY = 262_144
BLOCK_ROWS = 32_768
"""About what the encoder hands over at a time on a CPU."""
MEAN_DOCUMENT_ROWS = 50


def header(dimension: int) -> Header:
    """Of a store whose model nobody needs."""
    return Header(
        model={"name": "random", "revision": None, "architecture": "None", "fingerprint": {}},
        key_layer="ffn-input",
        key_module="layers.17.mlp",
        key_dtype="float16",
        dimension=dimension,
        vocabulary=VOCABULARY,
        window=2048,
        created_by="goodctl benchmark",
        created_at="2026-01-01T00:00:00+00:00",
    )


def random_rows(count: int, dimension: int, seed: int) -> list[Rows]:
    """Rows in blocks: normal keys, Zipf-like values, documents of 1 to 99 rows."""
    random = np.random.default_rng(seed)
    # One block of keys serves for all: they are stored raw, so what is in them makes no difference.
    keys = random.standard_normal((min(count, BLOCK_ROWS), dimension), dtype=np.float32).astype(np.float16)
    return [_block(keys[: min(BLOCK_ROWS, count - start)], start, random) for start in range(0, count, BLOCK_ROWS)]


def _block(keys: np.ndarray[tuple[int, ...], np.dtype[np.float16]], line: int, random: np.random.Generator) -> Rows:
    count = len(keys)
    ends = np.cumsum(random.integers(1, 2 * MEAN_DOCUMENT_ROWS, count))
    ends = np.append(ends[ends < count], count)
    return Rows(
        keys=keys,
        values=np.minimum(random.zipf(1.2, count), VOCABULARY - 1).astype(np.int32),
        lengths=np.diff(ends, prepend=0).astype(np.int64),
        sources=np.zeros(len(ends), np.int32),
        lines=np.arange(line + 1, line + 1 + len(ends), dtype=np.int64),
    )


def write(store: Path, blocks: list[Rows], job: str) -> int:
    """Do all that a build or an addition does apart from reading and encoding.

    Returns:
        Bytes by which the repository has grown.
    """
    location = str(store)
    with writer_lock(location, "benchmark"):
        repository, head = _opened(location, blocks)
        writer = Writer(repository, head, _addition(job))
        before = repository.disk_bytes()
        for block in blocks:
            writer.append("und", block)
        writer.finish(
            {"position": {}}, lambda token: f"<{token}>", {"rows": writer.rows, "documents": 1, "languages": {}}
        )
        assert Datastore.from_repository(repository).rows >= writer.rows
        return repository.disk_bytes() - before


def _opened(location: str, blocks: list[Rows]) -> tuple[Repository, Header]:
    if is_store(location):
        current = Datastore.open(location)
        return current.repository, current.header
    return Repository.create(location), header(blocks[0].keys.shape[1])


def _addition(job: str) -> Addition:
    return Addition(
        command="add",
        message=f"add {job}",
        job=job,
        label=None,
        precision="fp32",
        settings={},
        sources=(SourceInfo(0, "random.txt", "00" * 32, 123),),
    )


def jobs(prefix: str) -> Iterator[str]:
    """Names of jobs that differ."""
    number = 0
    while True:
        number += 1
        yield f"{prefix}{number:08d}"
