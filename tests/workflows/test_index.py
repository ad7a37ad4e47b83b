from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from goodctl.datastore.codes import codec_infos
from goodctl.datastore.history import log
from goodctl.datastore.repository import writer_lock
from goodctl.datastore.store import Datastore
from goodctl.errors import ConflictError, Interrupted, MissingDependency, NotFoundError, UsageError
from goodctl.index import advise
from goodctl.index.measure import recall
from goodctl.index.neighbors import Found, Neighbors
from goodctl.index.plan import Settings
from goodctl.index.search import Searcher
from goodctl.interruption import Interruption
from goodctl.progress import Progress
from goodctl.workflows.build import add, build
from goodctl.workflows.choices import Running
from goodctl.workflows.index import IndexRun, index
from goodctl.workflows.index_choice import IndexChoice
from tests.index.stores import keys, rows_of, searcher, without_faiss, write
from tests.workflows.test_build import contents, corpus_file, model, text

K = 16


def choice(kind: str = "auto", **options: Any) -> IndexChoice:
    return IndexChoice(kind, k=K, **options)


def foreign_file(folder: Path, documents: int = 150) -> Path:
    """Text in other letters, which gives hidden states elsewhere."""
    rng = np.random.default_rng(3)
    lines = ["".join(rng.choice(list("ЖЩЮЯФЪ"), rng.integers(5, 25))) for _ in range(documents)]
    (folder / "ru.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "ru.txt"


def queries_for(opened: Searcher) -> npt.NDArray[np.float32]:
    """Some of the stored keys."""
    every = opened.rows // 40
    return np.concatenate([place.tensor().numpy()[::every] for place in opened.places()]).astype(np.float32)


def asked(store: str, **options: Any) -> tuple[Searcher, Neighbors]:
    """Some of a store's own rows, asked for everywhere."""
    opened = Searcher.open([store], **options)
    opened.settings = {name: Settings(max(1, codec.lists), 2) for name, codec in opened.codecs.items()}
    return opened, opened.search(queries_for(opened), K)


def share_found(store: str) -> float:
    """Share of the exact neighbours that a search of the codes finds; of equally near rows any will do."""
    exact = Searcher.open([store], fidelity="exact")
    queries = queries_for(exact)
    best, found = exact.search(queries, K), asked(store)[1]
    shares = recall(Found(best.distances, best.rows), Found(found.distances, found.rows), exact.places(), queries)
    return float(shares.mean())


def decisions(store: str) -> dict[str, tuple[str, str] | None]:
    """Language to codec and decision."""
    return {
        segment.language: (segment.codes.codec, segment.codes.decision) if segment.codes else None
        for segment in Datastore.open(store).segments
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, tiny: str) -> Path:
    folder = tmp_path_factory.mktemp("built")
    build(str(folder / "s"), text(corpus_file(folder), language="en"), model(tiny), index=choice("ivf-sq8"))
    return folder / "s"


@pytest.fixture
def coded(tmp_path: Path, built: Path) -> str:
    """A store of one language with codes."""
    shutil.copytree(built, tmp_path / "s")
    return str(tmp_path / "s")


class TestBuilding:
    @pytest.mark.parametrize("kind", ["ivf-sq8", "ivf-pq", "IVF8,SQ8", "SQ8"])
    def test_codes_are_made_with_the_rows(self, tmp_path: Path, tiny: str, kind: str) -> None:
        file = corpus_file(tmp_path)
        build(str(tmp_path / "plain"), text(file), model(tiny))
        store = str(tmp_path / "s")
        build(store, text(file), model(tiny), index=choice(kind))
        assert contents(store) == contents(tmp_path / "plain")
        assert len(log(store)) == 1
        (segment,) = Datastore.open(store).segments
        assert segment.codes is not None
        assert segment.codes.decision == "trained"
        (info,) = Searcher.open([store]).codec_infos.values()
        assert info.id == segment.codes.codec
        assert info.kind == (kind if kind.startswith("ivf-") else "factory")
        assert 0.5 < segment.codes.drift < 1.5 or segment.codes.error < 0.002
        assert set(info.settings) == {"high", "fast"}
        assert share_found(store) > (0.85 if kind == "ivf-pq" else 0.99)

    def test_few_rows_need_no_codes(self, tmp_path: Path, tiny: str) -> None:
        store = str(tmp_path / "s")
        result = build(store, text(corpus_file(tmp_path)), model(tiny), index=choice("auto"))
        assert result.index == ()
        assert decisions(store) == {"und": None}
        assert codec_infos(Datastore.open(store).root, store) == {}

    def test_many_rows_get_codes(self, tmp_path: Path, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(advise, "EXACT_ROWS", 1000)
        store = str(tmp_path / "s")
        result = build(store, text(corpus_file(tmp_path)), model(tiny), index=choice("auto"))
        assert "index: ivf-sq8, since" in result.index[0]
        (info,) = codec_infos(Datastore.open(store).root, store).values()
        assert info.kind == "ivf-sq8"

    def test_rows_are_kept_where_no_index_fits(self, tmp_path: Path, tiny: str) -> None:
        store = str(tmp_path / "s")
        file = corpus_file(tmp_path)
        result = build(store, text(file), model(tiny), index=choice("auto", memory_budget_bytes=1000))
        assert result.index[0].startswith("no index: No index of")
        assert Datastore.open(store).rows == result.rows
        assert decisions(store) == {"und": None}

    @pytest.mark.parametrize("kind", ["HNSW", "Nonsense", "IVF4,PQ5"])
    def test_a_wrong_kind_leaves_nothing(self, tmp_path: Path, tiny: str, kind: str) -> None:
        with pytest.raises(UsageError):
            build(str(tmp_path / "s"), text(corpus_file(tmp_path)), model(tiny), index=choice(kind))
        assert not (tmp_path / "s").exists()

    def test_without_faiss(self, tmp_path: Path, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(advise, "EXACT_ROWS", 1000)
        without_faiss(monkeypatch)
        file = corpus_file(tmp_path)
        for kind in ("ivf-sq8", "IVF4,Flat"):
            with pytest.raises(MissingDependency) as caught:
                build(str(tmp_path / "s"), text(file), model(tiny), index=choice(kind))
            assert caught.value.hint and "pip install 'goodctl[cpu]'" in caught.value.hint
            assert not (tmp_path / "s").exists()
        build(str(tmp_path / "s"), text(file), model(tiny), index=choice("auto"))
        assert decisions(str(tmp_path / "s")) == {"und": None}


class TestAdding:
    def test_a_codec_that_fits_is_reused(self, tmp_path: Path, tiny: str, coded: str) -> None:
        before = codec_infos(Datastore.open(coded).root, coded)
        more = text(corpus_file(tmp_path, "b.txt", seed=1), language="fr")
        result = add(coded, more, model(tiny), index=choice())
        (codec,) = before
        assert decisions(coded) == {"en": (codec, "trained"), "fr": (codec, "reused")}
        assert f"codec {codec[:8]} reused for fr" in result.index[0]
        assert codec_infos(Datastore.open(coded).root, coded) == before
        french = Datastore.open(coded).segments[1].codes
        assert french is not None
        info = before[codec]
        assert (french.codec_error, french.codec_coarse_error) == (info.error, info.coarse_error)
        assert french.error > 0
        assert french.coarse_error is not None
        assert french.drift < 1.5
        assert share_found(coded) > 0.999

    def test_a_new_one_can_be_asked_for(self, tmp_path: Path, tiny: str, coded: str) -> None:
        more = text(corpus_file(tmp_path, "b.txt", seed=1), language="fr")
        result = add(coded, more, model(tiny), index=choice(codec="new"))
        assert result.index[0] == "index: a new codec for fr: asked for"
        first, second = decisions(coded).values()
        assert first and second
        assert first[0] != second[0]
        assert (first[1], second[1]) == ("trained", "trained")
        infos = Searcher.open([coded]).codec_infos
        assert set(infos) == {first[0], second[0]}
        assert {info.kind for info in infos.values()} == {"ivf-sq8"}
        assert all(info.settings for info in infos.values())
        assert share_found(coded) > 0.999

    @pytest.mark.parametrize(("codec", "decision"), [("auto", "trained"), ("reuse", "reused")])
    def test_text_of_another_kind(self, tmp_path: Path, tiny: str, coded: str, codec: str, decision: str) -> None:
        add(coded, text(foreign_file(tmp_path), language="ru"), model(tiny), index=choice(codec=codec))
        russian = Datastore.open(coded).segments[1].codes
        assert russian is not None
        assert russian.decision == decision
        assert (russian.drift > 1.5) == (decision == "reused")
        assert share_found(coded) > 0.999

    def test_few_rows_get_no_codec_of_their_own(self, tmp_path: Path, tiny: str, coded: str) -> None:
        result = add(coded, text(foreign_file(tmp_path, 20), language="ru"), model(tiny), index=choice())
        assert "too few for a codec of their own" in result.index[0]
        assert len(codec_infos(Datastore.open(coded).root, coded)) == 1

    def test_each_language_is_decided_for_itself(self, tmp_path: Path, tiny: str, coded: str) -> None:
        file = tmp_path / "mixed.jsonl"
        lines = [(line, "fr") for line in corpus_file(tmp_path, "b.txt", seed=1).read_text().splitlines()]
        lines += [(line, "ru") for line in foreign_file(tmp_path).read_text().splitlines()]
        file.write_text("".join(f'{{"text": "{line}", "lang": "{language}"}}\n' for line, language in lines))
        add(coded, text(file, language_field="lang"), model(tiny), index=choice())
        of_it = decisions(coded)
        assert of_it["fr"] and of_it["ru"] and of_it["en"]
        assert of_it["fr"] == (of_it["en"][0], "reused")
        assert of_it["ru"][1] == "trained"
        assert len(codec_infos(Datastore.open(coded).root, coded)) == 2

    def test_codes_in_a_store_that_had_none(self, tmp_path: Path, tiny: str) -> None:
        store = str(tmp_path / "s")
        build(store, text(corpus_file(tmp_path), language="en"), model(tiny))
        more = text(corpus_file(tmp_path, "b.txt", seed=1), language="fr")
        add(store, more, model(tiny), index=choice("ivf-sq8"))
        of_it = decisions(store)
        assert of_it["en"] is None
        assert of_it["fr"] is not None
        assert Searcher.open([store]).coded == [False, True]
        assert share_found(store) > 0.999

    def test_no_codes_where_exact_search_is_asked_for(self, tmp_path: Path, tiny: str, coded: str) -> None:
        more = text(corpus_file(tmp_path, "b.txt", seed=1), language="fr")
        add(coded, more, model(tiny), index=choice("exact"))
        assert decisions(coded)["fr"] is None
        assert decisions(coded)["en"] is not None
        assert share_found(coded) > 0.999

    @pytest.mark.parametrize("kind", ["ivf-pq", "IVF8,SQ8"])
    def test_another_kind_is_another_codec(self, tmp_path: Path, tiny: str, coded: str, kind: str) -> None:
        (first,) = codec_infos(Datastore.open(coded).root, coded).values()
        for language, index_choice in (("fr", choice(kind)), ("de", choice("ivf-sq8")), ("it", choice(kind))):
            more = text(corpus_file(tmp_path, f"{language}.txt", seed=ord(language[0])), language=language)
            add(coded, more, model(tiny), index=index_choice)
        of_it = decisions(coded)
        assert of_it["en"] and of_it["fr"] and of_it["de"] and of_it["it"]
        assert of_it["de"] == (first.id, "reused")
        assert of_it["fr"][0] != first.id
        assert of_it["it"] == (of_it["fr"][0], "reused")

    def test_another_factory_string_is_another_codec(self, tmp_path: Path) -> None:
        data = [("en", rows_of(keys(0, 300))), ("fr", rows_of(keys(1, 300))), ("de", rows_of(keys(2, 300)))]
        store = tmp_path / "s"
        for number, (batch, factory) in enumerate(zip(data, ("SQ8", "SQ6", "SQ8"), strict=True)):
            write(store, batch, index=choice(factory), job=str(number))
        codecs = [segment.codes.codec if segment.codes else None for segment in Datastore.open(str(store)).segments]
        assert codecs[0] == codecs[2] != codecs[1]

    def test_a_new_codec_is_of_the_kind_that_came_last(self, tmp_path: Path) -> None:
        for name, kinds in (("a", ("SQ8", "PQ2x4np")), ("b", ("PQ2x4np", "SQ8"))):
            for number, kind in enumerate(kinds):
                write(tmp_path / name, rows_of(keys(number, 300)), index=choice(kind), job=str(number))
            opened = write(tmp_path / name, rows_of(keys(2, 300)), index=choice(codec="new"), job="last")
            last = opened.segments[2].codes
            assert last is not None
            assert codec_infos(opened.root, "s")[last.codec].factory == kinds[1]


class StoppingIn:
    """A report that asks for a stop when a stage begins."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.interruption = Interruption()

    def __call__(self, event: Progress) -> None:
        if event.stage == self.stage and not event.finished:
            self.interruption.requested = True


class TestInterruption:
    @pytest.mark.parametrize("then", ["ivf-sq8", "exact"])
    def test_a_build_that_is_stopped_while_indexing_keeps_its_rows(self, tmp_path: Path, tiny: str, then: str) -> None:
        store, file = str(tmp_path / "s"), corpus_file(tmp_path)
        build(str(tmp_path / "plain"), text(file), model(tiny))
        stopping = StoppingIn("indexing")
        running = Running(interruption=stopping.interruption, report=stopping)
        with pytest.raises(Interrupted, match="while the index was made") as caught:
            build(store, text(file), model(tiny), index=choice("ivf-sq8"), running=running)
        assert caught.value.hint and "again" in caught.value.hint
        with pytest.raises(NotFoundError, match="rows are kept"):
            Datastore.open(store)
        result = build(store, text(file), model(tiny), index=choice(then))
        assert result.resumed_rows == result.rows
        assert contents(store) == contents(tmp_path / "plain")
        assert (decisions(store)["und"] is None) == (then == "exact")
        assert len(log(store)) == 1

    def test_an_addition_that_is_stopped_while_indexing(self, tmp_path: Path, tiny: str, coded: str) -> None:
        before = contents(coded)
        more = text(corpus_file(tmp_path, "b.txt", seed=1), language="fr")
        stopping = StoppingIn("indexing")
        running = Running(interruption=stopping.interruption, report=stopping)
        with pytest.raises(Interrupted):
            add(coded, more, model(tiny), index=choice(codec="new"), running=running)
        assert contents(coded) == before
        assert len(codec_infos(Datastore.open(coded).root, coded)) == 1
        add(coded, more, model(tiny), index=choice(codec="new"))
        assert len(codec_infos(Datastore.open(coded).root, coded)) == 2
        assert share_found(coded) > 0.999

    @pytest.mark.parametrize("how", ["asked", "struck"])
    def test_an_index_that_is_stopped_changes_nothing(self, coded: str, how: str) -> None:
        before, snapshot = decisions(coded), Datastore.open(coded).version.id
        stopping = StoppingIn("indexing")

        def strike(event: Progress) -> None:
            if event.stage == "tuning":
                raise KeyboardInterrupt

        running = IndexRun(interruption=stopping.interruption, report=stopping if how == "asked" else strike)
        with pytest.raises(Interrupted if how == "asked" else KeyboardInterrupt):
            index(coded, choice("ivf-pq"), running)
        assert (decisions(coded), Datastore.open(coded).version.id) == (before, snapshot)
        index(coded, choice("ivf-pq"))
        assert decisions(coded) != before


class TestIndex:
    def test_one_new_version_in_which_only_codes_differ(self, tmp_path: Path, tiny: str, coded: str) -> None:
        add(coded, text(foreign_file(tmp_path), language="ru"), model(tiny), index=choice(codec="new"))
        before, old = Datastore.open(coded), contents(coded)
        found, chunks = asked(coded)[1], sorted((Path(coded) / "repository" / "chunks").iterdir())
        stats = [chunk.stat().st_mtime_ns for chunk in chunks]
        result = index(coded, choice("ivf-pq"), IndexRun(message="smaller"))
        now = Datastore.open(coded)
        assert contents(coded) == old
        assert [segment.sha256 for segment in now.segments] == [segment.sha256 for segment in before.segments]
        assert [chunk.stat().st_mtime_ns for chunk in chunks] == stats, "what is on the disk stays as it is"
        assert log(coded)[0].message == "smaller"
        assert len(log(coded)) == 3
        assert set(decisions(coded).values()) == {(result.codec, "trained")}
        assert list(codec_infos(now.root, coded)) == [result.codec]
        assert (result.snapshot, result.rows, result.kind) == (now.version.id, now.rows, "ivf-pq")
        assert result.factory.startswith("IVF")
        assert result.bytes_written > 0
        assert set(result.settings) == {"high", "fast"}
        earlier = f"{coded}@~1"
        assert len(codec_infos(Datastore.open(earlier).root, coded)) == 2
        opened, again = asked(earlier)
        assert result.codec not in opened.codecs
        np.testing.assert_array_equal(again.rows, found.rows)

    def test_twice_gives_the_same_codec(self, coded: str) -> None:
        first, second = (index(coded, choice("ivf-sq8")) for _ in range(2))
        assert first.codec == second.codec
        assert first.settings == second.settings
        assert first.snapshot != second.snapshot
        assert set(decisions(coded).values()) == {(first.codec, "trained")}
        assert index(coded, choice("ivf-sq8", seed=1)).codec != first.codec

    @pytest.mark.parametrize("kind", ["exact", "none", "auto"])
    def test_codes_can_be_taken_away(self, coded: str, kind: str) -> None:
        result = index(coded, choice(kind))
        now = Datastore.open(coded)
        assert (result.kind, result.codec, result.snapshot) == ("exact", None, now.version.id)
        assert result.reason
        assert decisions(coded) == {"en": None}
        assert codec_infos(now.root, coded) == {}
        (part,) = now.parts(now.segments[0])
        assert "codes" not in part.group or not list(part.group["codes"].array_keys())  # type: ignore[union-attr]
        assert asked(coded)[0].codecs == {}
        assert len(codec_infos(Datastore.open(f"{coded}@~1").root, coded)) == 1

    def test_a_store_without_codes_has_none_to_take_away(self, tmp_path: Path) -> None:
        store = write(tmp_path / "s", rows_of(keys(0, 100)))
        for kind in ("exact", "auto"):
            result = index(str(tmp_path / "s"), choice(kind))
            assert (result.kind, result.snapshot, result.bytes_written) == ("exact", store.version.id, 0)

    @pytest.mark.parametrize("rows", [1, 3, 300])
    @pytest.mark.parametrize("kind", ["ivf-sq8", "ivf-pq", "SQ8"])
    def test_small_stores(self, tmp_path: Path, rows: int, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
        write(tmp_path / "s", rows_of(keys(0, rows)))
        result = index(str(tmp_path / "s"), choice(kind))
        assert (result.rows, result.kind) == (rows, kind if kind.startswith("ivf") else "factory")
        found = searcher(tmp_path / "s").search(keys(0, rows).astype(np.float32), rows)
        np.testing.assert_array_equal(np.sort(found.rows, axis=1), np.tile(np.arange(rows), (rows, 1)))
        assert capfd.readouterr() == ("", "")

    def test_a_store_without_rows(self, tmp_path: Path) -> None:
        empty = rows_of(keys(0, 10))
        write(tmp_path / "s", rows_of(keys(0, 10)[:0]), dimension=16)
        with pytest.raises(UsageError, match="has no rows") as caught:
            searcher(tmp_path / "s").search(empty.keys, 1)
        assert caught.value.hint and "datastore add" in caught.value.hint
        assert index(str(tmp_path / "s"), choice("ivf-sq8")).kind == "exact"

    def test_auto_follows_rows_and_budget(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(advise, "EXACT_ROWS", 200)
        store = str(tmp_path / "s")
        write(store, rows_of(keys(0, 1000)))
        wide = index(store, choice())
        narrow = index(store, choice(memory_budget_bytes=1000 * 14))
        assert (wide.kind, narrow.kind) == ("ivf-sq8", "ivf-pq")
        assert narrow.code_size < wide.code_size
        with pytest.raises(UsageError, match=r"No index of 1,000 rows fits") as caught:
            index(store, choice(memory_budget_bytes=1000))
        assert caught.value.hint and "--memory-budget 11kB" in caught.value.hint
        assert Datastore.open(store).version.id == narrow.snapshot

    def test_a_version_is_not_changed(self, coded: str) -> None:
        with pytest.raises(UsageError, match="cannot be changed") as caught:
            index(f"{coded}@~0", choice("ivf-pq"))
        assert f"goodctl datastore index {coded}" in str(caught.value.hint)

    def test_a_branch_is_changed_and_main_is_not(self, coded: str) -> None:
        before = Datastore.open(coded)
        before.repository.create_branch("trial", before.version.id)
        result = index(f"{coded}@trial", choice("exact"))
        assert Datastore.open(coded).version.id == before.version.id
        assert Datastore.open(f"{coded}@trial").version.id == result.snapshot
        assert not any(segment.codes for segment in Datastore.open(f"{coded}@trial").segments)

    @pytest.mark.parametrize("kind", ["HNSW", "IVF4,PQ5", "IVF100000,SQ8"])
    def test_factory_strings_that_do_not_serve(self, coded: str, kind: str) -> None:
        before = Datastore.open(coded).version.id
        with pytest.raises(UsageError) as caught:
            index(coded, choice(kind))
        assert caught.value.hint
        assert Datastore.open(coded).version.id == before

    def test_no_store(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError):
            index(str(tmp_path / "s"), choice())
        assert not (tmp_path / "s").exists()

    def test_another_writer(self, coded: str) -> None:
        with writer_lock(coded, "goodctl datastore add"), pytest.raises(ConflictError, match="being written"):
            index(coded, choice("ivf-pq"))

    def test_without_faiss(self, coded: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(advise, "EXACT_ROWS", 200)
        without_faiss(monkeypatch)
        before = Datastore.open(coded).version.id
        with pytest.raises(MissingDependency):
            index(coded, choice("ivf-sq8"))
        assert Datastore.open(coded).version.id == before
        result = index(coded, choice())
        assert (result.kind, result.reason) == ("exact", "faiss is not installed")

    def test_readers_of_the_old_version_go_on(self, coded: str) -> None:
        opened, before = asked(coded)
        index(coded, choice("ivf-pq"))
        np.testing.assert_array_equal(opened.search(queries_for(opened), K).rows, before.rows)
