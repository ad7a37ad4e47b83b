from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from goodctl.datastore.description import SegmentCodes
from goodctl.datastore.diff import diff
from goodctl.datastore.parts import SEGMENTS, StoredPart, segment_group
from goodctl.datastore.repository import Repository, writer_lock
from goodctl.datastore.rollback import rollback
from goodctl.datastore.store import Datastore
from goodctl.datastore.writer import Writer
from goodctl.errors import NotFoundError
from tests.datastore.rows import addition, decode, header, rows, write

COUNTS = [len(rows(seed).values) for seed in range(3)]


@pytest.fixture
def store(tmp_path: Path) -> str:
    write(tmp_path / "s", "one", ("en", rows(0)), label="toxic")
    write(tmp_path / "s", "two", ("fr", rows(1)))
    return str(tmp_path / "s")


def commit(store: str, **attributes: dict[str, Any]) -> None:
    """Describe segments in another way, in a new version."""
    session = Repository.open(store).session("main")
    for id, changed in attributes.items():
        segment_group(session.root, id).attrs.update(changed)
    session.commit("described", {"kind": "result", "command": "test", "results": {"rows": 0}})


def ids(store: str) -> list[str]:
    return [segment.id for segment in Datastore.open(store).segments]


def test_no_difference(store: str) -> None:
    result = diff(store, "@main")
    assert not result.differs
    assert result.unchanged_segments == 2
    assert result.to_dict()["segments"] == []
    rollback(store, "~1")
    assert not diff(store, "@~2").differs, "a rollback is what it went back to"


@pytest.mark.parametrize("forwards", [True, False])
def test_an_addition(store: str, forwards: bool) -> None:
    result = diff(f"{store}@~1", store) if forwards else diff(store, "~1")
    before, after = (COUNTS[0], COUNTS[0] + COUNTS[1])[:: 1 if forwards else -1]
    assert (result.total.rows_before, result.total.rows) == (before, after)
    (french,) = result.languages
    assert (french.name, french.rows - french.rows_before) == ("fr", after - before)
    (segment,) = result.segments
    assert (segment.language, segment.change) == ("fr", "added" if forwards else "removed")
    assert result.unchanged_segments == 1
    assert result.settings == {}


def test_the_same_source_again(store: str) -> None:
    (source,) = diff(f"{store}@~1", store).sources
    assert source.name.startswith("some.txt ")
    assert (source.rows_before, source.rows) == (COUNTS[0], COUNTS[0] + COUNTS[1])


def test_labels(store: str) -> None:
    commit(store, **{ids(store)[0]: {"label": "nontoxic"}})
    changes = {each.name: each.rows - each.rows_before for each in diff(store, "~1").labels}
    assert changes == {"toxic": COUNTS[0], "nontoxic": -COUNTS[0]}


def test_rewritten_recoded_and_moved_segments(store: str) -> None:
    first, second = ids(store)
    kept = Datastore.open(store).segments[0].sha256
    commit(store, **{first: {"sha256": {**kept, "values": "ab" * 32}}})
    (rewritten,) = diff(f"{store}@~1", store).segments
    assert (rewritten.id, rewritten.change) == (first, "rewritten")
    commit(store, **{second: {"codes": asdict(SegmentCodes("f" * 64, "trained", 0.1, None, 0.1, None))}})
    result = diff(f"{store}@~1", store)
    assert [(each.id, each.change) for each in result.segments] == [(second, "recoded")]
    assert [(each.id, each.change, each.rows) for each in result.codecs] == [("f" * 64, "added", COUNTS[1])]
    commit(store, **{first: {"order": 1}, second: {"order": 0}})
    assert {each.change for each in diff(f"{store}@~1", store).segments} == {"moved"}


def test_two_stores_with_other_settings(store: str, tmp_path: Path) -> None:
    other = str(tmp_path / "other")
    with writer_lock(other, "test"):
        repository = Repository.create(other)
    model = {"name": "other", "revision": None, "architecture": "Tiny", "fingerprint": {"weights": "ab"}}
    writing = Writer(repository, replace(header(), window=8, model=model), addition("one"))
    writing.append("en", rows(0))
    writing.finish({"position": {}}, decode, {"rows": writing.rows, "documents": 1, "languages": {}})
    result = diff(f"{store}@~1", other)
    assert result.to_dict()["settings"]["window"] == [16, 8]
    assert result.settings["model"] == (header().model, model)
    assert set(result.settings) == {"model", "window"}
    assert (result.total.differs, result.languages) == (False, ())


def test_arrays_are_not_read(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_arguments: object, **_named: object) -> None:
        raise AssertionError("an array was read")

    monkeypatch.setattr(StoredPart, "read", refused)
    assert diff(f"{store}@~1", store).differs
    assert SEGMENTS in Datastore.open(store).root


def test_what_is_not_there(store: str, tmp_path: Path) -> None:
    for before, after in ((store, "@nosuch"), (store, str(tmp_path / "nosuch")), (f"{store}@~9", store)):
        with pytest.raises(NotFoundError):
            diff(before, after)
    assert not (tmp_path / "nosuch").exists()
