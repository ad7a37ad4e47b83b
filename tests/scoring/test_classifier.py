"""Classifiers as scorers: every architecture, batches, labels, what is refused, memory that does not suffice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from goodctl.errors import InputError, UsageError
from goodctl.scoring.classifier import ClassifierScorer, open_scorer
from goodctl.scoring.packing import MOST_REQUESTS
from goodctl.scoring.protocol import Failed, NotScored, Request, Scored, Scorer, ScorerOptions
from tests.fakes.tiny_classifier import ARCHITECTURES, MULTI_LABEL, tiny_classifier_folder
from tests.scoring.contract import ScorerContract

JIGSAW = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
TEXTS = ("Good morning", "x" * 200, "", " \n", "A </s> b <pad>", "\ud800 half", "é", "ok " * 9, "🤬", "<pad><pad>")


def opened(folder: Path, *attributes: str, **options: Any) -> ClassifierScorer:
    return open_scorer(str(folder), ScorerOptions(attributes or ("toxicity",), device="cpu", **options))


def scores(scorer: ClassifierScorer, texts: list[str], name: str = "toxicity") -> dict[str, float | None]:
    found = scorer.outcomes(Request(text) for text in texts)
    return {request.text: outcome.scores[name] if isinstance(outcome, Scored) else None for request, outcome in found}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_classifier_folder(tmp_path_factory.mktemp("classifier") / "tiny")


class TestClassifier(ScorerContract):
    language = "en"
    foreign = "ko"
    most_held = MOST_REQUESTS
    tolerance = 1e-5

    @pytest.fixture
    def scorer(self, folder: Path, tmp_path: Path) -> Iterator[Scorer]:
        label_map = {"activation": "softmax", "attributes": {"toxicity": ["toxic"]}, "languages": ["en"]}
        (tmp_path / "map.json").write_text(json.dumps(label_map))
        scorer = opened(folder, label_map=str(tmp_path / "map.json"))
        yield scorer
        scorer.close()


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "bart"])
def test_every_architecture_scores_as_transformers_does(tmp_path: Path, architecture: str) -> None:
    folder = tiny_classifier_folder(tmp_path / "tiny", architecture=architecture)
    scorer = opened(folder, batch_tokens=150)
    found = scores(scorer, list(TEXTS))
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for text, value in found.items():
        if not text.strip():
            assert value is None
            continue
        encoded = tokenizer(text.replace("\ud800", "\ufffd"), truncation=True, max_length=64, return_tensors="pt")
        with torch.no_grad():
            expected = model(**encoded).logits.softmax(-1)[0, 1].item()
        assert value == pytest.approx(expected, abs=1e-5), text
    assert len({round(value, 4) for value in found.values() if value is not None}) > 5, "the texts differ"
    assert scorer.cut == 1
    (warning,) = scorer.warnings
    assert warning.startswith("1 text is longer than the ") and "scored by the beginning" in warning


def test_without_a_padding_token_texts_go_one_by_one(tmp_path: Path) -> None:
    folder = tiny_classifier_folder(tmp_path / "tiny", architecture="gpt2", pad=False)
    padded = tiny_classifier_folder(tmp_path / "padded", architecture="gpt2")
    texts = ["Good morning", "a", "longer than that"]
    assert scores(opened(folder), texts) == pytest.approx(scores(opened(padded), texts), abs=1e-5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(st.lists(st.text(max_size=90), max_size=12), st.integers(1, 300))
def test_batches_change_nothing(folder: Path, texts: list[str], batch_tokens: int) -> None:
    scorer = opened(folder, batch_tokens=batch_tokens)
    together = scores(scorer, texts)
    for text, value in together.items():
        assert scores(scorer, [text])[text] == (None if value is None else pytest.approx(value, abs=1e-5))


def test_a_text_of_just_the_longest_length_is_not_cut(folder: Path) -> None:
    scorer = opened(folder)  # 64 tokens, of which two are special
    scores(scorer, ["x" * 62])
    assert scorer.cut == 0
    scores(scorer, ["x" * 63])
    assert scorer.cut == 1
    assert scores(scorer, ["x" * 63 + "y"])["x" * 63 + "y"] == pytest.approx(scores(scorer, ["x" * 62])["x" * 62])


def test_many_labels_have_probabilities_of_their_own(tmp_path: Path) -> None:
    folder = tiny_classifier_folder(tmp_path / "tiny", JIGSAW, problem_type=MULTI_LABEL)
    scorer = opened(folder, "identity_attack", "toxicity", raw=True)
    ((_, outcome),) = scorer.outcomes([Request("hello", "xx")])
    assert isinstance(outcome, Scored)
    assert outcome.raw is not None
    logits = outcome.raw["logits"]
    assert list(logits) == list(JIGSAW)
    assert dict(outcome.scores) == pytest.approx(
        {"identity_attack": 1 / (1 + np.exp(-logits["identity_hate"])), "toxicity": 1 / (1 + np.exp(-logits["toxic"]))}
    )
    assert scorer.attributes_for("xx") == ("identity_attack", "toxicity")
    everything = open_scorer(str(folder), ScorerOptions(device="cpu"), all_attributes=True)
    assert len(everything.attributes_for(None)) == 6


def test_languages_that_a_map_names(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    label_map = {"activation": "softmax", "attributes": {"toxicity": ["toxic"]}, "languages": ["en", "pt"]}
    path.write_text(json.dumps(label_map))
    scorer = opened(folder, label_map=str(path))
    asked = [Request("a", language) for language in ("en", "pt-BR", "PT", "ko", None)]
    found = {request.language: outcome for request, outcome in scorer.outcomes(asked)}
    assert all(isinstance(found[language], Scored) for language in ("en", "pt-BR", "PT"))
    for language, words in (("ko", "en, pt, and the text is in ko"), (None, "an unknown language")):
        outcome = found[language]
        assert isinstance(outcome, NotScored)
        assert outcome.reason == "language"
        assert words in outcome.message
    assert scorer.attributes_for("ko") == ()


def test_numbers_that_are_none_are_no_scores(folder: Path) -> None:
    scorer = opened(folder)
    with torch.no_grad():
        scorer._loaded.model.classifier.bias[0] = float("nan")
    ((_, outcome),) = scorer.outcomes([Request("a")])
    assert isinstance(outcome, NotScored)
    assert outcome.reason == "no_number"


def test_memory_that_does_not_suffice_halves_the_batches(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = opened(folder, batch_tokens=640)
    texts = ["x" * length for length in range(1, 60)]
    expected, sizes = scores(scorer, texts), []
    real = scorer._logits

    def scarce(rows: Any) -> Any:
        positions = len(rows) * max(len(row["input_ids"]) for row in rows)
        sizes.append(positions)
        if positions > 100:
            raise torch.OutOfMemoryError
        return real(rows)

    monkeypatch.setattr(scorer, "_logits", scarce)
    assert scores(scorer, texts) == pytest.approx(expected, abs=1e-5)
    failed = [size for size in sizes if size > 100]
    assert len(failed) > 1
    assert failed == sizes[: len(failed)], "once it is known what fits, no larger batch is tried"

    def none_fits(rows: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(scorer, "_logits", none_fits)
    ((_, outcome),) = scorer.outcomes([Request("abc")])
    assert isinstance(outcome, Failed)
    assert (outcome.reason, "5 tokens" in outcome.message) == ("memory", True)


def test_other_faults_come_through(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = opened(folder)

    def broken(rows: Any) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr(scorer, "_logits", broken)
    with pytest.raises(RuntimeError, match="broken"):
        scores(scorer, ["a"])


def test_the_identity_follows_what_changes_scores(tmp_path: Path) -> None:
    folder = tiny_classifier_folder(tmp_path / "a")
    same = opened(tiny_classifier_folder(tmp_path / "b")).identity
    mine = opened(folder).identity
    assert (mine.version, mine.details) == (same.version, same.details)
    assert mine.scorer == f"hf:{folder}"
    assert mine.details["max_tokens"] == 64
    assert mine.details["label_map"] == {"activation": "softmax", "attributes": {"toxicity": ["toxic"]}}
    assert opened(tiny_classifier_folder(tmp_path / "c", seed=1)).identity.version != mine.version
    (tmp_path / "map.json").write_text('{"activation": "sigmoid", "attributes": {"toxicity": ["toxic"]}}')
    assert opened(folder, label_map=str(tmp_path / "map.json")).identity.details != mine.details


def test_what_cannot_be_scored_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'threat'") as caught:
        opened(folder, "toxicity", "threat")
    assert "toxicity" in str(caught.value.hint)
    with pytest.raises(UsageError, match="--batch-tokens 0"):
        opened(folder, batch_tokens=0)
    vague = tiny_classifier_folder(tmp_path / "vague", ("LABEL_0", "LABEL_1"))
    with pytest.raises(UsageError, match="LABEL_0, LABEL_1") as caught:
        opened(vague)
    example = str(caught.value.hint)
    written = example[example.index("{") : example.rindex("}") + 1]
    (tmp_path / "map.json").write_text(written)
    assert opened(vague, label_map=str(tmp_path / "map.json")).attributes_for("xx") == ("toxicity",)
    (tmp_path / "map.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        opened(vague, label_map=str(tmp_path / "map.json"))
