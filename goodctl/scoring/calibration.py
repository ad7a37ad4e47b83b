"""Calibration: a monotone map from one scorer's scores to another's.

The file is JSON, ``docs/reference/scoring.md`` describes it. Reading checks everything, so that what is read can be
applied.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from goodctl.errors import DamagedError, InputError, NotFoundError
from goodctl.scoring.identity import differences, from_dict
from goodctl.scoring.languages import OTHERS, entry_for
from goodctl.scoring.protocol import TOXICITY, Identity

FORMAT = "goodctl-calibration"
FORMAT_VERSION = 1
MOST_BYTES = 64 * 2**20
MOST_POINTS = 100_000


@dataclass(frozen=True)
class CalibrationMap:
    """A nondecreasing map, linear between its points and constant outside of them.

    Attributes:
        x: Scores of the one scorer, rising, from 0 to 1.
        y: What they become, nondecreasing, from 0 to 1.
        texts: How many texts it was fitted to.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    texts: int

    def __post_init__(self) -> None:
        if not 1 <= len(self.x) <= MOST_POINTS or len(self.x) != len(self.y):
            raise ValueError(f"{len(self.x):,} values of x and {len(self.y):,} of y, from 1 to {MOST_POINTS:,} wanted")
        for name, values in (("x", self.x), ("y", self.y)):
            for number, value in enumerate(values):
                if not 0 <= value <= 1:  # not a number is neither
                    raise ValueError(f"{name}[{number}] is {value}, not from 0 to 1")
        for number, (one, next_one) in enumerate(itertools.pairwise(self.x), start=1):
            if next_one <= one:
                raise ValueError(f"x[{number}] is {next_one}, not above the {one} before it")
        for number, (one, next_one) in enumerate(itertools.pairwise(self.y), start=1):
            if next_one < one:
                raise ValueError(f"y[{number}] is {next_one}, below the {one} before it: not monotone")
        if self.texts < 0:
            raise ValueError(f"texts is {self.texts}")

    def __call__(self, value: float) -> float:
        """The calibrated score of a score."""
        right = bisect_right(self.x, value)
        if right == 0:
            return self.y[0]
        if right == len(self.x):
            return self.y[-1]
        low, high = self.y[right - 1], self.y[right]
        share = (value - self.x[right - 1]) / (self.x[right] - self.x[right - 1])
        return min(max(low + share * (high - low), low), high)  # rounding must not leave the interval

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"x": list(self.x), "y": list(self.y), "texts": self.texts}


@dataclass(frozen=True)
class Calibration:
    """Maps of one attribute, by language.

    Attributes:
        attribute: Whose scores are mapped.
        source: The scorer whose scores go in (``from`` in the file), or None where nobody knows.
        target: The scorer whose scores they are to resemble (``to``), or None.
        maps: Language to its map; ``*`` serves all others and is always there.
        sha256: Of the file that it was read from, or an empty string.
    """

    attribute: str
    source: Identity | None
    target: Identity | None
    maps: Mapping[str, CalibrationMap]
    sha256: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if OTHERS not in self.maps:
            raise ValueError(f"maps has no {OTHERS!r}, which serves the languages without a map of their own")

    @property
    def uncalibrated(self) -> str:
        """The name under which the scorer's own score stays beside the calibrated one."""
        return f"{self.attribute}_uncalibrated"

    def applied(self, scores: Mapping[str, float], language: str | None) -> dict[str, float]:
        """Scores with the attribute's calibrated, and the one of the scorer beside it; others are what they were."""
        if self.attribute not in scores:
            return dict(scores)
        entry = entry_for(language, self.maps) or OTHERS
        value = scores[self.attribute]
        return {**scores, self.attribute: self.maps[entry](value), self.uncalibrated: value}

    def misfit(self, scorer: Identity) -> str | None:
        """What to tell a user whose scorer is not the one that the maps are for; None where it is."""
        if self.source is None:
            return "note: the calibration does not say which scorer it is for"
        found = differences(self.source, scorer)
        return f"warning: the calibration is for another scorer: {'; '.join(found)}" if found else None

    def to_dict(self) -> dict[str, Any]:
        """The file's content."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "attribute": self.attribute,
            "from": None if self.source is None else self.source.to_dict(),
            "to": None if self.target is None else self.target.to_dict(),
            "maps": {language: each.to_dict() for language, each in self.maps.items()},
        }


def read_calibration(path: str | Path) -> Calibration:
    """Reads and checks a calibration file.

    Raises:
        NotFoundError: There is no such file.
        InputError: It is no calibration, or one of a later version of goodctl.
        DamagedError: It is damaged, or a map is not monotone; the message names the place.
    """
    file, again = Path(path), "Write it anew: goodctl agree FILE_A FILE_B --fit FILE"
    try:
        if file.stat().st_size > MOST_BYTES:
            raise InputError(f"{path}: larger than {MOST_BYTES:,} bytes, so no calibration.", hint="Check the name.")
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"{path}: no such file", hint=again) from error
    except OSError as error:
        raise InputError(f"{path}: the file cannot be read: {error.strerror}", hint="Check the name.") from error
    try:
        stored = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{path}: broken JSON: {error}", hint=again) from error
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        raise InputError(f"{path}: no calibration of goodctl", hint=again)
    if stored.get("format_version") != FORMAT_VERSION:
        raise InputError(f"{path}: of another version of goodctl", hint=again)
    try:
        return _calibration(stored, hashlib.sha256(content).hexdigest())
    except (ValueError, OverflowError) as error:  # an integer of hundreds of digits is no float
        raise DamagedError(f"{path}: {error}", hint=again) from error


def _calibration(stored: Mapping[str, Any], sha256: str) -> Calibration:
    attribute, maps = stored.get("attribute", TOXICITY), stored.get("maps")
    if not isinstance(attribute, str) or not attribute:
        raise ValueError("attribute is no name")
    if not isinstance(maps, dict):
        raise ValueError("maps is no object of languages")
    scorers = [None if stored.get(name) is None else from_dict(stored[name]) for name in ("from", "to")]
    read = {language: _map(f"maps[{language!r}]", each) for language, each in maps.items()}
    return Calibration(attribute, scorers[0], scorers[1], read, sha256)


def _map(place: str, stored: object) -> CalibrationMap:
    if not isinstance(stored, dict):
        raise ValueError(f"{place} is no object")
    values: dict[str, tuple[float, ...]] = {}
    for name in ("x", "y"):
        found = stored.get(name)
        if not isinstance(found, list):
            raise ValueError(f"{place}.{name} is no list")
        for number, value in enumerate(found):
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"{place}.{name}[{number}] is {value!r}, no number")
        values[name] = tuple(map(float, found))
    texts = stored.get("texts", 0)
    if type(texts) is not int:
        raise ValueError(f"{place}.texts is {texts!r}, no whole number")
    try:
        return CalibrationMap(values["x"], values["y"], texts)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
