"""A classifier's logits become attributes from 0 to 1."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from goodctl.errors import InputError, NotFoundError
from goodctl.scoring.known_classifiers import ACTIVATIONS, NUMBER, SIGMOID, SOFTMAX

OVERSHOOT = 0.1
"""How far beyond its range a regression's number may lie, as a share of the range; it is then cut to the range."""

MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class LabelMap:
    """What a classifier's labels mean.

    Attributes:
        activation: ``sigmoid``: each label has a probability of its own; an attribute of several labels takes the
            largest. ``softmax``: the labels share one probability; an attribute takes the sum of its labels.
            ``none``: the number itself, as a regression gives it; an attribute takes the largest.
        attributes: Attribute, in lower case, to the labels that speak for it.
        languages: Tags of the languages that the classifier was made for; None scores all.
        range: The numbers that mean 0 and 1, for ``none``.
    """

    activation: str
    attributes: Mapping[str, tuple[str, ...]]
    languages: tuple[str, ...] | None = None
    range: tuple[float, float] = (0.0, 1.0)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, in the form of a label map's file."""
        found: dict[str, Any] = {
            "activation": self.activation,
            "attributes": {name: list(labels) for name, labels in self.attributes.items()},
        }
        if self.languages is not None:
            found["languages"] = list(self.languages)
        if self.activation == NUMBER:
            found["range"] = list(self.range)
        return found

    def scores(self, logits: npt.ArrayLike, labels: Sequence[str]) -> dict[str, npt.NDArray[np.float64]]:
        """The attributes of some texts.

        Args:
            logits: Of the texts (N, labels).
            labels: Names of the columns.

        Returns:
            Attribute to N numbers from 0 to 1; NaN where there is none, be it that a logit is no number or that a
            regression left its range by more than ``OVERSHOOT``.
        """
        values = np.asarray(logits, dtype=np.float64)  # (N, labels)
        if self.activation == SIGMOID:
            values = expit(values)
        elif self.activation == SOFTMAX:
            values = softmax(values, axis=1)
        else:
            low, high = self.range
            values = (values - low) / (high - low)
            values = np.where((values < -OVERSHOOT) | (values > 1 + OVERSHOOT), np.nan, values)
        place = {label: column for column, label in enumerate(labels)}
        merge = np.sum if self.activation == SOFTMAX else np.max
        return {
            name: np.clip(merge(values[:, [place[label] for label in wanted]], axis=1), 0.0, 1.0)
            for name, wanted in self.attributes.items()
        }


def read_label_map(file: str, labels: Sequence[str]) -> LabelMap:
    """Read and check a label map's file.

    Args:
        file: Its path.
        labels: Those that the classifier has.

    Raises:
        NotFoundError: There is no such file.
        InputError: It is no label map, or names labels that the classifier lacks.
    """
    path, hint = Path(file), f"Write it like this: {example(labels)}"
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{file} is too large for a label map.", hint=hint)
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no file {file}.", hint="Check --label-map.") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.", hint="Check --label-map.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is not JSON: {error}.", hint=hint) from error
    try:
        return _checked(stored, labels)
    except ValueError as error:
        raise InputError(f"{file}: {error}", hint=hint) from error


def example(labels: Sequence[str]) -> str:
    """A label map to be filled in, with the last of the labels as the toxic one."""
    activation = SOFTMAX if len(labels) > 1 else SIGMOID
    return json.dumps({"activation": activation, "attributes": {"toxicity": [labels[-1]]}}, ensure_ascii=False)


def _checked(stored: Any, labels: Sequence[str]) -> LabelMap:
    if not isinstance(stored, dict):
        raise ValueError("a label map is an object.")
    if unknown := sorted(stored.keys() - {"activation", "attributes", "languages", "range"}):
        raise ValueError(f"a label map has no member {unknown[0]!r}.")
    if stored.get("activation") not in ACTIVATIONS:
        raise ValueError(f"'activation' is {stored.get('activation')!r}; it is one of {', '.join(ACTIVATIONS)}.")
    attributes = stored.get("attributes")
    if not isinstance(attributes, dict) or not attributes:
        raise ValueError("'attributes' is an object of attributes and their labels.")
    found: dict[str, tuple[str, ...]] = {}
    for name, wanted in attributes.items():
        if not isinstance(wanted, list) or not wanted or not all(isinstance(label, str) for label in wanted):
            raise ValueError(f"the labels of {name!r} are a list of strings.")
        if lacking := [label for label in wanted if label not in labels]:
            raise ValueError(f"the classifier has no label {lacking[0]!r}; it has {', '.join(labels)}.")
        found[name.lower()] = tuple(dict.fromkeys(wanted))
    return LabelMap(stored["activation"], found, _languages(stored), _range(stored))


def _languages(stored: dict[str, Any]) -> tuple[str, ...] | None:
    languages = stored.get("languages")
    if languages is None:
        return None
    if not isinstance(languages, list) or not languages or not all(isinstance(each, str) for each in languages):
        raise ValueError('\'languages\' is a list of language tags, such as ["en", "pt"].')
    return tuple(languages)


def _range(stored: dict[str, Any]) -> tuple[float, float]:
    given = stored.get("range", [0.0, 1.0])
    numbers = isinstance(given, list) and all(type(each) in {int, float} for each in given)
    if not numbers or len(given) != 2 or not np.isfinite(given).all() or given[0] == given[1]:
        raise ValueError("'range' is two different numbers: the one that means 0 and the one that means 1.")
    if "range" in stored and stored["activation"] != NUMBER:
        raise ValueError(f"'range' belongs to the activation {NUMBER!r}.")
    return (float(given[0]), float(given[1]))
