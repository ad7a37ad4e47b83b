from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest

from goodctl.datastore.reference import Version, resolve, split_reference
from goodctl.errors import NotFoundError, UsageError

DAY = datetime.datetime(2026, 10, 1, 12, tzinfo=datetime.UTC)


def version(name: str, days: int, kind: str | None = "result") -> Version:
    metadata: dict[str, object] = {"kind": kind} if kind else {}
    return Version(name, f"message {name}", DAY + datetime.timedelta(days=days), metadata, "BEFORE" if kind else None)


HISTORY = [
    version("DDDD4444", 3),
    version("CPPP3333", 3, "checkpoint"),
    version("CCCC2222", 2),
    version("BBBB1111", 1),
    version("ROOT0000", 0, None),
]


def ancestry(start: str) -> Iterator[Version]:
    names = [entry.id for entry in HISTORY]
    yield from HISTORY[names.index(start) :]


def find(reference: str | None) -> str:
    branches = {"main": "DDDD4444", "trial": "CCCC2222", "checkpoint-x": "CPPP3333"}
    return resolve(reference, where="store", branches=branches, tags={"v1": "BBBB1111"}, ancestry=ancestry)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (None, "DDDD4444"),
        ("main", "DDDD4444"),
        ("trial", "CCCC2222"),
        ("v1", "BBBB1111"),
        ("~0", "DDDD4444"),
        ("~1", "CCCC2222"),
        ("~2", "BBBB1111"),
        ("CCCC", "CCCC2222"),
        ("cccc2", "CCCC2222"),
        ("{2026-10-03}", "CCCC2222"),
        ("{2026-10-03T11:00}", "BBBB1111"),
        ("{2026-10-03T13:00}", "CCCC2222"),
        ("{2026-10-03T13:00+02:00}", "BBBB1111"),
        ("{2027-01-01}", "DDDD4444"),
    ],
)
def test_references(reference: str | None, expected: str) -> None:
    assert find(reference) == expected


@pytest.mark.parametrize("reference", ["~3", "nosuch", "{2026-10-01}", "CCC", "checkpoint-x", "ROOT0000"])
def test_what_is_not_there(reference: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        find(reference)
    assert caught.value.hint and "goodctl datastore log store" in caught.value.hint


@pytest.mark.parametrize("date", ["yesterday", "9999-12-31"])
def test_malformed_date(date: str) -> None:
    with pytest.raises(UsageError, match="no date"):
        find(f"{{{date}}}")


def test_ambiguous_prefix() -> None:
    HISTORY.insert(2, version("DDDD9999", 2))
    try:
        with pytest.raises(UsageError, match="DDDD4444, DDDD9999"):
            find("DDDD")
    finally:
        HISTORY.pop(2)


def test_splitting(tmp_path: Path) -> None:
    assert split_reference("store@v1") == ("store", "v1")
    assert split_reference("user@host/store@~1") == ("user@host/store", "~1")
    assert split_reference("store") == ("store", None)
    assert split_reference("@v1") == ("@v1", None)
    odd = tmp_path / "my@store"
    odd.mkdir()
    assert split_reference(str(odd)) == (str(odd), None)
    assert split_reference(f"{odd}@v1") == (str(odd), "v1")
