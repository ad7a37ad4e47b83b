"""Labels that say themselves what they mean, and the classifiers whose meaning is known.

A map that is only likely is no map: a classifier whose labels leave a doubt is refused with the labels it has.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from goodctl.errors import UsageError
from goodctl.scoring.label_map import NUMBER, SIGMOID, SOFTMAX, LabelMap, example
from goodctl.scoring.protocol import TOXICITY

# The names of the Jigsaw data sets and of those who train on them, to the attributes that Perspective has.
_ATTRIBUTES = {
    "toxic": TOXICITY,
    "toxicity": TOXICITY,
    "severe_toxic": "severe_toxicity",
    "severe_toxicity": "severe_toxicity",
    "very_toxic": "severe_toxicity",
    "identity_hate": "identity_attack",
    "identity_attack": "identity_attack",
    "insult": "insult",
    "threat": "threat",
    "obscene": "obscene",
    "profanity": "profanity",
    "sexual_explicit": "sexually_explicit",
    "sexually_explicit": "sexually_explicit",
}
_NONTOXIC = {"nontoxic", "non_toxic", "not_toxic"}
_HARMLESS = _NONTOXIC | {"neutral", "normal", "clean", "none"}

_TEXTDETOX: dict[str, tuple[str, ...]] = {TOXICITY: ("toxic", "LABEL_1")}
_TEXTDETOX_9 = ("am", "ar", "de", "en", "es", "hi", "ru", "uk", "zh", "zh-Hans", "zh-Hant")
_TEXTDETOX_15 = (*_TEXTDETOX_9, "fr", "he", "hi-Latn", "it", "ja", "tt")

# Languages of the three of unitary: README of github.com/unitaryai/detoxify ("Quick prediction", "Labels"); their
# labels are those of the README, read by name from the model's own configuration.
# Languages of the first of textdetox: its model card on the hub; of the two others: the languages of their training
# data, textdetox/multilingual_toxicity_dataset in its edition of 2025. All three are trained on two classes, of which
# the second, named "toxic" or left without a name, is the toxic one.
_PRESETS: dict[str, tuple[str, dict[str, tuple[str, ...]] | None, tuple[str, ...]]] = {
    "unitary/toxic-bert": (SIGMOID, None, ("en",)),
    "unitary/unbiased-toxic-roberta": (SIGMOID, None, ("en",)),
    "unitary/multilingual-toxic-xlm-roberta": (SIGMOID, None, ("en", "es", "fr", "it", "pt", "ru", "tr")),
    "textdetox/xlmr-large-toxicity-classifier": (SOFTMAX, _TEXTDETOX, _TEXTDETOX_9),
    "textdetox/xlmr-large-toxicity-classifier-v2": (SOFTMAX, _TEXTDETOX, _TEXTDETOX_15),
    "textdetox/twitter-xlmr-toxicity-classifier": (SOFTMAX, _TEXTDETOX, _TEXTDETOX_15),
}


def presets() -> dict[str, tuple[str, ...]]:
    """The hub ids of the classifiers that are known, with the languages that each covers."""
    return {model: languages for model, (_, _, languages) in _PRESETS.items()}


def known_map(model: str, labels: Sequence[str], problem_type: str | None) -> LabelMap:
    """The map of a classifier, from its hub id or from its labels.

    Args:
        model: Hub id or path.
        labels: Their names, in the order of the logits.
        problem_type: What transformers calls it, or None where the configuration does not say.

    Raises:
        UsageError: The labels leave a doubt; names them, and shows a label map to write.
    """
    if model not in _PRESETS:
        return evident_map(model, labels, problem_type)
    activation, candidates, languages = _PRESETS[model]
    if candidates is None:
        found = _by_name(labels)
    else:
        found = {name: tuple(each for each in wanted if each in labels) for name, wanted in candidates.items()}
    if not found.get(TOXICITY):
        raise _doubt(model, labels, "are not those that it was published with")
    return LabelMap(activation, found, languages)


def evident_map(model: str, labels: Sequence[str], problem_type: str | None) -> LabelMap:
    """The map that a classifier's labels say themselves.

    Two labels or more with a harmless one among them share one probability (softmax); several harmful ones without a
    harmless one cannot, for nothing would be left for harmless texts, so each has its own (sigmoid).

    Raises:
        UsageError: They leave a doubt.
    """
    names = [_plain(label) for label in labels]
    harmless = [name in _HARMLESS for name in names]
    if problem_type == "regression":
        if len(labels) == 1 and _ATTRIBUTES.get(names[0]) == TOXICITY:
            return LabelMap(NUMBER, {TOXICITY: tuple(labels)})
        raise _doubt(model, labels, "of a regression do not say what its numbers mean")
    shares = len(labels) > 1 and (problem_type == "single_label_classification" or any(harmless))
    if problem_type == "multi_label_classification" or not shares:
        found = _by_name(labels)
        if TOXICITY not in found:
            raise _doubt(model, labels, "name no toxicity")
        return LabelMap(SIGMOID, found)
    harmful = [name in _ATTRIBUTES for name in names]
    understood = all(one or other for one, other in zip(harmless, harmful, strict=True))
    speaks = any(name in _NONTOXIC or _ATTRIBUTES.get(name) == TOXICITY for name in names)
    if not understood or not speaks or not any(harmless) or not any(harmful):
        raise _doubt(model, labels, "do not say which of them are toxic")
    return LabelMap(SOFTMAX, {TOXICITY: tuple(label for label, good in zip(labels, harmless, strict=True) if not good)})


def _by_name(labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for label in labels:
        name = _ATTRIBUTES.get(_plain(label))
        if name is not None:
            found[name] = (*found.get(name, ()), label)
    return found


def _plain(label: str) -> str:
    return re.sub(r"[\s\-]+", "_", label.strip().lower())


def _doubt(model: str, labels: Sequence[str], what: str) -> UsageError:
    return UsageError(
        f"The labels of {model} {what}: {', '.join(labels)}.",
        hint=f"Say it: --label-map map.json, with {example(labels)} (toxicity: the labels that are toxic)",
    )
