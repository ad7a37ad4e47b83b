"""Temporary stores with rows of a given one, for the benchmarks of the search; the given store is never changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from goodctl.datastore.content import ContentHash
from goodctl.datastore.description import SegmentCodes, SegmentInfo
from goodctl.datastore.format import DOCUMENT_LINES, DOCUMENT_SOURCES, KEYS, OFFSETS, VALUES
from goodctl.datastore.parts import segment_group, write_part
from goodctl.datastore.reference import MAIN
from goodctl.datastore.repository import Repository, Session, writer_lock
from goodctl.datastore.store import Datastore
from goodctl.index.measure import Queries, sample_queries
from goodctl.index.search import Searcher
from goodctl.workflows.coding import Coding, session_version
from goodctl.workflows.index_choice import IndexChoice

CPU = torch.device("cpu")


def copied(source: Datastore, segments: Sequence[SegmentInfo], target: Path, most_rows: int | None = None) -> Datastore:
    """A new store with the rows of some segments, or with their first ones; without codes.

    Args:
        source: Where the segments are.
        segments: In order.
        target: A new folder.
        most_rows: Of each segment, at most, but for a first document that is longer; whole documents are taken.
    """
    with writer_lock(str(target), "benchmark"):
        repository = Repository.create(str(target))
        session = repository.session(MAIN)
        session.root.attrs.update(source.header.to_dict())
        add_copies(source, segments, session, most_rows)
        session.commit("copy", {"kind": "result", "command": "build", "results": {}})
    return Datastore.open(str(target))


def add_copies(
    source: Datastore, segments: Sequence[SegmentInfo], session: Session, most_rows: int | None = None, order: int = 0
) -> list[SegmentInfo]:
    """Write copies of segments into a session, and give their descriptions."""
    found = []
    for number, segment in enumerate(segments, order):
        group = segment_group(session.root, segment.id)
        rows = documents = parts = 0
        content = ContentHash()
        for part in source.parts(segment):
            left = part.rows if most_rows is None else most_rows - rows
            arrays = part.read_all()
            count = int((arrays[OFFSETS][1:].astype(np.int64) <= left).sum())  # documents
            if not count and rows:
                break
            count = max(count, 1)
            end = int(arrays[OFFSETS][count])
            arrays = {
                KEYS: arrays[KEYS][:end],
                VALUES: arrays[VALUES][:end],
                OFFSETS: arrays[OFFSETS][: count + 1],
                DOCUMENT_SOURCES: arrays[DOCUMENT_SOURCES][:count],
                DOCUMENT_LINES: arrays[DOCUMENT_LINES][:count],
            }
            write_part(group, parts, arrays)
            content.update(arrays)
            rows, documents, parts = rows + end, documents + count, parts + 1
            if count < part.documents:
                break
        values = {**segment.to_dict(), "order": number, "rows": rows, "documents": documents, "parts": parts}
        group.attrs.update({**values, "sha256": content.digests(), "codes": None})
        found.append(SegmentInfo.from_dict(segment.id, dict(group.attrs), source.location))
    return found


def added(
    store: Datastore, source: Datastore, segment: SegmentInfo, choice: IndexChoice, most_rows: int | None
) -> Datastore:
    """The store with one more segment in a new version, coded as ``add`` does it."""
    with writer_lock(store.location, "benchmark"):
        session = store.repository.session(MAIN)
        order = 1 + max(each.order for each in store.segments)
        new = add_copies(source, [segment], session, most_rows, order)
        codes = Coding(choice, CPU, store).add(session_version(store, session.root, new))
        describe(session, new, codes)
        session.commit("add", {"kind": "result", "command": "add", "results": {}})
    return Datastore.open(store.location)


def describe(session: Session, segments: Sequence[SegmentInfo], codes: Mapping[str, SegmentCodes]) -> None:
    """Say in the segments' groups which codec they have."""
    for each in segments:
        if each.id in codes:
            segment_group(session.root, each.id).attrs.update({"codes": asdict(codes[each.id])})


def queries_for(searcher: Searcher, held_out: str | None, count: int) -> Queries:
    """Queries from all languages of a store evenly, in random order: the first few are of several languages.

    Args:
        searcher: Of the store.
        held_out: A store of other text in the same languages, whose keys are asked for; nothing is left out of their
            answers. Without it they are rows of the store, asked for as if their own documents were not there.
        count: How many.
    """
    each = -(-count // len(searcher.segments))
    if held_out is None:
        found = sample_queries(searcher.segments, searcher.first_rows, [each] * len(searcher.segments))
    else:
        found = _held_out(searcher, Datastore.open(held_out), each)
    order = np.random.default_rng(0).permutation(len(found.keys))[:count]
    return Queries(found.keys[order], found.first[order], found.last[order], found.segments[order])


def _held_out(searcher: Searcher, other: Datastore, each: int) -> Queries:
    rng = np.random.default_rng(0)
    keys, numbers = [], []
    for number, segment in enumerate(searcher.segments):
        same = [info for info in other.segments if info.language == segment.info.language]
        if not same:
            raise SystemExit(f"{other.location} has no text in {segment.info.language}.")
        found = other.read(same[0], KEYS)
        keys.append(found[rng.choice(len(found), min(each, len(found)), replace=False)])
        numbers.append(np.full(len(keys[-1]), number))
    nothing = np.zeros(sum(map(len, keys)), np.int64)
    return Queries(np.concatenate(keys).astype(np.float32), nothing, nothing, np.concatenate(numbers))
