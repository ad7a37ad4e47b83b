"""One changed byte in any file of a store is found, and never read as other rows."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goodctl.datastore.store import Datastore
from goodctl.errors import GoodctlError
from goodctl.index.search import Searcher
from goodctl.workflows.verify import verify
from tests.workflows.damage import QUERIES, changed, damaged_once, files, positions


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return damaged_once(tmp_path_factory.mktemp("damage") / "s")


def contents(store: Path) -> list[Any]:
    opened = Datastore.open(str(store), check=True)
    return [
        (each.language, each.order, [opened.read(each, name).tobytes() for name in ("keys", "values", "offsets")])
        for each in opened.segments
    ]


def answers(store: Path, fidelity: str) -> list[Any]:
    found = Searcher.open([str(store)], fidelity=fidelity, check=True).search(QUERIES, 5)
    return [found.rows.tolist(), found.values.tolist(), found.distances.tolist()]


def is_found(store: Path) -> bool:
    try:
        return not verify(str(store), deep=True, device="cpu").is_good
    except GoodctlError:
        return True


def check_every_file(store: Path, count: int) -> None:
    assert not is_found(store)
    right, found = contents(store), {each: answers(store, each) for each in ("high", "exact")}
    missed, wrong = [], []
    for number, file in enumerate(files(store)):
        for place, change in positions(file, count, number):
            here = f"{file.relative_to(store)} at {place} ^ {change}"
            with changed(file, place, change):
                if not is_found(store):
                    missed.append(here)
                cache = store / "cache"
                shutil.copytree(cache, store / "cache.kept", copy_function=shutil.copy2)
                try:
                    if contents(store) != right:
                        wrong.append(here)
                except GoodctlError:
                    pass
                for fidelity, expected in found.items():
                    try:
                        if answers(store, fidelity) != expected:
                            wrong.append(f"{here}, {fidelity}")
                    except GoodctlError:
                        pass
                shutil.rmtree(cache)
                (store / "cache.kept").rename(cache)
    assert not missed
    assert not wrong


def test_some_bytes_of_every_file(store: Path) -> None:
    check_every_file(store, 1)


@pytest.mark.slow
def test_many_bytes_of_every_file(store: Path) -> None:
    check_every_file(store, 8)


def test_missing_files(store: Path) -> None:
    unknowable = {"checksums.sha256", "ref.json.deleted"}  # nothing else says that they were there
    for file in files(store):
        if file.name == "recall.json" or file.parent.name == "cache":
            continue
        content = file.read_bytes()
        file.unlink()
        try:
            exempt = file.name in unknowable or file.parent.name.startswith(("branch.", "tag.gone"))
            assert exempt or is_found(store), file
        finally:
            file.write_bytes(content)
    assert not is_found(store)


def test_what_is_damaged_and_what_is_good_is_told(store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(store, copy)
    newest = Datastore.open(str(copy))
    (part,) = newest.parts(newest.segments[1])
    content = np.asarray(part.read("keys")).tobytes()
    (chunk,) = [file for file in (copy / "repository" / "chunks").iterdir() if file.read_bytes() == content]
    damaged = bytearray(content)
    damaged[7] ^= 4
    chunk.write_bytes(bytes(damaged))
    result = verify(str(copy), device="cpu")
    assert [each.language for each in result.damaged_segments] == ["fr"]
    assert [each.language for each in result.good_segments] == ["en"]
    assert {problem.segment for problem in result.problems} == {newest.segments[1].id}
    assert any("SHA-256 differs" in problem.what for problem in result.problems)
    assert verify(f"{copy}@first", device="cpu").is_good, "the tagged version has another part in its place"
