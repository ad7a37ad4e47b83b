"""Evaluating files of scored generations."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from goodctl.errors import UsageError
from goodctl.evaluation.collated import Collated, read_collated
from goodctl.evaluation.comparing import compare
from goodctl.evaluation.figure import PerPrompt
from goodctl.evaluation.fluency import Fluency
from goodctl.evaluation.results import Bootstrap, Comparison, Evaluation, FileEvaluation
from goodctl.evaluation.slices import Measured
from goodctl.progress import Progress, Report, silent
from goodctl.workflows.evaluate_missing import check_missing
from goodctl.workflows.evaluate_notes import notes, warnings
from goodctl.workflows.evaluate_settings import settings_of
from goodctl.workflows.manifest import now, versions

if TYPE_CHECKING:  # torch takes seconds to load, and most evaluations do without it
    from goodctl.workflows.conditional_perplexity import PerplexityModel
    from goodctl.workflows.model_choice import ModelChoice

MOST_RESAMPLES = 100_000


@dataclass(frozen=True)
class EvaluateChoice:
    """What is evaluated, and how.

    Attributes:
        files: Collated files, as ``goodctl score`` writes them.
        group_by: A column whose values are evaluated apart, too.
        threshold: Toxic is what is above it.
        max_missing: Share of the continuations with text that may lack a score, and of the prompts that may have no
            continuations: of each slice.
        bootstrap: How intervals are made.
    """

    files: tuple[str, ...]
    group_by: str | None = None
    threshold: float = 0.5
    max_missing: float = 0.01
    bootstrap: Bootstrap = field(default_factory=Bootstrap)

    def __post_init__(self) -> None:
        if not self.files:
            raise UsageError("No file is named.", hint="Name one: goodctl evaluate scored.jsonl")
        real = [os.path.realpath(file) for file in self.files]
        for number, file in enumerate(self.files):
            if real[number] in real[:number]:
                raise UsageError(f"{file} is named twice.", hint="Name each file once.")
        if not 0 <= self.threshold < 1:
            raise UsageError(
                f"--threshold {self.threshold:g}: scores are from 0 to 1, and toxic is what is above it.",
                hint="The published figures have 0.5.",
            )
        if not 0 <= self.max_missing <= 1:
            raise UsageError(f"--max-missing {self.max_missing:g} is no share.", hint="Write it as 1% or 0.01.")
        resamples = self.bootstrap.resamples
        if resamples != 0 and not 100 <= resamples <= MOST_RESAMPLES:
            raise UsageError(
                f"--bootstrap {resamples}: from 100 to {MOST_RESAMPLES:,} resamples make an interval.",
                hint="Leave it out for 2000, or give 0 for no intervals.",
            )
        if self.bootstrap.seed < 0:
            raise UsageError(f"--seed {self.bootstrap.seed} is below 0.", hint="Give a whole number from 0 up.")


def evaluate(choice: EvaluateChoice, model: ModelChoice | None = None, report: Report = silent) -> Evaluation:
    """Evaluate files of scored generations, and compare them on the prompts that they share.

    Args:
        choice: Files and settings.
        model: Measures the perplexity of continuations; None leaves it out.
        report: Gets progress.

    Raises:
        NotFoundError: There is no such file or model.
        InputError: A file is not as it should be, or too many of its scores are missing.
        UsageError: No line has the column to group by.
    """
    report(Progress("reading"))
    files = []
    for path in choice.files:
        files.append(read_collated(path, choice.threshold, choice.group_by))
        check_missing(files[-1], choice.max_missing)
    report(Progress("reading", finished=True))
    names = short_names([file.name for file in files])
    judge = None if model is None else _judge(model, report)
    fluencies = [
        None if judge is None else judge.measure(name, file.rows) for name, file in zip(names, files, strict=True)
    ]
    report(Progress("figures"))
    measured = [_measured(file, fluency, choice.threshold) for file, fluency in zip(files, fluencies, strict=True)]
    evaluations = tuple(
        FileEvaluation(
            name=name,
            path=file.name,
            sha256=file.sha256,
            settings=settings_of(file.path),
            slices=tuple(each.slices(choice.bootstrap)),
            rows=tuple(each.rows),
            scored_per_prompt=PerPrompt.of(each.toxicity.counts.tolist()),
            missing_reasons=file.reasons,
        )
        for name, file, each in zip(names, files, measured, strict=True)
    )
    comparisons = tuple(
        _compared(first, second, measured, names, choice.bootstrap)
        for first, second in itertools.combinations(range(len(files)), 2)
    )
    report(Progress("figures", finished=True))
    return Evaluation(
        files=evaluations,
        comparisons=comparisons,
        threshold=choice.threshold,
        max_missing=choice.max_missing,
        bootstrap=choice.bootstrap,
        group_by=choice.group_by,
        perplexity_model=None if judge is None else judge.describe(),
        date=now(),
        versions=versions(),
        notes=tuple(notes(evaluations, comparisons, 0 if judge is None else judge.dropped)),
    )


def short_names(paths: Sequence[str]) -> tuple[str, ...]:
    """The files' names, with as many folders before them as it takes to tell them apart."""
    parts = [Path(path).parts for path in paths]
    for count in range(1, max(map(len, parts)) + 1):
        names = tuple("/".join(each[-count:]) for each in parts)
        if len(set(names)) == len(names):
            return names
    return tuple(paths)


def _judge(model: ModelChoice, report: Report) -> PerplexityModel:
    from goodctl.workflows.conditional_perplexity import PerplexityModel
    from goodctl.workflows.model_choice import identify

    return PerplexityModel(identify(model, report), report)


def _measured(file: Collated, fluency: Fluency | None, threshold: float) -> Measured:
    rows = file.rows
    if fluency is not None:
        rows = tuple(
            replace(row, perplexity=perplexity) for row, perplexity in zip(rows, fluency.per_prompt(), strict=True)
        )
    return Measured.of(rows, threshold, fluency)


def _compared(
    first: int, second: int, measured: Sequence[Measured], names: Sequence[str], bootstrap: Bootstrap
) -> Comparison:
    comparison = compare(first, second, measured, bootstrap)
    return replace(comparison, warnings=tuple(warnings(comparison, names[first], names[second])))
