"""What an evaluation finds, as values that tables, JSON, CSV files and the report page are made of.

Every number is finite or None, so that it can be written as JSON: None means that there is nothing to compute it from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from goodctl.evaluation.figure import NO_SCORES, GroupFigures, PairedFigures, PerPrompt, plain

FORMAT = "goodctl-evaluation"
FORMAT_VERSION = 1
TOXIC = "toxic"
NONTOXIC = "nontoxic"
ALL = "all"
SUBSETS = (TOXIC, NONTOXIC, ALL)
"""Of prompts, in the order in which they are shown."""
UNKNOWN = "unknown"
"""In place of toxic and nontoxic where the file does not say how toxic a prompt is; it counts in ``all`` alone."""


@dataclass(frozen=True)
class PromptRow:
    """One prompt of a file with its continuations: for distributions, and for reading.

    Attributes:
        line: Where it stands in the file, 1-based.
        prompt: Its text.
        subset: ``toxic``, ``nontoxic`` or ``unknown``.
        group: The value of the column that was grouped by; None where none was.
        texts: Its continuations.
        scores: Their toxicity, None where it is missing; as many as texts.
        maximum: The highest score; None without any.
        mean: The mean score; None without any.
        perplexity: Mean perplexity of its continuations that have tokens; None where not asked for, or infinite.
        lacking: Why scores are missing: a reason for each continuation that has text, and no score.
        error: Why it has no continuations, where the file says it.
        toxicity: Of the prompt; None where it is unknown.
        language: Of the line, ``language`` or else ``lang``, as a group would be named; None where it has neither.
    """

    line: int
    prompt: str
    subset: str
    group: str | None
    texts: tuple[str, ...]
    scores: tuple[float | None, ...]
    maximum: float | None
    mean: float | None
    perplexity: float | None = None
    lacking: tuple[str, ...] = ()
    error: str | None = None
    toxicity: float | None = None
    language: str | None = None

    @property
    def empty(self) -> int:
        """Continuations that have no score since they have no text."""
        return self.scores.count(None) - len(self.lacking)


@dataclass(frozen=True)
class FileEvaluation:
    """What one file gives.

    Attributes:
        name: A short name that no other file of the evaluation has; the path where short names would be the same.
        path: The file, as it was given.
        sha256: Of its bytes.
        settings: What is known of how the file came to be: of its scoring (``scorer``, ...) and its generation
            (``model``, ``method``, ``sampling``, ...), from the manifests beside it; empty where there are none.
        slices: The figures: toxic, nontoxic, all of everything, then the same of each group in the groups' order.
        rows: The prompts, in the file's order.
        missing_reasons: Reason to the number of continuations without a score, ``empty`` included.
        scored_per_prompt: Numbers of scored continuations; they should be one and the same.
    """

    name: str
    path: str
    sha256: str
    settings: Mapping[str, Any]
    slices: tuple[GroupFigures, ...]
    rows: tuple[PromptRow, ...] = field(repr=False)
    missing_reasons: Mapping[str, int] = field(default_factory=dict)
    scored_per_prompt: PerPrompt = NO_SCORES

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups, in order; none where nothing was grouped by."""
        return tuple(dict.fromkeys(each.group for each in self.slices if each.group is not None))

    def slice(self, subset: str = ALL, group: str | None = None) -> GroupFigures | None:
        """The figures of a slice, or None where the file has no such group."""
        return next((each for each in self.slices if (each.subset, each.group) == (subset, group)), None)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, without the rows."""
        return {
            "name": self.name,
            "path": self.path,
            "sha256": self.sha256,
            "settings": dict(self.settings),
            "scored_per_prompt": self.scored_per_prompt.to_dict(),
            "missing_reasons": dict(self.missing_reasons),
            "slices": [each.to_dict() for each in self.slices],
        }


@dataclass(frozen=True)
class ChangedPrompt:
    """A prompt with other toxicity in two files.

    Attributes:
        first_row: Its place among the first file's rows.
        second_row: Its place among the second file's rows.
        difference: Of the maximum toxicity, second less first.
    """

    first_row: int
    second_row: int
    difference: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return dict(vars(self))


@dataclass(frozen=True)
class Comparison:
    """Two files on the prompts that both have.

    Attributes:
        first: Place of the first file among the evaluation's files.
        second: Place of the second.
        shared: Prompts that both have.
        repeated: Those of them that stand several times in a file, with nothing but the order of their continuations'
            texts to tell which belong together.
        only_first: Prompts of the first alone.
        only_second: Prompts of the second alone.
        slices: The differences, in the order of the first file's slices.
        changed: The prompts whose maximum toxicity differs most, the largest difference in size first.
        warnings: Sentences without which the differences mislead.
    """

    first: int
    second: int
    shared: int
    only_first: int
    only_second: int
    slices: tuple[PairedFigures, ...]
    changed: tuple[ChangedPrompt, ...] = ()
    repeated: int = 0
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return plain(self)


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made.

    Attributes:
        resamples: How often the prompts are drawn anew; 0 makes no intervals.
        seed: Of the drawing.
        level: What share of the resampled figures an interval holds.
    """

    resamples: int = 2000
    seed: int = 0
    level: float = 0.95

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return dict(vars(self))


@dataclass(frozen=True)
class Evaluation:
    """A whole evaluation.

    Attributes:
        files: At least one, in the order in which they were named.
        comparisons: Every file with every later one.
        threshold: Toxic is what is above it.
        max_missing: The share of missing scores that was allowed.
        bootstrap: How intervals were made.
        group_by: The column that was grouped by, or None.
        perplexity_model: What perplexity was measured with (``name``, ``revision``, ``fingerprint``, ``device``,
            ``precision``), or None.
        date: ISO 8601, UTC.
        versions: Of goodctl and what computes.
        notes: Sentences that whoever reads the figures should know.
    """

    files: tuple[FileEvaluation, ...]
    comparisons: tuple[Comparison, ...]
    threshold: float
    max_missing: float
    bootstrap: Bootstrap
    group_by: str | None = None
    perplexity_model: Mapping[str, Any] | None = None
    date: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON values with stable names, without the files' rows."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "date": self.date,
            "threshold": self.threshold,
            "max_missing": self.max_missing,
            "bootstrap": self.bootstrap.to_dict(),
            "group_by": self.group_by,
            "perplexity_model": None if self.perplexity_model is None else dict(self.perplexity_model),
            "files": [each.to_dict() for each in self.files],
            "comparisons": [each.to_dict() for each in self.comparisons],
            "notes": list(self.notes),
            "versions": dict(self.versions),
        }
