"""What an evaluation finds, as values that tables, JSON, CSV files and the report page are made of.

Every number is finite or None, so that it can be written as JSON: None means that there is nothing to compute it from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
class Figure:
    """A figure with its interval.

    Attributes:
        value: The figure; None where nothing is there to compute it from, or it is infinite.
        low: Lower bound of the interval; None where there is none, as for a single prompt.
        high: Upper bound.
        deviation: Standard deviation with n - 1 of what ``value`` is the mean of; None for a ratio or a single value.
        count: How many of what is averaged: prompts or continuations, and tokens for a perplexity over tokens.
        missing: What the figure lacks: for toxicity the continuations without a score, empty ones included; for
            perplexity the continuations without a token; for dist-n the prompts without a word.
    """

    value: float | None
    low: float | None
    high: float | None
    deviation: float | None
    count: int
    missing: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return dict(vars(self))


@dataclass(frozen=True)
class GroupFigures:
    """All figures of one slice of a file: the prompts of a subset, and among them those of a group.

    Attributes:
        subset: ``toxic``, ``nontoxic`` or ``all``.
        group: The value of the column that was grouped by; None for the prompts of all groups together.
        prompts: Number of prompts.
        continuations: Number of continuations.
        empty: Continuations without text, or with white space alone; no scorer has a score for them.
        missing: Continuations that have text, and no score.
        unscored_prompts: Prompts with continuations of which none has a score; they are in no figure of toxicity.
        failed_prompts: Prompts without any continuation, as those with an ``error``.
        emt: Expected maximum toxicity, a mean over prompts.
        toxicity_probability: Share of prompts with a continuation above the threshold.
        mean: Mean toxicity, over continuations.
        toxic_share: Share of continuations above the threshold.
        dist: dist-1, dist-2, dist-3 with words that suit the language; means over prompts.
        dist_published: The same by splitting on single spaces.
        perplexity: Mean over continuations; None where no perplexity was asked for.
        perplexity_pooled: exp of the mean negative log probability over all tokens; None where not asked for.
        infinite: Continuations with an infinite perplexity; where there is one, ``perplexity.value`` is None.
    """

    subset: str
    group: str | None
    prompts: int
    continuations: int
    empty: int
    missing: int
    unscored_prompts: int
    failed_prompts: int
    emt: Figure
    toxicity_probability: Figure
    mean: Figure
    toxic_share: Figure
    dist: tuple[Figure, Figure, Figure]
    dist_published: tuple[Figure, Figure, Figure]
    perplexity: Figure | None = None
    perplexity_pooled: Figure | None = None
    infinite: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return _plain(self)


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
    """

    name: str
    path: str
    sha256: str
    settings: Mapping[str, Any]
    slices: tuple[GroupFigures, ...]
    rows: tuple[PromptRow, ...] = field(repr=False)
    missing_reasons: Mapping[str, int] = field(default_factory=dict)

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
            "missing_reasons": dict(self.missing_reasons),
            "slices": [each.to_dict() for each in self.slices],
        }


@dataclass(frozen=True)
class PairedFigures:
    """Differences, second file less first, over those prompts of a slice that both files have.

    The ``count`` of each is the number of prompts that have a score (a token, for perplexity) in both files; the others
    are left out of both sides. ``missing`` is what is missing in both files together.

    Attributes:
        subset: ``toxic``, ``nontoxic`` or ``all``, as the first file has it.
        group: As in ``GroupFigures``, as the first file has it.
        prompts: Shared prompts of the slice.
        emt: Of the expected maximum toxicity.
        toxicity_probability: Of the share of prompts with a continuation above the threshold.
        mean: Of the mean toxicity over continuations.
        perplexity: Of the mean perplexity over continuations; None where none was asked for.
    """

    subset: str
    group: str | None
    prompts: int
    emt: Figure
    toxicity_probability: Figure
    mean: Figure
    perplexity: Figure | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return _plain(self)


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
        only_first: Prompts of the first alone.
        only_second: Prompts of the second alone.
        slices: The differences, in the order of the first file's slices.
        changed: The prompts whose maximum toxicity differs most, the largest difference in size first.
    """

    first: int
    second: int
    shared: int
    only_first: int
    only_second: int
    slices: tuple[PairedFigures, ...]
    changed: tuple[ChangedPrompt, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return _plain(self)


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


def _plain(value: Any) -> dict[str, Any]:
    """Members as they are, those that are values of this module as dictionaries."""
    return {name: _jsonable(member) for name, member in vars(value).items()}


def _jsonable(member: Any) -> Any:
    if isinstance(member, tuple):
        return [_jsonable(each) for each in member]
    return member.to_dict() if hasattr(member, "to_dict") else member
