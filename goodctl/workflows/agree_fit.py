"""The map from one scorer's scores to another's: fitted on texts with both, measured, written as a calibration file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from goodctl.errors import InputError
from goodctl.evaluation import linking
from goodctl.evaluation.linking import HeldOut, MonotoneMap
from goodctl.scoring.calibration import FORMAT, FORMAT_VERSION
from goodctl.scoring.languages import OTHERS as COMMON
from goodctl.scoring.languages import UNKNOWN, entry_for
from goodctl.workflows.agree_pairs import Pairs
from goodctl.workflows.lines import prepare_folder, replace_text
from goodctl.workflows.scored_texts import ScoredTexts


@dataclass(frozen=True)
class LanguageError:
    """What the map does to a language's texts.

    Attributes:
        map: Which map serves them: their own, that of the language without its region, or ``*``.
        error: On texts that the map has not seen.
    """

    map: str
    error: HeldOut

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"map": self.map, **self.error.to_dict()}


@dataclass(frozen=True)
class Fitted:
    """The map that was written.

    Attributes:
        file: Where.
        maps: Language, or ``*`` for all others, to its map.
        total: Its error on texts that it has not seen.
        languages: The same for each language.
    """

    file: str
    maps: Mapping[str, MonotoneMap]
    total: HeldOut
    languages: Mapping[str, LanguageError]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "file": self.file,
            "maps": {name: each.to_dict() for name, each in self.maps.items()},
            "total": self.total.to_dict(),
            "languages": {name: each.to_dict() for name, each in self.languages.items()},
        }


def fitted(file: str, pairs: Pairs, threshold: float) -> Fitted:
    """Fit the maps and measure their error; nothing is written.

    Args:
        file: Where the map will be written.
        pairs: What it is fitted on.
        threshold: Texts above it are toxic.

    Raises:
        InputError: There are too few texts, or their first scores are all the same.
    """
    texts = len(pairs.a)
    if texts < linking.FEWEST_TEXTS:
        raise InputError(
            f"--fit: only {texts} texts have two scores, and a map needs {linking.FEWEST_TEXTS}.",
            hint=f"Score more texts with both scorers, at least {linking.FEWEST_OF_LANGUAGE} of each language.",
        )
    try:
        maps = {COMMON: linking.fit(pairs.a, pairs.b)}
        for name, of_it in pairs.by_language():
            enough = of_it.sum() >= linking.FEWEST_OF_LANGUAGE and np.ptp(pairs.a[of_it]) > 0
            if enough and name not in {UNKNOWN, COMMON}:
                maps[name] = linking.fit(pairs.a[of_it], pairs.b[of_it])
        served = {number: _served_by(name, maps, pairs.names) for number, name in enumerate(pairs.names)}
        found = linking.held_out(pairs.a, pairs.b, pairs.languages, pairs.folds, served, threshold)
    except ValueError as error:
        raise InputError(
            "--fit: the scores of the first file are nearly all the same.",
            hint="A map needs texts of all degrees; check the file and --attribute.",
        ) from error
    languages = {name: LanguageError(entry_for(name, maps) or COMMON, found[at]) for at, name in enumerate(pairs.names)}
    return Fitted(file, maps, found[linking.WHOLE], languages)


def _served_by(language: str, maps: Mapping[str, MonotoneMap], names: list[str]) -> int | None:
    """Number of the language whose map serves a language when scores are calibrated; None for the common one."""
    entry = entry_for(language, maps) or COMMON
    return None if entry == COMMON else names.index(entry)


def write_map(fitted: Fitted, attribute: str, one: ScoredTexts, other: ScoredTexts) -> None:
    """Write the calibration file.

    Raises:
        ServiceError: The disk does not take it.
    """
    values = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "attribute": attribute,
        "from": one.scorer,
        "to": other.scorer,
        "maps": {name: each.to_dict() for name, each in fitted.maps.items()},
    }
    path = Path(fitted.file)
    prepare_folder(path)
    replace_text(path, json.dumps(values, ensure_ascii=False, allow_nan=False, indent=2) + "\n")
