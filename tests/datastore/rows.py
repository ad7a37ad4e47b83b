"""Rows, headers and writers for the datastore's tests: numbers in place of hidden states, no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from goodctl.datastore.description import SourceInfo
from goodctl.datastore.format import Header
from goodctl.datastore.repository import Repository, writer_lock
from goodctl.datastore.segments import Rows
from goodctl.datastore.writer import Addition, Writer

DIMENSION = 8
VOCABULARY = 50


def header(**changes: Any) -> Header:
    """A header of a small store."""
    values: dict[str, Any] = {
        "model": {"name": "tiny", "revision": None, "architecture": "Tiny", "fingerprint": {}},
        "key_layer": "ffn-input",
        "key_module": "layers.1.mlp",
        "key_dtype": "float16",
        "dimension": DIMENSION,
        "vocabulary": VOCABULARY,
        "window": 16,
        "created_by": "goodctl test",
        "created_at": "2026-01-01T00:00:00+00:00",
    }
    return Header(**{**values, **changes})


def rows(seed: int, documents: int = 5, longest: int = 9) -> Rows:
    """Random rows of some documents."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest + 1, documents)
    count = int(lengths.sum())
    return Rows(
        keys=rng.standard_normal((count, DIMENSION)).astype(np.float16),
        values=rng.integers(0, VOCABULARY, count).astype(np.int32),
        lengths=lengths.astype(np.int64),
        sources=np.zeros(documents, np.int32),
        lines=np.arange(1, documents + 1, dtype=np.int64),
    )


def addition(job: str, command: str = "add", **changes: Any) -> Addition:
    """What a command called ``job`` adds."""
    values: dict[str, Any] = {
        "command": command,
        "message": f"{command} {job}",
        "job": job,
        "label": None,
        "precision": "fp32",
        "settings": {},
        "sources": (SourceInfo(0, "some.txt", "00" * 32, 123),),
    }
    return Addition(**{**values, **changes})


def writer(folder: Path, job: str, *, part_bytes: int = 2**20, **changes: Any) -> Writer:
    """A writer on the store in ``folder``, which is created where it is missing. The caller needs no lock."""
    location = str(folder)
    with writer_lock(location, "test"):
        exists = (folder / "repository").exists()
        repository = Repository.open(location) if exists else Repository.create(location)
    return Writer(repository, header(), addition(job, **changes), part_bytes=part_bytes)


def decode(token: int) -> str:
    """The text of a token."""
    return f"<{token}>"


def write(folder: Path, job: str, *batches: tuple[str, Rows], **changes: Any) -> str:
    """Write batches of rows in one version, and give its snapshot."""
    writing = writer(folder, job, **changes)
    for language, batch in batches:
        writing.append(language, batch)
    return writing.finish({"position": {}}, decode, {"rows": writing.rows, "documents": 1, "languages": {}})
