"""Perplexities against a computation by hand: one document at a time, whole distributions, all keys compared."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goodctl.corpus import Corpus
from goodctl.datastore.compaction import compact
from goodctl.datastore.removal import remove
from goodctl.datastore.removal_plan import Removal
from goodctl.datastore.store import Datastore
from goodctl.encoding import windows
from goodctl.errors import GoodctlError, IncompatibleError, InputError, ServiceError, UsageError
from goodctl.models.key_layer import capture, find_key_layer
from goodctl.models.load import LoadedModel
from goodctl.progress import Progress
from goodctl.steering.likelihood import interpolated_at
from goodctl.steering.logits import interpolate, knn_log_probs
from goodctl.steering.search import Side
from goodctl.workflows.blocks import Position, blocks
from goodctl.workflows.build import add, build
from goodctl.workflows.choices import EncodingChoice, Text
from goodctl.workflows.model_choice import ModelChoice, identify
from goodctl.workflows.perplexity import PerplexityChoice, PerplexityReport, perplexity
from goodctl.workflows.predicting import Predictor
from goodctl.workflows.selection import Selection
from goodctl.workflows.steering_choice import SteeringChoice
from tests.fakes.tiny import ARCHITECTURES, BOS_ID, tiny_model_folder

HELD_OUT = [
    "The tea is ready.",
    "Good morning to all of you!",
    "No.",
    "",
    "x",
    "A longer line: the tea is cold by now.",
]
STORED = ["The tea is hot, and ready.", "Good evening to you.", "The milk is ready by now.", "Good night, all of you!"]


def lines(folder: Path, name: str, texts: Sequence[str]) -> Path:
    (folder / name).write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    return folder / name


def text(*files: Path, selection: Selection | None = None, **options: Any) -> Text:
    return Text(Corpus(tuple(map(str, files)), **options), selection or Selection())


def model(folder: Path | str) -> ModelChoice:
    return ModelChoice(str(folder), device="cpu", precision="fp32")


def loaded(folder: Path | str) -> LoadedModel:
    return identify(model(folder)).load()


def by_hand(model: LoadedModel, texts: Sequence[str], window: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits (N, V), keys (N, D) and token ids (N,) of everything that is predicted, window by window."""
    layer = find_key_layer(model.model, "ffn-input")
    logits, keys, tokens = [], [], []
    for each in texts:
        ids = model.tokenizer([each])["input_ids"][0]
        for w in windows(0, len(ids), window, bool(ids) and ids[0] == BOS_ID):
            read = torch.tensor([ids[:1] * w.prefix + ids[w.start : w.stop]])
            count = w.stop - w.first_row
            with torch.inference_mode():
                logits.append(model.model(input_ids=read).logits[0, -count:])
            keys.append(capture(model.model, layer, read, None)[0, -count:])
            tokens.append(torch.tensor(ids[w.first_row + 1 : w.stop + 1]))
    return torch.cat(logits), torch.cat(keys), torch.cat(tokens)


def of(log_probs: torch.Tensor) -> float:
    return float((-log_probs.double().mean()).exp())


def stored(folder: Path, tiny: Path | str, texts: Sequence[str] = STORED, **options: Any) -> str:
    build(str(folder / "store"), text(lines(folder, "stored.txt", texts)), model(tiny), **options)
    return str(folder / "store")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_same_as_by_hand(tmp_path: Path, architecture: str) -> None:
    tiny = tiny_model_folder(tmp_path / "tiny", architecture=architecture)
    store = stored(tmp_path, tiny)
    choice = PerplexityChoice((store,), k=5, temperature=2.0)
    report = perplexity(text(lines(tmp_path, "held.txt", HELD_OUT)), model(tiny), choice)
    logits, keys, tokens = by_hand(loaded(tiny), HELD_OUT, 64)
    assert report.total.base == pytest.approx(of(logits.log_softmax(-1).gather(1, tokens[:, None])), rel=1e-5)

    opened = Datastore.open(store)
    there = torch.from_numpy(opened.read(opened.segments[0], "keys").astype(np.float32))
    values = torch.from_numpy(opened.read(opened.segments[0], "values"))
    distances, rows = (keys[:, None] - there[None]).square().sum(-1).topk(5, largest=False)  # (N, K)
    mixed = interpolate(logits, knn_log_probs(distances, values[rows], logits.shape[1], 2.0), 0.25)
    assert report.total.knn == pytest.approx(of(mixed.gather(1, tokens[:, None])), rel=1e-4)
    assert report.total.proposed == pytest.approx(float((values[rows] == tokens[:, None]).any(1).float().mean()))
    assert (report.total.tokens, report.total.documents, report.skipped) == (len(tokens), 4, 2)
    assert report.total.impossible == 0


