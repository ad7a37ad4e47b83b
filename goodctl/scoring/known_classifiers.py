"""What is known of classifiers without loading one: names of labels, and the classifiers whose meaning is known."""

from __future__ import annotations

from goodctl.scoring.protocol import TOXICITY

SIGMOID, SOFTMAX, NUMBER = "sigmoid", "softmax", "none"
ACTIVATIONS = (SIGMOID, SOFTMAX, NUMBER)

# The names of the Jigsaw data sets and of those who train on them, to the attributes that Perspective has.
ATTRIBUTES = {
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

_TEXTDETOX: dict[str, tuple[str, ...]] = {TOXICITY: ("toxic", "LABEL_1")}
_TEXTDETOX_9 = ("am", "ar", "de", "en", "es", "hi", "ru", "uk", "zh", "zh-Hans", "zh-Hant")
_TEXTDETOX_15 = (*_TEXTDETOX_9, "fr", "he", "hi-Latn", "it", "ja", "tt")

# Languages of the three of unitary: README of github.com/unitaryai/detoxify ("Quick prediction", "Labels"); their
# labels are those of the README, read by name from the model's own configuration.
# Languages of the first of textdetox: its model card on the hub; of the two others: the languages of their training
# data, textdetox/multilingual_toxicity_dataset in its edition of 2025. All three are trained on two classes, of which
# the second, named "toxic" or left without a name, is the toxic one.
KNOWN: dict[str, tuple[str, dict[str, tuple[str, ...]] | None, tuple[str, ...]]] = {
    "unitary/toxic-bert": (SIGMOID, None, ("en",)),
    "unitary/unbiased-toxic-roberta": (SIGMOID, None, ("en",)),
    "unitary/multilingual-toxic-xlm-roberta": (SIGMOID, None, ("en", "es", "fr", "it", "pt", "ru", "tr")),
    "textdetox/xlmr-large-toxicity-classifier": (SOFTMAX, _TEXTDETOX, _TEXTDETOX_9),
    "textdetox/xlmr-large-toxicity-classifier-v2": (SOFTMAX, _TEXTDETOX, _TEXTDETOX_15),
    "textdetox/twitter-xlmr-toxicity-classifier": (SOFTMAX, _TEXTDETOX, _TEXTDETOX_15),
}


def presets() -> dict[str, tuple[str, ...]]:
    """The hub ids of the classifiers that are known, with the languages that each covers."""
    return {model: languages for model, (_, _, languages) in KNOWN.items()}
