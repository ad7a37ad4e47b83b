from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from goodctl.datastore.compaction import compact
from goodctl.datastore.history import log
from goodctl.datastore.removal import remove
from goodctl.datastore.removal_plan import Removal
from goodctl.datastore.store import Datastore
from goodctl.errors import UsageError
from tests.datastore.contents import SOURCES, check_description, documents, from_sources, pieces
from tests.datastore.rows import DIMENSION, write
from tests.index.stores import keys, rows_of, searcher, trained
from tests.index.stores import write as write_keys

LANGUAGES = ("en", "en", "en", "fr", "fr", "en", "de", "de")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Many small segments; neighbours of one language."""
    path = tmp_path / "s"
    for number, language in enumerate(LANGUAGES):
        batches = pieces(language, from_sources(number, 3 + number, [number % 3, (number + 1) % 3]))
        write(path, f"job{number}", *batches, sources=SOURCES, part_bytes=400, settings={"text": f"text{number}"})
    return path


def test_neighbours_become_one(store: Path) -> None:
    before, was = documents(store), Datastore.open(str(store))
    result = compact(str(store))
    now = Datastore.open(str(store))
    assert [segment.language for segment in now.segments] == ["en", "fr", "en", "de"]
    assert documents(store) == before
    assert documents(f"{store}@~1") == before
    check_description(store)
    assert (result.segments_before, result.segments, result.rows) == (8, 4, now.rows)
    assert result.parts == sum(segment.parts for segment in now.segments) == 4
    assert result.parts < result.parts_before
    assert (log(str(store))[0].command, log(str(store))[0].rows) == ("compact", 0)
    origins = [origin for segment in now.segments for origin in segment.all_origins()]
    assert [origin.job for origin in origins] == [segment.job for segment in was.segments]
    assert [origin.settings for origin in origins] == [segment.settings for segment in was.segments]
    assert sum(origin.rows for origin in origins) == now.rows
    assert now.segments[0].tokens.items() <= {item for segment in was.segments[:3] for item in segment.tokens.items()}


def test_a_second_time_there_is_nothing_to_do(store: Path) -> None:
    compact(str(store))
    version = log(str(store))[0].snapshot
    result = compact(str(store))
    assert not result.changed
    assert result.snapshot == log(str(store))[0].snapshot == version


def test_reordering_brings_languages_together(store: Path) -> None:
    before = documents(store)
    result = compact(str(store), reorder=True)
    assert result.reordered
    assert [segment.language for segment in Datastore.open(str(store)).segments] == ["en", "fr", "de"]
    expected = sorted(before, key=lambda document: ["en", "fr", "de"].index(document.language))
    assert documents(store) == expected
    check_description(store)


def test_labels_and_precisions_stay_apart(tmp_path: Path) -> None:
    path = tmp_path / "s"
    for number, changes in enumerate(({}, {"label": "toxic"}, {"label": "toxic", "precision": "bf16"})):
        write(path, f"job{number}", ("en", from_sources(number, 3, [0])), sources=SOURCES, **changes)
    assert not compact(str(path)).changed


@pytest.mark.parametrize("most", [1, 500, 2000, 10**6])
def test_parts_keep_within_their_size(store: Path, most: int) -> None:
    before, was = documents(store), Datastore.open(str(store))
    largest = max(part.rows for segment in was.segments for part in was.parts(segment))
    compact(str(store), part_bytes=most)
    assert documents(store) == before
    check_description(store)
    row_bytes = 2 * DIMENSION + 4
    now = Datastore.open(str(store))
    for segment in now.segments:
        for part in now.parts(segment):
            assert part.rows <= max(most // row_bytes, largest)


def test_one_segment_of_many_parts(tmp_path: Path) -> None:
    write(tmp_path / "s", "job", *pieces("en", from_sources(0, 60, [0])), sources=SOURCES, part_bytes=300)
    before = documents(tmp_path / "s")
    result = compact(str(tmp_path / "s"))
    assert (result.segments, result.parts) == (1, 1)
    assert result.parts_before > 5
    assert documents(tmp_path / "s") == before


def test_codes_come_along_and_different_codecs_stay_apart(tmp_path: Path) -> None:
    data, path = keys(0, 900), tmp_path / "s"
    codec, other = trained(data, "IVF4,SQ8"), trained(data[:500], "IVF4,SQ8", seed=5)
    for number, each in enumerate((codec, codec, other, None, None)):
        write_keys(path, ("en", rows_of(data[180 * number : 180 * (number + 1)])), job=f"job{number}", codec=each)
    before = documents(path, codes=True)
    asked = data[::50].astype(np.float32)
    found = searcher(path).search(asked, 7)
    compact(str(path))
    assert [bool(segment.codes) for segment in Datastore.open(str(path)).segments] == [True, True, False]
    assert documents(path, codes=True) == before
    check_description(path)
    again = searcher(path).search(asked, 7)
    assert np.array_equal(found.rows, again.rows)
    remove(str(path), Removal(documents=("some.txt:3",)))


def test_versions_cannot_be_changed(store: Path) -> None:
    with pytest.raises(UsageError, match="not a branch"):
        compact(f"{store}@~1")
