from __future__ import annotations

from pathlib import Path

import pytest

from goodctl.datastore.compaction import compact
from goodctl.datastore.description import Distances
from goodctl.datastore.rollback import rollback
from goodctl.datastore.store import Datastore
from goodctl.errors import DamagedError
from goodctl.index.calibrate import STAGE, measure_distances, recorded
from goodctl.index.search import Searcher
from goodctl.progress import Progress
from goodctl.workflows import measuring
from goodctl.workflows.build import add, build
from goodctl.workflows.choices import Running
from goodctl.workflows.index import index
from tests.index.stores import without_faiss
from tests.workflows.test_build import corpus_file, model, text
from tests.workflows.test_index import StoppingIn, choice


def of_segments(store: str) -> list[Distances | None]:
    return [segment.distances for segment in Datastore.open(store).segments]


def measured_now(store: str) -> Distances | None:
    return measure_distances(Searcher.open([store]))


@pytest.mark.parametrize("kind", ["auto", "exact", "none", "ivf-sq8"])
def test_a_build_keeps_what_queries_meet(tmp_path: Path, tiny: str, kind: str) -> None:
    store, events = str(tmp_path / "s"), list[Progress]()
    running = Running(report=events.append)
    result = build(store, text(corpus_file(tmp_path)), model(tiny), index=choice(kind), running=running)
    found = recorded(Datastore.open(store))
    assert found is not None
    assert found == measured_now(store)
    assert (found.rows, found.queries) == (result.rows, 128)
    assert [event.finished for event in events if event.stage == STAGE] == [False, True]


@pytest.mark.parametrize("kind", ["exact", "ivf-sq8"])
def test_an_addition_has_its_own(tmp_path: Path, tiny: str, kind: str) -> None:
    store = str(tmp_path / "s")
    build(store, text(corpus_file(tmp_path), language="en"), model(tiny), index=choice(kind))
    (before,) = of_segments(store)
    more = text(corpus_file(tmp_path, "b.txt", seed=1), language="fr")
    result = add(store, more, model(tiny), index=choice(kind))
    found = recorded(Datastore.open(store))
    assert found is not None
    assert (found, found.rows) == (measured_now(store), result.store_rows)
    assert of_segments(store) == [before, found]
    assert of_segments(f"{store}@~1") == [before]
    rollback(store, "~1")
    assert recorded(Datastore.open(store)) == before


def test_of_several_languages_the_last_segment_has_it(tmp_path: Path, tiny: str) -> None:
    lines = [f'{{"text": "Some words, number {n}", "lang": "{["en", "fr"][n % 2]}"}}' for n in range(40)]
    (tmp_path / "mixed.jsonl").write_text("\n".join(lines))
    build(str(tmp_path / "s"), text(tmp_path / "mixed.jsonl", language_field="lang"), model(tiny))
    first, last = of_segments(str(tmp_path / "s"))
    assert first is None
    assert last is not None
    assert last.rows == Datastore.open(str(tmp_path / "s")).rows


def test_a_single_document_is_no_error(tmp_path: Path, tiny: str) -> None:
    result = build(str(tmp_path / "s"), text(corpus_file(tmp_path, documents=1)), model(tiny))
    assert (of_segments(str(tmp_path / "s")), result.index) == ([None], ())


def test_an_addition_costs_what_its_text_costs(tmp_path: Path, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = str(tmp_path / "s")
    rows = build(store, text(corpus_file(tmp_path)), model(tiny)).rows
    for number, most in enumerate((rows - 1, 2 * rows), start=1):
        monkeypatch.setattr(measuring, "MOST_ROWS_BEFORE", most)
        result = add(store, text(corpus_file(tmp_path, f"{number}.txt", documents=3, seed=number)), model(tiny))
        assert (of_segments(store)[-1] is None) == (most < rows)
        assert result.index == ()


def test_what_cannot_be_measured_is_said(tmp_path: Path, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(*arguments: object, **options: object) -> None:
        raise DamagedError("Old rows are not what was written.")

    monkeypatch.setattr(measuring, "measure_distances", damaged)
    result = build(str(tmp_path / "s"), text(corpus_file(tmp_path)), model(tiny))
    assert Datastore.open(str(tmp_path / "s")).rows == result.rows
    assert of_segments(str(tmp_path / "s")) == [None]
    assert result.index == ("note: distances are not measured: Old rows are not what was written.",)


def test_without_faiss_keys_are_searched(tmp_path: Path, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = str(tmp_path / "s")
    build(store, text(corpus_file(tmp_path)), model(tiny), index=choice("ivf-sq8"))
    with monkeypatch.context() as patch:
        without_faiss(patch)
        add(store, text(corpus_file(tmp_path, "b.txt", seed=1)), model(tiny), index=choice("none"))
    assert recorded(Datastore.open(store)) == measure_distances(Searcher.open([store], fidelity="exact"))


@pytest.mark.parametrize("kind", ["exact", "ivf-sq8"])
def test_a_stop_ends_the_measuring_and_the_command(tmp_path: Path, tiny: str, kind: str) -> None:
    store, stopping = str(tmp_path / "s"), StoppingIn(STAGE)
    running = Running(interruption=stopping.interruption, report=stopping)
    result = build(store, text(corpus_file(tmp_path)), model(tiny), index=choice(kind), running=running)
    assert Datastore.open(store).rows == result.rows
    assert of_segments(store) == [None]
    assert result.index[-1] == "note: distances are not measured: A stop was asked for."


def test_other_codes_or_fewer_segments_leave_it_as_it_is(tmp_path: Path, tiny: str) -> None:
    store = str(tmp_path / "s")
    build(store, text(corpus_file(tmp_path)), model(tiny))
    add(store, text(corpus_file(tmp_path, "b.txt", seed=1)), model(tiny))
    before, found = of_segments(store), recorded(Datastore.open(store))
    index(store, choice("ivf-sq8"))
    assert of_segments(store) == before
    compact(store)
    assert of_segments(store) == [found]
    assert found is not None
