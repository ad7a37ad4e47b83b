"""How far two scorers agree on the texts that both have scored, and the map from one to the other."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goodctl.errors import ExistsError, InputError, UsageError
from goodctl.evaluation.agreement import Agreement, agreement
from goodctl.progress import Progress, Report, silent
from goodctl.workflows.agree_fit import Fitted, fitted, write_map
from goodctl.workflows.agree_pairs import Pairs
from goodctl.workflows.scored_texts import ScoredTexts, Where, read_scored

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
    if choice.fit and one.calibrated:
        raise UsageError(
            f"--fit: the scores of {one.name} went through a calibration already.",
            hint="Score the texts again without --calibration, and fit the map to those scores.",
        )
    pairs = Pairs.of(one, other)
    if not len(pairs.a):
        raise _nothing_shared(one, other, pairs)
    function = fitted(choice.fit, pairs, choice.threshold) if choice.fit else None
    report(Progress(STAGE, 0, len(pairs.names), "languages"))
    total = agreement(pairs.a, pairs.b, choice.threshold)
    languages = {}
    for done, (name, of_it) in enumerate(pairs.by_language()):
        report(Progress(STAGE, done, len(pairs.names), "languages"))
        languages[name] = total if of_it.all() else agreement(pairs.a[of_it], pairs.b[of_it], choice.threshold)
    report(Progress(STAGE, len(pairs.names), len(pairs.names), "languages", finished=True))
    if function is not None:
        write_map(function, choice.where.attribute, one, other)
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


def _side(texts: ScoredTexts, pairs: Pairs) -> Side:
    distinct = len(texts.scores)
    return Side(texts.name, texts.scorer, texts.occurrences, distinct, texts.missing, distinct - pairs.shared)


def _nothing_shared(one: ScoredTexts, other: ScoredTexts, pairs: Pairs) -> InputError:
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
