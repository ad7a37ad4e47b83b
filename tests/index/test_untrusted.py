"""A store from elsewhere and what lies beside it are not trusted: nothing is written outside, nothing guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goodctl.datastore.codes import codec_infos
from goodctl.datastore.store import Datastore
from goodctl.errors import DamagedError, UsageError
from goodctl.index.cache import Cache
from goodctl.workflows.index import index
from goodctl.workflows.index_choice import IndexChoice
from goodctl.workflows.recall import RecallChoice
from tests.datastore.test_codes import group, tamper
from tests.index.stores import keys, rows_of, searcher, trained, write

DATA = keys(0, 400)
QUERIES = keys(1, 5).astype(np.float32)


@pytest.mark.parametrize("name", ["../a", "a/b", "/a", "", "a.b"])
def test_a_name_that_leads_elsewhere_is_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(DamagedError, match="no name for a file"):
        Cache(tmp_path / "cache").file(name, lambda file: {}, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_recorded_hash_that_is_none_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "s", rows_of(DATA))
    name = Datastore.open(str(tmp_path / "s")).segments[0].id

    def change(root: Any) -> None:
        attributes = group(root, f"segments/{name}").attrs
        attributes["sha256"] = {**dict(attributes["sha256"]), "keys": "x/../../../victim"}  # type: ignore[arg-type]

    tamper(tmp_path / "s", change)
    with pytest.raises(DamagedError, match="unreadable description"):
        Datastore.open(str(tmp_path / "s"))


def test_keys_that_are_not_those_recorded_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "s", rows_of(DATA))
    name = Datastore.open(str(tmp_path / "s")).segments[0].id

    def change(root: Any) -> None:
        root[f"segments/{name}/parts/000000/keys"][0] = 1

    tamper(tmp_path / "s", change)
    with pytest.raises(DamagedError, match="another hash"):
        searcher(tmp_path / "s", fidelity="exact").search(QUERIES, 3)
    assert not list((tmp_path / "s" / "cache").glob("keys-*"))


@pytest.mark.parametrize("sizes", [[2**34, 0, 0, 400 - 2**34], [400], [400, 0, 0, 1], ["400", 0, 0, 0], None])
def test_sizes_of_lists_from_elsewhere_are_not_believed(tmp_path: Path, sizes: Any) -> None:
    opened = write(tmp_path / "s", rows_of(DATA), codec=trained(DATA, "IVF4,SQ8"))
    expected = searcher(opened).search(QUERIES, 7)
    (description,) = (tmp_path / "s" / "cache").glob("lists-*.json")
    known = json.loads(description.read_text())
    description.write_text(json.dumps({**known, "about": {"sizes": sizes} if sizes is not None else {}}))
    found = searcher(tmp_path / "s").search(QUERIES, 7)
    np.testing.assert_array_equal(found.rows, expected.rows)


def test_an_index_made_anew_replaces_a_damaged_codec(tmp_path: Path) -> None:
    write(tmp_path / "s", rows_of(DATA))
    store = str(tmp_path / "s")
    codec = index(store, IndexChoice("ivf-sq8", k=10)).codec
    (tmp_path / "s" / "cache").rename(tmp_path / "gone")

    def change(root: Any) -> None:
        root[f"codecs/{codec}/trained"][100] ^= 255

    tamper(tmp_path / "s", change)
    with pytest.raises(DamagedError, match="not loaded"):
        searcher(store)
    assert index(store, IndexChoice("ivf-sq8", k=10)).codec == codec
    assert searcher(store).search(QUERIES, 7).rows.shape == (5, 7)


def test_a_codec_without_description_hinders_neither_exact_search_nor_a_new_index(tmp_path: Path) -> None:
    write(tmp_path / "s", rows_of(DATA))
    store = str(tmp_path / "s")
    codec = index(store, IndexChoice("ivf-sq8", k=10)).codec
    tamper(tmp_path / "s", lambda root: group(root, f"codecs/{codec}").attrs.put({}))
    assert codec_infos(Datastore.open(store).root, store) == {}
    assert searcher(store, fidelity="exact").search(QUERIES, 7).rows.shape == (5, 7)
    index(store, IndexChoice("ivf-sq8", k=10))
    assert searcher(store).codecs.keys() == {codec}


@pytest.mark.parametrize("temperature", [float("nan"), float("inf"), 0.0])
def test_temperatures_that_are_none(temperature: float) -> None:
    for choice in (IndexChoice, RecallChoice):
        with pytest.raises(UsageError, match="above 0"):
            choice(temperature=temperature)