@pytest.mark.parametrize("bos", [False, True])
def test_long_documents_in_several_windows(tmp_path: Path, bos: bool) -> None:
    tiny = tiny_model_folder(tmp_path / "tiny", bos=bos)
    texts = [
        "Every token is predicted from half a window or more. " * 4,
        "Short.",
        "Another long one, of many words " * 3,
    ]
    file = lines(tmp_path, "long.txt", texts)
    for window in (16, 64):
        report = perplexity(text(file), model(tiny), PerplexityChoice(window=window))
        logits, _, tokens = by_hand(loaded(tiny), texts, window)
        assert report.total.tokens == len(tokens) == sum(len(each) - 1 + bos for each in texts)
        assert report.total.base == pytest.approx(of(logits.log_softmax(-1).gather(1, tokens[:, None])), rel=1e-5)
    assert report.window == perplexity(text(file), model(tiny)).window


def test_a_store_sees_queries_with_the_window_of_its_keys(tmp_path: Path, tiny: str) -> None:
    store = stored(tmp_path, tiny, encoding=EncodingChoice(window=16))
    held_out = text(lines(tmp_path, "held.txt", HELD_OUT))
    assert perplexity(held_out, None, PerplexityChoice((store,), temperature=1.0)).window == 16
    assert perplexity(held_out, None, PerplexityChoice((store,), temperature=1.0, window=32)).window == 32


def predicted(predictor: Predictor, text: Text) -> dict[int, list[tuple[int, float]]]:
    """Line of a document to its tokens with their log probabilities, sorted."""
    found: dict[int, list[tuple[int, float]]] = {}
    for block in blocks(text.corpus.documents(), Selection(), predictor, Position()):
        for each in predictor.predict(block):
            for document, token, base in zip(each.documents, each.tokens.tolist(), each.base.tolist(), strict=True):
                found.setdefault(block.documents[document].line, []).append((token, base))
    return {line: sorted(tokens) for line, tokens in found.items()}


def test_batches_and_padding_do_not_matter(tmp_path: Path, tiny: str) -> None:
    held_out = text(lines(tmp_path, "held.txt", ["a b " * n + "c" for n in range(1, 30)]))
    expected = predicted(Predictor(loaded(tiny), 64, batch_tokens=1), held_out)
    assert {line: len(tokens) for line, tokens in expected.items()} == {n: 4 * n for n in range(1, 30)}
    for budget in (100, 5000):
        found = predicted(Predictor(loaded(tiny), 64, batch_tokens=budget), held_out)
        assert found.keys() == expected.keys()
        for line, tokens in expected.items():
            np.testing.assert_allclose(found[line], tokens, rtol=1e-4)


class Wrapped(torch.nn.Module):
    """A model without room for more than some tokens at once, and with a token that breaks it."""

    def __init__(self, inner: Any, most: int = 10**9, poison: int = -1) -> None:
        super().__init__()
        self.inner, self.most, self.poison = inner, most, poison

    def forward(self, input_ids: torch.Tensor, use_cache: bool) -> Any:
        if input_ids.numel() > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        output = self.inner(input_ids=input_ids, use_cache=use_cache)
        output.logits[input_ids == self.poison] = math.nan
        return output


def test_less_memory_makes_smaller_batches(tmp_path: Path, tiny: str) -> None:
    held_out = text(lines(tmp_path, "held.txt", ["a b " * n + "c" for n in range(1, 15)]))
    whole = loaded(tiny)
    small = Predictor(replace(whole, model=Wrapped(whole.model, 100)), 64, batch_tokens=5000)
    found, expected = predicted(small, held_out), predicted(Predictor(whole, 64), held_out)
    assert found.keys() == expected.keys()
    for line, tokens in expected.items():
        np.testing.assert_allclose(found[line], tokens, rtol=1e-4)
    assert small.batch_tokens < 5000
    with pytest.raises(ServiceError, match="single window") as caught:
        predicted(Predictor(replace(whole, model=Wrapped(whole.model, 20)), 64), held_out)
    assert "--window" in str(caught.value.hint)


