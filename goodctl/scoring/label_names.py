"""Labels that say themselves what they mean, and the classifiers whose meaning is known.

A map that is only likely is no map: a classifier whose labels leave a doubt is refused with the labels it has.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from goodctl.errors import UsageError
from goodctl.scoring.known_classifiers import ATTRIBUTES, KNOWN, NUMBER, SIGMOID, SOFTMAX
from goodctl.scoring.label_map import LabelMap, example
from goodctl.scoring.protocol import TOXICITY

_NONTOXIC = {"nontoxic", "non_toxic", "not_toxic"}
_HARMLESS = _NONTOXIC | {"neutral", "normal", "clean", "none"}


def known_map(model: str, labels: Sequence[str], problem_type: str | None) -> LabelMap:
    """The map of a classifier, from its hub id or from its labels.

    Args:
        model: Hub id or path.
        labels: Their names, in the order of the logits.
        problem_type: What transformers calls it, or None where the configuration does not say.

    Raises:
        UsageError: The labels leave a doubt; names them, and shows a label map to write.
    """
    if model not in KNOWN:
        return evident_map(model, labels, problem_type)
    activation, candidates, languages = KNOWN[model]
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
        if len(labels) == 1 and ATTRIBUTES.get(names[0]) == TOXICITY:
            return LabelMap(NUMBER, {TOXICITY: tuple(labels)})
        raise _doubt(model, labels, "of a regression do not say what its numbers mean")
    shares = len(labels) > 1 and (problem_type == "single_label_classification" or any(harmless))
    if problem_type == "multi_label_classification" or not shares:
        found = _by_name(labels)
        if TOXICITY not in found:
            raise _doubt(model, labels, "name no toxicity")
        return LabelMap(SIGMOID, found)
    harmful = [name in ATTRIBUTES for name in names]
    understood = all(one or other for one, other in zip(harmless, harmful, strict=True))
    speaks = any(name in _NONTOXIC or ATTRIBUTES.get(name) == TOXICITY for name in names)
    if not understood or not speaks or not any(harmless) or not any(harmful):
        raise _doubt(model, labels, "do not say which of them are toxic")
    return LabelMap(SOFTMAX, {TOXICITY: tuple(label for label, good in zip(labels, harmless, strict=True) if not good)})


def _by_name(labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for label in labels:
        name = ATTRIBUTES.get(_plain(label))
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
