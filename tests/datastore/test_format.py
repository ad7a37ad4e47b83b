from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goodctl.datastore.content import ContentHash, Part, array_sha256
from goodctl.datastore.description import Distances, SegmentInfo, SourceInfo, distances_in_force
from goodctl.datastore.format import CHUNK_BYTES, Header, chunk_rows
from goodctl.errors import DamagedError, IncompatibleError
from tests.datastore.rows import header


@given(rows=st.integers(0, 10**9), row_bytes=st.integers(1, 10**5))
def test_chunks_are_even_and_bounded(rows: int, row_bytes: int) -> None:
    length = chunk_rows(rows, row_bytes)
    chunks = -(-rows // length)
    assert length >= 1
    assert length * row_bytes <= max(CHUNK_BYTES, row_bytes)
    assert chunks * length - rows < max(chunks, 1) + (rows == 0), "padding wastes less than one row a chunk"


def test_just_above_a_chunk_does_not_double_the_bytes() -> None:
    row_bytes = 1152
    rows = CHUNK_BYTES // row_bytes + 1
    length = chunk_rows(rows, row_bytes)
    assert -(-rows // length) * length <= rows + 1


def test_header_round_trip() -> None:
    assert Header.from_dict(header().to_dict(), "store") == header()


@pytest.mark.parametrize("version", [2, 99, None, "one"])
def test_newer_format_is_refused_with_what_to_do(version: object) -> None:
    with pytest.raises(IncompatibleError, match="store has datastore format") as caught:
        Header.from_dict({**header().to_dict(), "format_version": version}, "store")
    assert caught.value.hint and "pip install --upgrade goodctl" in caught.value.hint


def test_another_hierarchy_is_no_store() -> None:
    with pytest.raises(IncompatibleError, match="no goodctl datastore"):
        Header.from_dict({"title": "weather"}, "store")


def test_missing_attribute_is_damage() -> None:
    attributes = header().to_dict()
    del attributes["dimension"]
    with pytest.raises(DamagedError, match="dimension"):
        Header.from_dict(attributes, "store")


def test_unknown_attributes_of_a_later_version_are_ignored() -> None:
    assert Header.from_dict({**header().to_dict(), "colour": "red"}, "store") == header()


def segment_info() -> SegmentInfo:
    return SegmentInfo(
        id="abc",
        order=0,
        rows=3,
        documents=1,
        parts=1,
        language="en",
        label="toxic",
        sources=(SourceInfo(0, "a.txt", "ff", 10, 1, 3),),
        sha256={"keys": "0" * 64},
        added_at="2026-01-01T00:00:00+00:00",
        precision="fp32",
        job="job",
    )


def test_segment_round_trip() -> None:
    assert SegmentInfo.from_dict("abc", segment_info().to_dict(), "store") == segment_info()


def test_members_of_a_later_version_are_ignored() -> None:
    attributes = segment_info().to_dict()
    attributes["mood"] = "calm"
    attributes["sources"][0]["licence"] = "CC0"
    assert SegmentInfo.from_dict("abc", attributes, "store") == segment_info()


@pytest.mark.parametrize("name", ["rows", "sources", "sha256"])
def test_segment_without_an_attribute_is_damage(name: str) -> None:
    attributes = segment_info().to_dict()
    del attributes[name]
    with pytest.raises(DamagedError, match="segment abc"):
        SegmentInfo.from_dict("abc", attributes, "store")


DISTANCES = Distances(rows=100, queries=7, firsts=1.5, spreads={1: 0.0, 2: 0.5, 16: 3.25})


def test_distances_round_trip_through_json() -> None:
    info = replace(segment_info(), distances=DISTANCES)
    assert SegmentInfo.from_dict("abc", json.loads(json.dumps(info.to_dict())), "store") == info


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": None},
        {"rows": -1},
        {"rows": 15},
        {"queries": 0},
        {"queries": "7"},
        {"firsts": float("nan")},
        {"firsts": -1},
        {"spreads": {}},
        {"spreads": [1, 2]},
        {"spreads": {"two": 1.0}},
        {"spreads": {"0": 1.0}},
        {"spreads": {"2": "1.0"}},
        {"spreads": {"2": float("inf")}},
    ],
)
def test_distances_that_are_none_are_damage(changes: dict[str, Any]) -> None:
    attributes = segment_info().to_dict() | {"distances": DISTANCES.to_dict() | changes}
    with pytest.raises(DamagedError, match="segment abc"):
        SegmentInfo.from_dict("abc", attributes, "store")


def test_a_store_of_before_has_no_distances() -> None:
    attributes = segment_info().to_dict()
    del attributes["distances"]
    assert SegmentInfo.from_dict("abc", attributes, "store").distances is None


@pytest.mark.parametrize(("rows", "holds"), [(79, False), (80, True), (100, True), (125, True), (126, False)])
def test_distances_hold_while_there_are_about_as_many_rows(rows: int, holds: bool) -> None:
    older = replace(segment_info(), rows=30, distances=replace(DISTANCES, rows=rows))
    newer = replace(segment_info(), rows=30, distances=DISTANCES)
    later = replace(segment_info(), rows=rows - 60)
    assert distances_in_force([older, newer, later]) == (DISTANCES if holds else None)
    assert distances_in_force([later]) is None
    assert distances_in_force([]) is None


def part_of(lengths: list[int], seed: int = 0) -> Part:
    rng = np.random.default_rng(seed)
    count = sum(lengths)
    return {
        "keys": rng.standard_normal((count, 4)).astype(np.float16),
        "values": rng.integers(0, 9, count).astype(np.int32),
        "offsets": np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        "document_sources": np.zeros(len(lengths), np.int32),
        "document_lines": np.arange(len(lengths), dtype=np.int64),
    }


def cut(part: Part, first: int, last: int) -> Part:
    offsets = part["offsets"].astype(np.int64)
    rows = slice(int(offsets[first]), int(offsets[last]))
    return {
        "keys": part["keys"][rows],
        "values": part["values"][rows],
        "offsets": offsets[first : last + 1] - offsets[first],
        "document_sources": part["document_sources"][first:last],
        "document_lines": part["document_lines"][first:last],
    }


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.data())
def test_content_hash_does_not_see_parts(lengths: list[int], data: st.DataObject) -> None:
    whole = part_of(lengths)
    cuts = sorted({0, len(lengths), *data.draw(st.lists(st.integers(0, len(lengths))))})
    at_once, in_pieces = ContentHash(), ContentHash()
    at_once.update(whole)
    for first, last in itertools.pairwise(cuts):
        in_pieces.update(cut(whole, first, last))
    assert at_once.digests() == in_pieces.digests()


@pytest.mark.parametrize("name", ["keys", "values", "document_sources", "document_lines"])
def test_content_hash_sees_every_array(name: str) -> None:
    one, other = ContentHash(), ContentHash()
    part = part_of([3, 2])
    one.update(part)
    changed = np.concatenate([part[name][:-1], np.full_like(part[name][-1:], 11)])
    other.update({**part, name: changed})
    different = {key for key in one.digests() if one.digests()[key] != other.digests()[key]}
    assert different == {name}


def test_array_hash_is_of_little_endian_bytes() -> None:
    array = np.arange(5, dtype="<i4")
    assert array_sha256(array) == array_sha256(array.astype(">i4"))
    assert array_sha256(np.asfortranarray(np.eye(3))) == array_sha256(np.eye(3))