def test_a_model_that_gives_no_numbers_is_reported_with_the_document(tmp_path: Path, tiny: str) -> None:
    held_out = text(lines(tmp_path, "held.txt", ["Good morning.", "Good?morning.", "Good night."]))
    whole = loaded(tiny)
    broken = Predictor(replace(whole, model=Wrapped(whole.model, poison=whole.tokenizer("?")["input_ids"][0])), 64)
    with pytest.raises(GoodctlError, match=r"held\.txt:2: .* gives logits that are no numbers \(fp32\)") as caught:
        predicted(broken, held_out)
    assert caught.value.hint


class Nowhere:
    """Stores whose neighbours are infinitely far."""

    def search(self, queries: Any, k: int) -> Any:
        class Found:
            distances = np.full((len(queries), k), np.inf, np.float32)
            rows = values = np.zeros((len(queries), k), np.int32)

        return Found


def test_shares_of_nothing_and_of_everything(tmp_path: Path, tiny: str) -> None:
    store, held_out = stored(tmp_path, tiny), text(lines(tmp_path, "held.txt", HELD_OUT))

    def at(lam: float, k: int = 10) -> PerplexityReport:
        return perplexity(held_out, None, PerplexityChoice((store,), lam, k, temperature=1.0))

    assert at(0).total.knn == pytest.approx(at(0.25).total.base, rel=1e-6)
    alone = at(1, 1)
    assert alone.total.knn == math.inf
    missed = round((1 - (alone.total.proposed or 0)) * alone.total.tokens)
    assert alone.total.impossible == missed > 0
    values = json.loads(json.dumps(alone.to_dict(), allow_nan=False))
    assert values["total"]["knn"] is values["languages"]["und"]["knn"] is None
    everything = at(0.25, 10**6)
    assert everything.k == Datastore.open(store).rows
    assert everything.total.proposed and alone.total.proposed and everything.total.proposed > alone.total.proposed

    whole = loaded(tiny)
    side = Side("store", Nowhere(), 3, 1.0)
    block = next(blocks(held_out.corpus.documents(), Selection(), Predictor(whole, 64), Position()))
    for each in Predictor(whole, 64, side, find_key_layer(whole.model, "ffn-input")).predict(block):
        assert each.distances is not None and each.values is not None
        mixed = interpolated_at(each.base, each.distances, each.values, each.tokens, 1.0, 0.5)
        torch.testing.assert_close(mixed, each.base)


def test_languages_add_up_to_the_total(tmp_path: Path, tiny: str) -> None:
    records = [
        {"text": each, "lang": lang} for each, lang in zip(HELD_OUT, ["en", "fr", "fr", "de", "it", "en"], strict=True)
    ]
    file = lines(tmp_path, "held.jsonl", [json.dumps(record) for record in records])
    choice = PerplexityChoice((stored(tmp_path, tiny),), temperature=1.0, k=20)
    report = perplexity(text(file, language_field="lang"), None, choice)
    assert {language: each.documents for language, each in report.languages.items()} == {"en": 2, "fr": 2}
    for name in ("base", "knn"):
        nats = [each.tokens * math.log(getattr(each, name)) for each in report.languages.values()]
        assert math.exp(sum(nats) / report.total.tokens) == pytest.approx(getattr(report.total, name))
    french = perplexity(text(lines(tmp_path, "fr.txt", HELD_OUT[1:3]), language="fr"), None, choice)
    assert french.languages == {"fr": french.total}
    assert french.total.base == pytest.approx(report.languages["fr"].base, rel=1e-5)
    assert french.total.knn == pytest.approx(report.languages["fr"].knn, rel=1e-5)


def test_a_store_of_the_very_text_lowers_it_and_is_named(tmp_path: Path, tiny: str) -> None:
    texts = [f"{each} {number}" for number in range(8) for each in STORED]
    store, notes = stored(tmp_path, tiny, texts), []

    def measured(*files: str) -> PerplexityReport:
        def note(event: Progress) -> None:
            notes.append(event.note or "")

        notes.clear()
        paths = [tmp_path / file for file in files]
        return perplexity(text(*paths), model(tiny), PerplexityChoice((store,), lam=0.9, k=8), note)

    lines(tmp_path, "other.txt", texts[:5])
    lines(tmp_path, "empty.txt", [])
    (tmp_path / "copy.txt").write_bytes((tmp_path / "stored.txt").read_bytes())
    report = measured("copy.txt", "other.txt", "empty.txt")
    assert report.in_store == (str(tmp_path / "copy.txt"),)
    assert any("copy.txt" in note for note in notes)
    assert report.total.knn and report.total.knn < report.total.base / 2
    assert report.temperature and report.measured and report.temperature < report.measured
    assert measured("other.txt").in_store == ()
    assert not any(notes)
    add(store, text(tmp_path / "other.txt"))
    compact(store)
    assert len(measured("other.txt", "copy.txt").in_store) == 2
    remove(store, Removal(sources=(str(tmp_path / "other.txt"),)))
    assert measured("other.txt", "copy.txt").in_store == (str(tmp_path / "copy.txt"),)


