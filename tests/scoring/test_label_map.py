"""Label maps by hand computation, their files, and labels that speak for themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from goodctl.errors import InputError, NotFoundError, UsageError
from goodctl.scoring.known_classifiers import presets
from goodctl.scoring.label_map import LabelMap, read_label_map
from goodctl.scoring.label_names import evident_map, known_map

LOG = np.log
THREE = ("fine", "rude", "vile")
MULTI, SINGLE = "multi_label_classification", "single_label_classification"


def test_softmax_sums_the_labels() -> None:
    found = LabelMap("softmax", {"toxicity": ("rude", "vile"), "insult": ("vile",)})
    values = found.scores([[LOG(5), LOG(2), LOG(3)], [LOG(1), LOG(1), LOG(2)]], THREE)
    assert values["toxicity"] == pytest.approx([0.5, 0.75])
    assert values["insult"] == pytest.approx([0.3, 0.5])


def test_sigmoid_takes_the_largest() -> None:
    found = LabelMap("sigmoid", {"toxicity": ("rude", "vile"), "insult": ("rude",)})
    values = found.scores([[9.0, LOG(3), LOG(1 / 3)]], THREE)
    assert values["toxicity"] == pytest.approx([0.75])
    assert values["insult"] == pytest.approx([0.75])


def test_a_number_is_taken_within_its_range() -> None:
    found = LabelMap("none", {"toxicity": ("rude",)}, range=(1, 5))
    values = found.scores([[1.0], [3.0], [5.0], [5.3], [0.7], [5.5], [0.5]], ("rude",))["toxicity"]
    assert values[:5] == pytest.approx([0, 0.5, 1, 1, 0])
    assert np.isnan(values[5:]).all(), "far outside, the range is not the model's"
    turned = LabelMap("none", {"toxicity": ("rude",)}, range=(1, 0))
    assert turned.scores([[0.25]], ("rude",))["toxicity"] == pytest.approx([0.75])


@given(
    arrays(np.float32, st.tuples(st.integers(0, 5), st.just(3)), elements=st.floats(-1000, 1000, width=32)),
    st.sampled_from(["sigmoid", "softmax"]),
    st.sets(st.sampled_from(THREE), min_size=1),
)
def test_scores_are_probabilities(logits: Any, activation: str, chosen: set[str]) -> None:
    found = LabelMap(activation, {"toxicity": tuple(chosen), "rest": tuple(THREE)})
    values = found.scores(logits, THREE)
    assert values["toxicity"].shape == (len(logits),)
    assert ((values["toxicity"] >= 0) & (values["toxicity"] <= 1)).all()
    assert (values["toxicity"] <= values["rest"] + 1e-12).all()
    if activation == "softmax":
        assert values["rest"] == pytest.approx(np.ones(len(logits)))


@pytest.mark.parametrize("activation", ["sigmoid", "softmax", "none"])
def test_what_is_no_number_gives_none(activation: str) -> None:
    found = LabelMap(activation, {"toxicity": ("vile",)})
    assert np.isnan(found.scores([[0, 0, np.nan]], THREE)["toxicity"]).all()


@pytest.mark.parametrize(
    ("labels", "problem", "activation", "attributes"),
    [
        (("toxic",), None, "sigmoid", {"toxicity": ["toxic"]}),
        (("nontoxic", "toxic"), None, "softmax", {"toxicity": ["toxic"]}),
        (("toxic", "neutral"), SINGLE, "softmax", {"toxicity": ["toxic"]}),
        (("TOXIC", "NON-TOXIC"), None, "softmax", {"toxicity": ["TOXIC"]}),
        (("not toxic", "insult", "threat"), SINGLE, "softmax", {"toxicity": ["insult", "threat"]}),
        (("neutral", "toxic", "severe_toxic"), None, "softmax", {"toxicity": ["toxic", "severe_toxic"]}),
        (("toxicity",), "regression", "none", {"toxicity": ["toxicity"]}),
        (
            ("toxicity", "severe_toxicity", "male", "sexual_explicit"),
            MULTI,
            "sigmoid",
            {
                "toxicity": ["toxicity"],
                "severe_toxicity": ["severe_toxicity"],
                "sexually_explicit": ["sexual_explicit"],
            },
        ),
        (
            ("toxic", "severe_toxic", "insult"),
            None,
            "sigmoid",
            {"toxicity": ["toxic"], "severe_toxicity": ["severe_toxic"], "insult": ["insult"]},
        ),
    ],
)
def test_evident_labels(labels: tuple[str, ...], problem: str | None, activation: str, attributes: Any) -> None:
    found = evident_map("m", labels, problem)
    given = found.to_dict()
    assert (given["activation"], given["attributes"]) == (activation, attributes)
    assert found.languages is None


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (("LABEL_0", "LABEL_1"), None),
        (("LABEL_0",), None),
        (("negative", "neutral", "positive"), None),
        (("neutral", "insult"), None),
        (("nothate", "hate"), None),
        (("toxic", "angry"), SINGLE),
        (("toxic", "severe_toxic"), SINGLE),
        (("nontoxic", "neutral"), SINGLE),
        (("neutral", "toxic", "spam"), None),
        (("obscene", "insult"), MULTI),
        (("LABEL_0",), "regression"),
        (("toxic", "insult"), "regression"),
    ],
)
def test_doubtful_labels_are_refused_with_their_names(labels: tuple[str, ...], problem: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        evident_map("some/model", labels, problem)
    assert ", ".join(labels) in caught.value.message
    assert "--label-map" in str(caught.value.hint)


def test_known_classifiers() -> None:
    assert len(presets()) == 6
    two = known_map("textdetox/xlmr-large-toxicity-classifier-v2", ("LABEL_0", "LABEL_1"), None)
    assert two.attributes == {"toxicity": ("LABEL_1",)}
    assert two.activation == "softmax"
    assert {"ja", "he", "hi-Latn"} <= set(two.languages or ())
    assert not {"ko", "pt"} & set(two.languages or ())
    named = known_map("textdetox/twitter-xlmr-toxicity-classifier", ("neutral", "toxic"), None)
    assert named.attributes == {"toxicity": ("toxic",)}
    detoxify = known_map("unitary/multilingual-toxic-xlm-roberta", ("toxic",), None)
    assert (detoxify.activation, detoxify.attributes) == ("sigmoid", {"toxicity": ("toxic",)})
    assert detoxify.languages == ("en", "es", "fr", "it", "pt", "ru", "tr")
    for model in presets():
        with pytest.raises(UsageError, match="published"):
            known_map(model, ("a", "b"), None)


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    stored = {"activation": "none", "attributes": {"TOXICITY": ["b", "b"]}, "languages": ["en"], "range": [0, 4]}
    path.write_text(json.dumps(stored))
    found = read_label_map(str(path), ("a", "b"))
    assert found == LabelMap("none", {"toxicity": ("b",)}, ("en",), (0.0, 4.0))
    path.write_text(json.dumps(found.to_dict()))
    assert read_label_map(str(path), ("a", "b")) == found
    with pytest.raises(NotFoundError):
        read_label_map(str(tmp_path / "nosuch"), ("a",))
    with pytest.raises(InputError, match="cannot be read"):
        read_label_map(str(tmp_path), ("a",))


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ("[", "not JSON"),
        ("[]", "an object"),
        ({"attributes": {"toxicity": ["a"]}}, "activation"),
        ({"activation": "tanh", "attributes": {"toxicity": ["a"]}}, "'tanh'"),
        ({"activation": "softmax"}, "'attributes'"),
        ({"activation": "softmax", "attributes": {}}, "'attributes'"),
        ({"activation": "softmax", "attributes": {"toxicity": "a"}}, "list of strings"),
        ({"activation": "softmax", "attributes": {"toxicity": []}}, "list of strings"),
        ({"activation": "softmax", "attributes": {"toxicity": ["c"]}}, "no label 'c'; it has a, b"),
        ({"activation": "softmax", "attributes": {"toxicity": ["a"]}, "language": ["en"]}, "no member 'language'"),
        ({"activation": "softmax", "attributes": {"toxicity": ["a"]}, "languages": "en"}, "'languages'"),
        ({"activation": "softmax", "attributes": {"toxicity": ["a"]}, "range": [0, 2]}, "belongs to"),
        ({"activation": "none", "attributes": {"toxicity": ["a"]}, "range": [1, 1]}, "two different"),
        ({"activation": "none", "attributes": {"toxicity": ["a"]}, "range": [0, "1"]}, "two different"),
        (" " * (1 << 20) + "{}", "too large"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, stored: Any, words: str) -> None:
    path = tmp_path / "map.json"
    path.write_text(stored if isinstance(stored, str) else json.dumps(stored))
    with pytest.raises(InputError) as caught:
        read_label_map(str(path), ("a", "b"))
    assert words in caught.value.message
    assert "map.json" in caught.value.message
    assert '"toxicity": ["b"]' in str(caught.value.hint)
