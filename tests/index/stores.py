"""Small stores with given keys for the index's tests: no model, any dimension, several segments, parts and codecs."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import zarr

from goodctl.datastore.codes import write_codec, write_codes
from goodctl.datastore.description import Distances, SegmentCodes, SegmentInfo
from goodctl.datastore.format import KEYS, Header
from goodctl.datastore.parts import segment_group, stored_parts
from goodctl.datastore.repository import Repository, writer_lock
from goodctl.datastore.segments import Rows
from goodctl.datastore.store import Datastore
from goodctl.datastore.writer import Code, Coded, Writer, no_codes
from goodctl.index.codec import Codec, train
from goodctl.index.search import Searcher
from goodctl.workflows.coding import Coding
from goodctl.workflows.index_choice import IndexChoice
from tests.datastore.rows import VOCABULARY, addition, decode, header

CPU = torch.device("cpu")
Keys = npt.NDArray[np.floating]
Batch = tuple[str, Rows]


def keys(seed: int, count: int, dimension: int = 16, *, clusters: int = 12, dtype: str = "float16") -> Keys:
    """Random keys around some centres, as hidden states are."""
    rng = np.random.default_rng(seed)
    centres = 3 * np.random.default_rng(99).standard_normal((clusters, dimension))
    return (centres[rng.integers(0, clusters, count)] + rng.standard_normal((count, dimension))).astype(dtype)


def rows_of(keys: Keys, values: Sequence[int] | None = None, *, lengths: Sequence[int] | None = None) -> Rows:
    """Rows with given keys; by default their values count up and each document has five rows."""
    count = len(keys)
    if lengths is None:
        lengths = [min(5, count - start) for start in range(0, count, 5)]
    documents = len(lengths)
    chosen = np.arange(count) % VOCABULARY if values is None else np.asarray(values)
    return Rows(
        keys,
        chosen.astype(np.int32),
        np.asarray(lengths, np.int64),
        np.zeros(documents, np.int32),
        np.arange(1, documents + 1, dtype=np.int64),
    )


def split(rows: Rows, *ends: int) -> list[Rows]:
    """Rows cut into pieces of whole documents: each piece ends with the document that reaches its end."""
    documents = [0, *np.searchsorted(np.cumsum(rows.lengths), ends) + 1, len(rows.lengths)]
    starts = np.concatenate([[0], np.cumsum(rows.lengths)])
    pieces = []
    for first, last in itertools.pairwise(documents):
        these = slice(starts[first], starts[last])
        of = slice(first, last)
        pieces.append(Rows(rows.keys[these], rows.values[these], rows.lengths[of], rows.sources[of], rows.lines[of]))
    return pieces


def write(
    folder: Path | str,
    *batches: Batch | Rows,
    job: str = "build",
    index: IndexChoice | str | None = None,
    codec: Codec | None = None,
    distances: Distances | None = None,
    part_bytes: int = 2**20,
    **changes: Any,
) -> Datastore:
    """Write batches in one version of a store, which is made where it is missing.

    Args:
        folder: The store.
        batches: Rows, or a language and rows of it.
        job: Name of what is written.
        index: Gives codes as ``build`` and ``add`` would.
        codec: Gives codes of this codec instead.
        distances: Are recorded as if they had been measured.
        part_bytes: Size of a part.
        changes: Of the header.
    """
    languages = [batch if isinstance(batch, tuple) else ("und", batch) for batch in batches]
    location = str(folder)
    with writer_lock(location, "test"):
        exists = (Path(folder) / "repository").exists()
        repository = Repository.open(location) if exists else Repository.create(location)
        first = languages[0][1].keys
        described = header(**{"dimension": first.shape[1], "key_dtype": first.dtype.name, **changes})
        writing = Writer(repository, described, addition(job), part_bytes=part_bytes)
        for language, rows in languages:
            writing.append(language, rows)
        code: Code = no_codes
        if index is not None:
            choice = index if isinstance(index, IndexChoice) else IndexChoice(index)
            current = Datastore.from_repository(repository) if exists else None
            code = functools.partial(_chosen_codes, Coding(choice, CPU, current), repository, described)
        elif codec is not None:
            code = functools.partial(_given_codes, codec, location)
        code = functools.partial(_with_distances, code, distances)
        writing.finish({}, decode, {"rows": writing.rows, "documents": 1, "languages": writing.languages()}, code)
    return Datastore.open(location)


def _chosen_codes(
    coding: Coding, repository: Repository, described: Header, root: zarr.Group, segments: Sequence[SegmentInfo]
) -> Coded:
    version = next(iter(repository.ancestry(repository.tip())))
    return Coded(coding.add(Datastore(repository.location, version, described, tuple(segments), repository, root)))


def _given_codes(codec: Codec, location: str, root: zarr.Group, segments: Sequence[SegmentInfo]) -> Coded:
    write_codec(root, codec.info, codec.trained)
    for segment in segments:
        for part in stored_parts(segment_group(root, segment.id), location):
            write_codes(part.group, codec.info.id, codec.encode(part.read(KEYS), CPU))
    described = SegmentCodes(codec.info.id, "trained", 0.0, None, 0.0, None)
    return Coded({segment.id: described for segment in segments})


def _with_distances(
    code: Code, distances: Distances | None, root: zarr.Group, segments: Sequence[SegmentInfo]
) -> Coded:
    return replace(code(root, segments), distances=distances)


def trained(keys: Keys, factory: str, *, kind: str = "factory", seed: int = 0) -> Codec:
    """A codec trained on all of the keys."""
    return train(keys, len(keys), kind, factory, CPU, seed=seed)


def searcher(*stores: Datastore | Path | str, **options: Any) -> Searcher:
    """Stores opened to be searched."""
    return Searcher.of(
        [store if isinstance(store, Datastore) else Datastore.open(str(store)) for store in stores], **options
    )


def without_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if faiss was not installed."""
    find, load = importlib.util.find_spec, importlib.import_module

    def find_spec(name: str, package: str | None = None) -> Any:
        return None if name == "faiss" else find(name, package)

    def import_module(name: str, package: str | None = None) -> Any:
        if name == "faiss":
            raise ImportError("No module named 'faiss'")
        return load(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    monkeypatch.setattr(importlib, "import_module", import_module)


def brute_force(keys: Keys, queries: Keys, k: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Squared distances (B, k) float64 and rows (B, k) of the nearest keys, equal distances by row."""
    differences = queries[:, None].astype(np.float64) - keys[None].astype(np.float64)
    distances = (differences * differences).sum(2)
    rows = np.broadcast_to(np.arange(len(keys)), distances.shape)
    order = np.lexsort((rows, distances), axis=1)[:, :k]
    return np.take_along_axis(distances, order, 1), order
