from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goodctl.corpus import Corpus
from goodctl.datastore.history import log
from goodctl.datastore.repository import Repository, writer_lock
from goodctl.datastore.store import Datastore
from goodctl.errors import (
    ConflictError,
    ExistsError,
    GoodctlError,
    IncompatibleError,
    InputError,
    Interrupted,
    NotFoundError,
    UsageError,
)
from goodctl.interruption import Interruption
from goodctl.progress import Progress
from goodctl.workflows.build import add, build
from goodctl.workflows.choices import EncodingChoice, Running, Text
from goodctl.workflows.model_choice import ModelChoice
from goodctl.workflows.selection import Selection
from goodctl.workflows.writing import WriteResult
from tests.fakes.tiny import tiny_model_folder

ARRAYS = ("keys", "values", "offsets", "document_sources", "document_lines")
SMALL = EncodingChoice(batch_tokens=64)  # blocks of 2048 tokens, so that a small corpus has several


def corpus_file(folder: Path, name: str = "en.txt", documents: int = 120, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    words = ["the", "a", "quick", "lazy", "brown", "fox", "jumps", "over", "under", "river", "night", "day", "new"]
    texts = [" ".join(rng.choice(words, rng.integers(1, 25))) for _ in range(documents)]
    (folder / name).write_text("\n".join(texts) + "\n", encoding="utf-8")
    return folder / name


def text(*files: Path, label: str | None = None, selection: Selection | None = None, **options: Any) -> Text:
    return Text(Corpus(tuple(map(str, files)), **options), selection or Selection(), label)


def model(folder: str) -> ModelChoice:
    return ModelChoice(folder, device="cpu", precision="fp32")


def contents(store: Path | str) -> dict[str, list[bytes]]:
    opened = Datastore.open(str(store))
    return {segment.language: [opened.read(segment, name).tobytes() for name in ARRAYS] for segment in opened.segments}


def test_every_token_with_a_predecessor_is_one_row(tmp_path: Path, tiny: str) -> None:
    file = corpus_file(tmp_path)
    result = build(str(tmp_path / "s"), text(file, language="en"), model(tiny))
    texts = file.read_text().splitlines()
    store = Datastore.open(str(tmp_path / "s"))
    (segment,) = store.segments
    assert result.rows == store.rows == sum(len(line.encode()) - 1 for line in texts)
    assert result.documents == store.documents == len(texts)
    assert result.snapshot == store.version.id
    values, offsets = store.read(segment, "values"), store.read(segment, "offsets")
    assert [row[1:] for row in texts] == [bytes_of(values[first:last]) for first, last in itertools.pairwise(offsets)]
    np.testing.assert_array_equal(store.read(segment, "document_lines"), np.arange(1, len(texts) + 1))
    assert segment.sources[0].name == str(file)
    assert segment.sources[0].documents == len(texts)


def bytes_of(values: np.ndarray) -> str:
    from tokenizers.pre_tokenizers import ByteLevel

    alphabet = sorted(ByteLevel.alphabet())
    return "".join(alphabet[value] for value in values).replace("Ġ", " ")


def test_header_says_what_made_it(tmp_path: Path, tiny: str) -> None:
    build(str(tmp_path / "s"), text(corpus_file(tmp_path)), model(tiny))
    header = Datastore.open(str(tmp_path / "s")).header
    assert (header.key_layer, header.dimension, header.vocabulary, header.window) == ("ffn-input", 16, 258, 64)
    assert header.key_module.endswith("h.1.mlp")
    assert header.model["name"] == tiny
    assert set(header.model["fingerprint"]) == {"config", "tokenizer", "weights"}


@pytest.mark.parametrize("key_layer", ["ffn-output", "layer-output", "last-hidden"])
def test_key_layers_differ_and_are_recorded(tmp_path: Path, tiny: str, key_layer: str) -> None:
    file = corpus_file(tmp_path, documents=3)
    build(str(tmp_path / "a"), text(file), model(tiny))
    build(str(tmp_path / "b"), text(file), model(tiny), encoding=EncodingChoice(key_layer=key_layer))
    assert Datastore.open(str(tmp_path / "b")).header.key_layer == key_layer
    assert contents(tmp_path / "a")["und"][0] != contents(tmp_path / "b")["und"][0]


def test_adding_a_language(tmp_path: Path, tiny: str) -> None:
    store = str(tmp_path / "s")
    build(store, text(corpus_file(tmp_path), language="en", label="toxic"), model(tiny))
    before = contents(store)["en"]
    french = corpus_file(tmp_path, "fr.txt", seed=1)
    french_text = text(french, language="fr")
    result = add(store, french_text, ModelChoice(precision="fp32"), running=Running(message="French at last"))
    assert list(contents(store)) == ["en", "fr"]
    assert contents(store)["en"] == before
    assert result.store_rows == Datastore.open(store).rows > result.rows
    assert [entry.message for entry in log(store)] == ["French at last", f"build from {tmp_path / 'en.txt'}"]
    assert [entry.languages for entry in log(store)] == [{"fr": result.rows}, {"en": len(before[1]) // 4}]
    alone = str(tmp_path / "alone")
    build(alone, text(french, language="fr"), model(tiny))
    assert contents(alone)["fr"] == contents(store)["fr"], "an addition gives the rows that a store of its own would"


def test_a_language_field_makes_a_segment_a_language(tmp_path: Path, tiny: str) -> None:
    lines = [
        ("Hello there", "en"),
        ("Bonjour", "fr"),
        ("", "en"),
        ("Good night", "en"),
        ("Hola", None),
        ("Salut", "fr"),
    ]
    file = tmp_path / "mixed.jsonl"
    file.write_text("".join(json.dumps({"body": body, "lang": lang}) + "\n" for body, lang in lines))
    options: dict[str, Any] = {"text_field": "body", "language_field": "lang", "language": "es"}
    result = build(str(tmp_path / "s"), text(file, **options), model(tiny))
    store = Datastore.open(str(tmp_path / "s"))
    assert {segment.language: segment.documents for segment in store.segments} == {"en": 2, "fr": 2, "es": 1}
    assert result.languages == {segment.language: segment.rows for segment in store.segments}
    assert store.read(store.segments[0], "document_lines").tolist() == [1, 4]
    assert store.read(store.segments[1], "document_lines").tolist() == [2, 6]
    assert result.skipped == 1


def test_texts_that_yield_nothing_are_counted(tmp_path: Path, tiny: str) -> None:
    file = tmp_path / "a.txt"
    file.write_text("two words\n\nx\nmore\n")
    result = build(str(tmp_path / "s"), text(file), model(tiny))
    assert (result.documents, result.skipped) == (2, 2)


def test_only_texts_that_yield_nothing(tmp_path: Path, tiny: str) -> None:
    file = tmp_path / "a.txt"
    file.write_text("x\ny\n")
    with pytest.raises(InputError, match="None of the 2 documents gives a row"):
        build(str(tmp_path / "s"), text(file), model(tiny))
    assert not (tmp_path / "s").exists()


def test_a_token_before_the_text_makes_its_first_token_a_row(tmp_path: Path) -> None:
    folder = str(tiny_model_folder(tmp_path / "bos", bos=True))
    file = tmp_path / "a.txt"
    file.write_text("x\n" + "long " * 60 + "\n")
    result = build(str(tmp_path / "s"), text(file), model(folder))
    assert result.rows == 1 + 5 * 60


class TestLimits:
    def count(self, tmp_path: Path, tiny: str, name: str, **limits: Any) -> WriteResult:
        file = corpus_file(tmp_path)
        return build(str(tmp_path / name), text(file, selection=Selection(**limits)), model(tiny), encoding=SMALL)

    def test_documents(self, tmp_path: Path, tiny: str) -> None:
        assert self.count(tmp_path, tiny, "s", max_documents=7).documents == 7

    def test_tokens_end_with_the_document_that_reaches_them(self, tmp_path: Path, tiny: str) -> None:
        result = self.count(tmp_path, tiny, "s", max_tokens=3000)
        lengths = [len(line) for line in corpus_file(tmp_path).read_text().splitlines()]
        expected = next(count for count in range(1, 200) if sum(lengths[:count]) >= 3000)
        assert (result.documents, result.tokens) == (expected, sum(lengths[:expected]))

    @pytest.mark.parametrize("limits", [{"max_documents": 20}, {"max_tokens": 1500}])
    def test_a_seed_takes_a_random_subset(self, tmp_path: Path, tiny: str, limits: dict[str, int]) -> None:
        lines = {}
        for name, seed in (("a", 1), ("again", 1), ("b", 2)):
            self.count(tmp_path, tiny, name, seed=seed, **limits)
            store = Datastore.open(str(tmp_path / name))
            lines[name] = store.read(store.segments[0], "document_lines").tolist()
            assert lines[name] == sorted(lines[name])
        assert lines["a"] == lines["again"] != lines["b"]
        assert lines["a"] != list(range(1, len(lines["a"]) + 1))
        if "max_documents" in limits:
            assert len(lines["a"]) == 20

    def test_a_seed_with_tokens_takes_just_enough(self, tmp_path: Path, tiny: str) -> None:
        result = self.count(tmp_path, tiny, "s", seed=3, max_tokens=1500)
        assert 1500 <= result.tokens < 1500 + 25 * 6

    def test_both_limits(self, tmp_path: Path, tiny: str) -> None:
        assert self.count(tmp_path, tiny, "s", seed=3, max_tokens=1500, max_documents=4).documents == 4

    @pytest.mark.parametrize("limits", [{"max_documents": 0}, {"max_tokens": -1}, {"seed": 1}, {"seed": -1}])
    def test_limits_that_make_no_sense(self, limits: dict[str, int]) -> None:
        with pytest.raises(UsageError) as caught:
            Selection(**limits)
        assert caught.value.hint


class Stopping:
    """A report that asks for a stop once so many rows have been seen."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.interruption = Interruption()
        self.events: list[Progress] = []

    def __call__(self, event: Progress) -> None:
        self.events.append(event)
        if event.stage == "encoding" and (event.rows or 0) >= self.rows:
            self.interruption.requested = True

    def running(self, **options: Any) -> Running:
        return Running(interruption=self.interruption, report=self, **options)


class TestInterruption:
    def test_a_stopped_build_goes_on(self, tmp_path: Path, tiny: str) -> None:
        file = corpus_file(tmp_path, documents=200)
        build(str(tmp_path / "whole"), text(file), model(tiny), encoding=SMALL)
        rows, attempts = 2500, 0
        while True:
            try:
                running = Stopping(rows).running()
                result = build(str(tmp_path / "s"), text(file), model(tiny), encoding=SMALL, running=running)
                break
            except Interrupted as stopped:
                assert stopped.exit_code == 130
                with pytest.raises(NotFoundError, match="no finished version"):
                    Datastore.open(str(tmp_path / "s"))
                rows, attempts = rows + 2500, attempts + 1
        assert attempts >= 3
        assert result.resumed_rows > 0
        assert contents(tmp_path / "s") == contents(tmp_path / "whole")
        segments = [Datastore.open(str(tmp_path / name)).segments[0] for name in ("s", "whole")]
        assert segments[0].sha256 == segments[1].sha256
        assert segments[0].sources == segments[1].sources
        assert len(log(str(tmp_path / "s"))) == 1

    def test_stopped_before_the_first_block(self, tmp_path: Path, tiny: str) -> None:
        file = corpus_file(tmp_path)
        with pytest.raises(Interrupted, match="before anything was kept"):
            build(str(tmp_path / "s"), text(file), model(tiny), running=Stopping(1).running())
        assert not (tmp_path / "s").exists()

    def test_checkpoints_in_between_do_not_show(self, tmp_path: Path, tiny: str) -> None:
        file = corpus_file(tmp_path, documents=200)
        build(str(tmp_path / "a"), text(file), model(tiny), encoding=SMALL)
        build(str(tmp_path / "b"), text(file), model(tiny), encoding=SMALL, running=Running(checkpoint_every_s=0))
        assert contents(tmp_path / "a") == contents(tmp_path / "b")
        assert log(str(tmp_path / "b"))[0].checkpoints > 3

    @pytest.mark.parametrize("limits", [{"seed": 5, "max_documents": 150}, {"max_tokens": 9000}])
    def test_a_stopped_build_with_limits_goes_on(self, tmp_path: Path, tiny: str, limits: dict[str, int]) -> None:
        limited = text(corpus_file(tmp_path, documents=200), selection=Selection(**limits))
        build(str(tmp_path / "whole"), limited, model(tiny), encoding=SMALL)
        with pytest.raises(Interrupted):
            build(str(tmp_path / "s"), limited, model(tiny), encoding=SMALL, running=Stopping(5000).running())
        assert build(str(tmp_path / "s"), limited, model(tiny), encoding=SMALL).resumed_rows > 0
        assert contents(tmp_path / "s") == contents(tmp_path / "whole")

    def test_a_stop_while_finishing_waits_for_the_end(self, tmp_path: Path, tiny: str) -> None:
        interruption = Interruption()

        def late(event: Progress) -> None:
            if event.stage == "encoding" and event.finished:
                assert interruption.deferred
                interruption.requested = True

        running = Running(interruption=interruption, report=late)
        build(str(tmp_path / "s"), text(corpus_file(tmp_path)), model(tiny), running=running)
        assert Datastore.open(str(tmp_path / "s")).documents == 120

    def test_a_stopped_addition_leaves_the_store_and_survives_another(self, tmp_path: Path, tiny: str) -> None:
        store = str(tmp_path / "s")
        build(store, text(corpus_file(tmp_path), language="en"), model(tiny))
        before = contents(store)
        french = text(corpus_file(tmp_path, "fr.txt", 200, seed=1), language="fr")
        with pytest.raises(Interrupted, match="are kept"):
            add(store, french, model(tiny), encoding=SMALL, running=Stopping(4000).running())
        assert contents(store) == before
        add(store, text(corpus_file(tmp_path, "de.txt", 20, seed=2), language="de"), model(tiny))
        result = add(store, french, model(tiny), encoding=SMALL)
        assert result.resumed_rows >= 2000
        assert list(contents(store)) == ["en", "de", "fr"]
        alone = str(tmp_path / "alone")
        build(alone, french, model(tiny), encoding=SMALL)
        assert contents(alone)["fr"] == contents(store)["fr"]

    @pytest.mark.parametrize("moment", ["move_branch", "delete_branch"])
    def test_struck_while_finishing(
        self, tmp_path: Path, tiny: str, moment: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store, file = str(tmp_path / "s"), corpus_file(tmp_path)
        done = getattr(Repository, moment)

        def strike(*arguments: Any, **options: Any) -> None:
            done(*arguments, **options)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Repository, moment, strike)
            with pytest.raises(KeyboardInterrupt):
                build(store, text(file), model(tiny), encoding=SMALL)
        assert Datastore.open(store).documents == 120, "it was finished: it must not be taken back"
        add(store, text(corpus_file(tmp_path, "b.txt", 5, seed=2)), model(tiny))

    def test_an_unfinished_build_is_not_overwritten_by_another(self, tmp_path: Path, tiny: str) -> None:
        store, file = str(tmp_path / "s"), corpus_file(tmp_path, documents=200)
        with pytest.raises(Interrupted):
            build(store, text(file), model(tiny), encoding=SMALL, running=Stopping(4000).running())
        other = text(corpus_file(tmp_path, "other.txt", 5, seed=4))
        with pytest.raises(ExistsError, match="unfinished build") as caught:
            build(store, other, model(tiny))
        assert caught.value.hint and "--restart" in caught.value.hint
        assert Repository.open(store).checkpoints(), "the refused build has not taken it away"
        result = build(store, other, model(tiny), running=Running(restart=True))
        assert Datastore.open(store).rows == result.rows
        assert not Repository.open(store).checkpoints()

    def test_an_addition_can_start_over(self, tmp_path: Path, tiny: str) -> None:
        store = str(tmp_path / "s")
        build(store, text(corpus_file(tmp_path)), model(tiny))
        more = text(corpus_file(tmp_path, "more.txt", 200, seed=1))
        with pytest.raises(Interrupted):
            add(store, more, model(tiny), encoding=SMALL, running=Stopping(4000).running())
        result = add(store, more, model(tiny), encoding=SMALL, running=Running(restart=True))
        assert result.resumed_rows == 0

    def test_stopped_at_once_in_the_midst(self, tmp_path: Path, tiny: str) -> None:
        def strike(event: Progress) -> None:
            if (event.rows or 0) > 100:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            build(str(tmp_path / "s"), text(corpus_file(tmp_path)), model(tiny), running=Running(report=strike))
        assert not (tmp_path / "s").exists()


class TestRefusals:
    def test_a_store_that_exists(self, tmp_path: Path, tiny: str) -> None:
        store, file = str(tmp_path / "s"), corpus_file(tmp_path)
        build(store, text(file), model(tiny))
        with pytest.raises(ExistsError, match="is a datastore already") as caught:
            build(store, text(file), model(tiny))
        assert caught.value.hint == f"Add text to it: goodctl datastore add {store} TEXT"

    def test_the_same_text_twice(self, tmp_path: Path, tiny: str) -> None:
        store, more = str(tmp_path / "s"), text(corpus_file(tmp_path, "b.txt", 5, seed=1))
        build(store, text(corpus_file(tmp_path)), model(tiny))
        add(store, more, model(tiny))
        rows = Datastore.open(store).rows
        with pytest.raises(ExistsError, match="has this text already") as caught:
            add(store, more, model(tiny))
        assert caught.value.hint and "--again" in caught.value.hint
        for other in (EncodingChoice(batch_tokens=50), EncodingChoice()):
            with pytest.raises(ExistsError, match="has this text already"):
                add(store, replace(more, label="other"), ModelChoice(precision="bf16"), encoding=other)
        result = add(store, more, model(tiny), running=Running(again=True))
        assert Datastore.open(store).rows == rows + result.rows
        assert add(store, more, model(tiny), running=Running(again=True)).rows == result.rows

    def test_a_file_that_is_known_under_another_language_is_mentioned(self, tmp_path: Path, tiny: str) -> None:
        store, file = str(tmp_path / "s"), corpus_file(tmp_path)
        build(store, text(file, language="en"), model(tiny))
        events: list[Progress] = []
        add(store, text(file, language="fr"), model(tiny), running=Running(report=events.append))
        assert f"note: {file} is in the store already, as en" in [event.note for event in events]

    def test_another_model(self, tmp_path: Path, tiny: str, other_tiny: str) -> None:
        store = str(tmp_path / "s")
        build(store, text(corpus_file(tmp_path)), model(tiny))
        with pytest.raises(IncompatibleError, match="differs in its weights") as caught:
            add(store, text(corpus_file(tmp_path, "b.txt", 5)), model(other_tiny))
        assert caught.value.hint == f"Use the store's own model: --model {tiny}"
        assert len(log(store)) == 1

    @pytest.mark.parametrize(
        ("choice", "option"),
        [
            (EncodingChoice(key_layer="last-hidden"), "--key-layer last-hidden"),
            (EncodingChoice(key_dtype="float32"), "--key-dtype float32"),
            (EncodingChoice(window=8), "--window 8"),
        ],
    )
    def test_another_encoding(self, tmp_path: Path, tiny: str, choice: EncodingChoice, option: str) -> None:
        store = str(tmp_path / "s")
        build(store, text(corpus_file(tmp_path)), model(tiny))
        with pytest.raises(IncompatibleError, match=option):
            add(store, text(corpus_file(tmp_path, "b.txt", 5)), model(tiny), encoding=choice)

    @pytest.mark.parametrize(
        "choice", [{"key_layer": "head"}, {"key_dtype": "int8"}, {"window": 2}, {"batch_tokens": 0}]
    )
    def test_encodings_that_make_no_sense(self, choice: dict[str, Any]) -> None:
        with pytest.raises(UsageError):
            EncodingChoice(**choice)

    def test_a_window_beyond_the_model(self, tmp_path: Path, tiny: str) -> None:
        with pytest.raises(UsageError, match="reads at most 64"):
            build(str(tmp_path / "s"), text(corpus_file(tmp_path)), model(tiny), encoding=EncodingChoice(window=65))
        assert not (tmp_path / "s").exists()

    def test_a_foreign_repository_is_left_alone(self, tmp_path: Path, tiny: str) -> None:
        import icechunk
        import zarr

        (tmp_path / "s").mkdir()
        storage = icechunk.local_filesystem_storage(str(tmp_path / "s" / "repository"))
        session = icechunk.Repository.create(storage).writable_session("main")
        zarr.create_group(session.store, attributes={"title": "weather"})
        session.commit("somebody's work")
        before = sorted(tmp_path.rglob("*"))
        file = corpus_file(tmp_path)
        with pytest.raises(IncompatibleError, match="no goodctl datastore"):
            build(str(tmp_path / "s"), text(file), model(tiny))
        assert sorted(tmp_path.rglob("*")) == sorted([*before, file])

    def test_a_version_is_no_place_to_add_to(self, tmp_path: Path, tiny: str) -> None:
        store = str(tmp_path / "s")
        build(store, text(corpus_file(tmp_path)), model(tiny))
        with pytest.raises(UsageError, match="not a branch: it cannot be changed"):
            add(f"{store}@~0", text(corpus_file(tmp_path, "b.txt", 5)), model(tiny))
        assert not Path(f"{store}@~0").exists()

    def test_a_branch_is_added_to_and_main_is_not(self, tmp_path: Path, tiny: str) -> None:
        store = str(tmp_path / "s")
        build(store, text(corpus_file(tmp_path)), model(tiny))
        before = Datastore.open(store)
        before.repository.create_branch("trial", before.version.id)
        result = add(f"{store}@trial", text(corpus_file(tmp_path, "b.txt", 5)), model(tiny))
        assert Datastore.open(store).version.id == before.version.id
        assert Datastore.open(f"{store}@trial").rows == result.store_rows == before.rows + result.rows
        assert Datastore.open(f"{store}@trial").version.parent != before.version.parent
        assert not before.repository.checkpoints()

    @pytest.mark.parametrize("change", ["rewritten", "joined"])
    def test_text_that_changes_meanwhile(self, tmp_path: Path, tiny: str, change: str) -> None:
        folder = tmp_path / "texts"
        folder.mkdir()
        file = corpus_file(folder)

        def meddle(event: Progress) -> None:
            if event.stage == "loading the model":
                corpus_file(folder, "aa.txt" if change == "joined" else file.name, seed=9)

        with pytest.raises(InputError, match="has changed while it was read"):
            build(str(tmp_path / "s"), text(folder), model(tiny), running=Running(report=meddle))
        assert not (tmp_path / "s").exists()

    def test_values_that_are_no_text(self, tmp_path: Path) -> None:
        file, broken = corpus_file(tmp_path), "\udcff"
        with pytest.raises(UsageError, match="--label"):
            text(file, label=broken)
        with pytest.raises(UsageError, match="--language"):
            text(file, language=broken)
        with pytest.raises(UsageError, match="--message"):
            Running(message=broken)

    def test_a_field_that_holds_no_languages(self, tmp_path: Path, tiny: str) -> None:
        file = tmp_path / "ids.jsonl"
        file.write_text("".join(json.dumps({"text": "ab", "id": f"id{n}"}) + "\n" for n in range(1001)))
        with pytest.raises(InputError, match="more than 1,000 languages") as caught:
            build(str(tmp_path / "s"), text(file, language_field="id"), model(tiny))
        assert caught.value.hint and "--language-field" in caught.value.hint
        assert not (tmp_path / "s").exists()

    def test_no_store_to_add_to(self, tmp_path: Path, tiny: str) -> None:
        with pytest.raises(NotFoundError, match="There is no datastore"):
            add(str(tmp_path / "s"), text(corpus_file(tmp_path)), model(tiny))
        assert not (tmp_path / "s").exists()

    def test_a_broken_line_changes_nothing(self, tmp_path: Path, tiny: str) -> None:
        file = tmp_path / "a.jsonl"
        file.write_text('{"text": "fine"}\n' * 500 + '{"text": broken\n')
        with pytest.raises(InputError, match=r"a\.jsonl:501"):
            build(str(tmp_path / "s"), text(file), model(tiny))
        assert not (tmp_path / "s").exists()

    @pytest.mark.parametrize("existed", [True, False])
    def test_a_missing_model_changes_nothing(self, tmp_path: Path, existed: bool) -> None:
        if existed:
            (tmp_path / "s").mkdir()
        with pytest.raises(GoodctlError):
            build(str(tmp_path / "s"), text(corpus_file(tmp_path)), model(str(tmp_path / "nosuch")))
        assert (tmp_path / "s").exists() is existed

    @pytest.mark.parametrize("checkpoint_every_s", [0.0, 100.0])
    def test_overflow_is_found_and_nothing_is_left(
        self, tmp_path: Path, checkpoint_every_s: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import goodctl.models.key_layer
        from goodctl.workflows import build as module

        folder = str(tiny_model_folder(tmp_path / "m"))
        found = goodctl.models.key_layer.find_key_layer

        def overflowing(network: Any, name: str) -> Any:
            network.transformer.h[-1].ln_2.weight.mul_(1e6)
            return found(network, name)

        monkeypatch.setattr(module, "find_key_layer", overflowing)
        running = Running(checkpoint_every_s=checkpoint_every_s)
        with pytest.raises(IncompatibleError, match="float16 ends"):
            build(str(tmp_path / "s"), text(corpus_file(tmp_path)), model(folder), encoding=SMALL, running=running)
        assert not (tmp_path / "s").exists()
        monkeypatch.undo()
        build(str(tmp_path / "s"), text(corpus_file(tmp_path)), model(folder))
        monkeypatch.setattr(module, "find_key_layer", overflowing)
        with pytest.raises(IncompatibleError, match="float16 ends"):
            add(str(tmp_path / "s"), text(corpus_file(tmp_path, "b.txt", seed=3)), model(folder), running=running)
        assert not Repository.open(str(tmp_path / "s")).checkpoints()
        assert len(log(str(tmp_path / "s"))) == 1

    def test_another_writer(self, tmp_path: Path, tiny: str) -> None:
        store = str(tmp_path / "s")
        build(store, text(corpus_file(tmp_path)), model(tiny))
        with (
            writer_lock(store, "goodctl datastore add"),
            pytest.raises(ConflictError, match="being written by process"),
        ):
            add(store, text(corpus_file(tmp_path, "b.txt", 5)), model(tiny))


def test_the_model_of_the_store_is_used_unless_another_is_named(tmp_path: Path) -> None:
    folder = tiny_model_folder(tmp_path / "before")
    store = str(tmp_path / "s")
    build(store, text(corpus_file(tmp_path)), model(str(folder)))
    folder.rename(tmp_path / "after")
    more = text(corpus_file(tmp_path, "b.txt", 5, seed=1))
    with pytest.raises(NotFoundError):
        add(store, more)
    add(store, more, replace(model(str(tmp_path / "after")), precision="auto"))
    assert len(log(store)) == 2


def test_progress_reaches_its_total(tmp_path: Path, tiny: str) -> None:
    events: list[Progress] = []
    file = corpus_file(tmp_path)
    result = build(str(tmp_path / "s"), text(file), model(tiny), encoding=SMALL, running=Running(report=events.append))
    encoding = [event for event in events if event.stage == "encoding"]
    assert [event.done for event in encoding] == sorted(event.done for event in encoding)
    assert all(event.total is not None and event.done <= event.total for event in encoding)
    assert encoding[-1].finished
    assert encoding[-1].done == result.tokens
    assert max(event.rows or 0 for event in encoding) == result.rows
    middle = encoding[len(encoding) // 2]
    assert middle.total == pytest.approx(result.tokens, rel=0.1), "a byte a token: characters foretell tokens"