def test_selected_documents_and_progress(tmp_path: Path, tiny: str) -> None:
    events: list[Progress] = []
    file = lines(tmp_path, "held.txt", [f"Line number {number} of the text." for number in range(100)])
    first = perplexity(text(file, selection=Selection(max_documents=3)), model(tiny), report=events.append)
    three = lines(tmp_path, "three.txt", [f"Line number {number} of the text." for number in range(3)])
    assert first.total == perplexity(text(three), model(tiny)).total
    done = [event.done for event in events if event.stage == "predicting"]
    assert done == sorted(done) and done[-1] == first.total.tokens
    assert [event.finished for event in events if event.stage == "predicting"][-1]
    random = [text(file, selection=Selection(max_tokens=200, seed=seed)) for seed in (1, 1, 2)]
    same, again, other = (perplexity(each, model(tiny)).total for each in random)
    assert same == again != other
    assert 190 < same.tokens < 240


def test_stores_searched_as_one(tmp_path: Path, tiny: str) -> None:
    both = stored(tmp_path, tiny)
    halves = []
    for number, part in enumerate((STORED[:2], STORED[2:])):
        halves.append(str(tmp_path / f"half{number}"))
        build(halves[-1], text(lines(tmp_path, f"half{number}.txt", part)), model(tiny))
    held_out = text(lines(tmp_path, "held.txt", HELD_OUT))
    one = perplexity(held_out, None, PerplexityChoice((both,), k=4, temperature=1.0))
    two = perplexity(held_out, None, PerplexityChoice((str(tmp_path / "half*"),), k=4, temperature=1.0))
    assert two.total.knn == pytest.approx(one.total.knn, rel=1e-5)
    assert [each["store"] for each in two.stores] == halves
    assert two.stores[0]["snapshot"] == Datastore.open(halves[0]).version.id


def test_what_cannot_be_measured(tmp_path: Path, tiny: str, other_tiny: str) -> None:
    held_out = text(lines(tmp_path, "held.txt", HELD_OUT))
    with pytest.raises(IncompatibleError, match="differs in its weights"):
        perplexity(held_out, model(other_tiny), PerplexityChoice((stored(tmp_path, tiny),)))
    with pytest.raises(InputError, match="None of the 2 documents has a token to predict"):
        perplexity(text(lines(tmp_path, "single.txt", ["x", "y"])), model(tiny))
    with pytest.raises(UsageError, match="reads at most 64 tokens"):
        perplexity(held_out, model(tiny), PerplexityChoice(window=65))
    with pytest.raises(UsageError, match="No model is named"):
        perplexity(held_out)
    for wrong in ({"lam": 1.1}, {"k": 0}, {"temperature": 0.0}, {"fidelity": "medium"}, {"window": 3}):
        with pytest.raises(UsageError):
            PerplexityChoice(**wrong)
    assert PerplexityChoice(("a",)).steering() == SteeringChoice("knn-lm", store=("a",))


@pytest.mark.gpu
def test_a_gpu_gives_the_perplexity_of_the_cpu_but_for_rounding(tmp_path: Path, tiny: str) -> None:
    held_out = text(lines(tmp_path, "held.txt", HELD_OUT))
    choice = PerplexityChoice((stored(tmp_path, tiny),), k=10, temperature=1.0)
    cpu, cuda = (
        perplexity(held_out, ModelChoice(tiny, device=each, precision="fp32"), choice) for each in ("cpu", "cuda")
    )
    assert cuda.device.startswith("cuda")
    assert cuda.total.base == pytest.approx(cpu.total.base, rel=1e-3)
    assert cuda.total.knn == pytest.approx(cpu.total.knn, rel=1e-2)
