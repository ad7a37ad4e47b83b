"""How far two scorers agree on the texts that both have scored, and the map from one to the other."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from goodctl.errors import ExistsError, InputError, UsageError
from goodctl.evaluation import linking
from goodctl.evaluation.agreement import Agreement, agreement
from goodctl.evaluation.linking import HeldOut, MonotoneMap
from goodctl.evaluation.resampling import Floats, Whole
from goodctl.progress import Progress, Report, silent
from goodctl.workflows.lines import prepare_folder, replace_text
from goodctl.workflows.scored_texts import UNKNOWN, ScoredTexts, Where, read_scored

CALIBRATION_FORMAT = "goodctl-calibration"
CALIBRATION_VERSION = 1
COMMON = "*"
"""The map of languages that have none of their own."""
STAGE = "comparing"


@dataclass(frozen=True)
class AgreeChoice:
    """What is compared.

    Attributes:
        first: A file that ``goodctl score`` has written.
        second: One of the same texts, by another scorer.
        attribute: Whose scores.
        threshold: Texts above it are toxic.
        text_field: As in ``Where``.
        language_field: As in ``Where``.
        fit: Where a map from the first scorer's scores to the second's is written, or None.
        overwrite: Whether a map may be there already.
    """

    first: str
    second: str
    attribute: str = "toxicity"
    threshold: float = 0.5
    text_field: str | None = None
    language_field: str | None = None
    fit: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 1:  # false for what is no number, too
            raise UsageError(
                f"--threshold {self.threshold:g}: it must be from 0 to below 1.", hint="Leave it out for 0.5."
            )
        for option, value in (
            ("--attribute", self.attribute),
            ("--text-field", self.text_field),
            ("--language-field", self.language_field),
        ):
            if value is not None and not value.strip():
                raise UsageError(f"{option} is empty.", hint="Give it a name, or leave it out.")

    @property
    def where(self) -> Where:
        """Where texts and scores are."""
        return Where(self.attribute.lower(), self.text_field, self.language_field)


@dataclass(frozen=True)
class Side:
    """One of the two files.

    Attributes:
        file: As given.
        scorer: Its identity, where the manifest beside the file has it.
        occurrences: Texts of all lines, repetitions included.
        texts: Distinct texts.
        missing: Of those, without a score.
        only_here: Of those, not in the other file.
    """

    file: str
    scorer: Mapping[str, Any] | None
    occurrences: int
    texts: int
    missing: int
    only_here: int

    @property
    def title(self) -> str:
        """The scorer's name, or the file's."""
        return str(self.scorer["scorer"]) if self.scorer else self.file


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
    languages: Mapping[str, HeldOut]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "file": self.file,
            "maps": {name: each.to_dict() for name, each in self.maps.items()},
            "total": self.total.to_dict(),
            "languages": {name: each.to_dict() for name, each in self.languages.items()},
        }


@dataclass(frozen=True)
class AgreeReport:
    """How two scorers agree.

    Attributes:
        first: The first file.
        second: The second.
        attribute: Whose scores.
        threshold: Texts above it are toxic.
        shared: Distinct texts of both files.
        unscored: Of those, without a score in one of the files or in both; they are in no figure.
        total: Over all texts with two scores.
        languages: Over those of each language.
        fitted: The map, where one was asked for.
        seconds: Of the whole run.
    """

    first: Side
    second: Side
    attribute: str
    threshold: float
    shared: int
    unscored: int
    total: Agreement
    languages: Mapping[str, Agreement]
    fitted: Fitted | None = None
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "first": dict(vars(self.first)),
            "second": dict(vars(self.second)),
            "attribute": self.attribute,
            "threshold": self.threshold,
            "shared": self.shared,
            "unscored": self.unscored,
            "total": self.total.to_dict(),
            "languages": {name: each.to_dict() for name, each in self.languages.items()},
            "fitted": None if self.fitted is None else self.fitted.to_dict(),
            "seconds": self.seconds,
        }


def agree(choice: AgreeChoice, report: Report = silent) -> AgreeReport:
    """Compare two scorers on the texts that both files have, each distinct text of a language once.

    Args:
        choice: Files, attribute, threshold, and whether a map is fitted.
        report: Gets progress.

    Raises:
        NotFoundError: A file is missing.
        InputError: A file cannot be read, the two have no text in common, or too few for a map.
        ExistsError: The map is there already.
        ServiceError: The disk does not take the map.
    """
    started = time.monotonic()
    _check_output(choice)
    one, other = (read_scored(path, choice.where, report) for path in (choice.first, choice.second))
    pairs = _Pairs.of(one, other)
    if not len(pairs.a):
        raise _nothing_shared(one, other, pairs)
    function = _fit(choice, pairs) if choice.fit else None
    total = agreement(pairs.a, pairs.b, choice.threshold)
    languages = {}
    for done, (name, of_it) in enumerate(pairs.by_language()):
        report(Progress(STAGE, done, len(pairs.names), "languages"))
        languages[name] = total if of_it.all() else agreement(pairs.a[of_it], pairs.b[of_it], choice.threshold)
    report(Progress(STAGE, len(pairs.names), len(pairs.names), "languages", finished=True))
    if function is not None:
        _write(choice, function, one, other)
    return AgreeReport(
        first=_side(one, pairs),
        second=_side(other, pairs),
        attribute=choice.where.attribute,
        threshold=choice.threshold,
        shared=pairs.shared,
        unscored=pairs.shared - len(pairs.a),
        total=total,
        languages=languages,
        fitted=function,
        seconds=time.monotonic() - started,
    )


@dataclass
class _Pairs:
    """Texts with two scores, in an order that does not depend on the files' order.

    Attributes:
        a: First scores (N,).
        b: Second scores (N,).
        languages: Number of each text's language in ``names`` (N,).
        folds: Of each text (N,), by its hash.
        names: Of languages, sorted.
        shared: Texts of both files, with or without scores.
    """

    a: Floats
    b: Floats
    languages: Whole
    folds: Whole
    names: list[str] = field(default_factory=list)
    shared: int = 0

    @classmethod
    def of(cls, one: ScoredTexts, other: ScoredTexts) -> _Pairs:
        keys = sorted(key for key in one.places if key in other.places)
        scored = [
            (first, second, one.names[one.languages[one.places[key]]], key[0] % linking.FOLDS)
            for key in keys
            if not math.isnan(first := one.scores[one.places[key]])
            and not math.isnan(second := other.scores[other.places[key]])
        ]
        names = sorted({name for _, _, name, _ in scored})
        number = {name: place for place, name in enumerate(names)}
        return cls(
            np.array([each[0] for each in scored], dtype=np.float64),
            np.array([each[1] for each in scored], dtype=np.float64),
            np.array([number[each[2]] for each in scored], dtype=np.int64),
            np.array([each[3] for each in scored], dtype=np.int64),
            names,
            len(keys),
        )

    def by_language(self) -> list[tuple[str, Any]]:
        """Each language with its texts (N,)."""
        return [(name, self.languages == number) for number, name in enumerate(self.names)]


def _side(texts: ScoredTexts, pairs: _Pairs) -> Side:
    distinct = len(texts.scores)
    return Side(texts.name, texts.scorer, texts.occurrences, distinct, texts.missing, distinct - pairs.shared)


def _nothing_shared(one: ScoredTexts, other: ScoredTexts, pairs: _Pairs) -> InputError:
    if pairs.shared:
        return InputError(
            f"None of the {pairs.shared:,} texts that are in {one.name} and {other.name} has a score in both.",
            hint="Run goodctl score again: it asks for what is missing.",
        )
    languages = [", ".join(sorted(each.names)[:8]) for each in (one, other)]
    return InputError(
        f"{one.name} (languages: {languages[0]}) and {other.name} (languages: {languages[1]}) have no text in common.",
        hint="Compare the same texts scored twice; they match where text and language are the same (--language-field).",
    )


def _check_output(choice: AgreeChoice) -> None:
    if choice.fit is None:
        return
    path = Path(choice.fit)
    for name in (choice.first, choice.second):
        # realpath, since the file may be closed to us, and is then refused where it is read
        if os.path.realpath(path) == os.path.realpath(name):
            raise UsageError(f"--fit {choice.fit} is one of the files to compare.", hint="Name another file.")
    if path.is_dir():
        raise UsageError(f"--fit {choice.fit} is a folder.", hint="Name a file: --fit MAP.json")
    if path.exists() and not choice.overwrite:
        raise ExistsError(
            f"{choice.fit} is there already.", hint="Add --overwrite to replace it, or name another file."
        )


def _fit(choice: AgreeChoice, pairs: _Pairs) -> Fitted:
    """Fit the maps and measure their error.

    Raises:
        InputError: There are too few texts, or their first scores are all the same.
    """
    texts = len(pairs.a)
    if texts < linking.FEWEST_TEXTS:
        raise InputError(
            f"--fit: only {texts} texts have two scores, and a map needs {linking.FEWEST_TEXTS}.",
            hint=f"Score more texts with both scorers, at least {linking.FEWEST_OF_LANGUAGE} of each language.",
        )
    own: dict[int, str] = {}
    try:
        maps = {COMMON: linking.fit(pairs.a, pairs.b)}
        for number, (name, of_it) in enumerate(pairs.by_language()):
            enough = of_it.sum() >= linking.FEWEST_OF_LANGUAGE and np.ptp(pairs.a[of_it]) > 0
            if enough and name not in {UNKNOWN, COMMON}:
                maps[name], own[number] = linking.fit(pairs.a[of_it], pairs.b[of_it]), name
        found = linking.held_out(pairs.a, pairs.b, pairs.languages, pairs.folds, own, choice.threshold)
    except ValueError as error:
        raise InputError(
            f"--fit: the scores of {choice.first} are nearly all the same.",
            hint="A map needs texts of all degrees; check the file and --attribute.",
        ) from error
    return Fitted(str(choice.fit), maps, found.pop(-1), {pairs.names[number]: each for number, each in found.items()})


def _write(choice: AgreeChoice, fitted: Fitted, one: ScoredTexts, other: ScoredTexts) -> None:
    values = {
        "format": CALIBRATION_FORMAT,
        "format_version": CALIBRATION_VERSION,
        "attribute": choice.where.attribute,
        "from": one.scorer,
        "to": other.scorer,
        "maps": {name: each.to_dict() for name, each in fitted.maps.items()},
    }
    path = Path(fitted.file)
    prepare_folder(path)
    replace_text(path, json.dumps(values, ensure_ascii=False, indent=2) + "\n")
