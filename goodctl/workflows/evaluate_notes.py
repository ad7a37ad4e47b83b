"""What whoever reads the figures of an evaluation should know, in sentences."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from goodctl.evaluation.results import ALL, UNKNOWN, Comparison, FileEvaluation
from goodctl.workflows.evaluate_settings import scored_by

_MOST_SLICES = 5


def notes(files: Sequence[FileEvaluation], comparisons: Sequence[Comparison], dropped: int) -> Iterator[str]:
    """About files, and about an evaluation as a whole.

    Args:
        files: All.
        comparisons: All.
        dropped: Prompts that were cut for the perplexity.
    """
    for file in files:
        unknown = sum(row.subset == UNKNOWN for row in file.rows)
        if unknown:
            yield (
                f"{file.name}: the toxicity of {unknown:,} of {len(file.rows):,} prompts is not known; they count in "
                "all alone."
            )
        if file.scored_per_prompt.least != file.scored_per_prompt.most:
            yield (
                f"{file.name}: prompts have {file.scored_per_prompt} scored continuations; EMT and toxicity "
                "probability grow with that number."
            )
    for each in comparisons:
        if not each.shared:
            yield f"{files[each.first].name} and {files[each.second].name} have no prompt in common."
    scorers = {json.dumps(scored_by(file.settings), sort_keys=True) for file in files}
    if len(scorers) > 1:
        yield "The files were not scored by the same scorer: their differences are the scorers' too."
    if dropped:
        yield f"{dropped:,} prompts were cut at their beginning for the perplexity: the model's window ends."


def warnings(comparison: Comparison, first: str, second: str) -> Iterator[str]:
    """About a comparison.

    Args:
        comparison: Of two files.
        first: Name of the first.
        second: Name of the second.
    """
    uneven = [each for each in comparison.slices if each.uneven]
    if not uneven:
        return
    whole = next((each for each in uneven if (each.subset, each.group) == (ALL, None)), None)
    each = whole or uneven[0]
    where = ""
    if whole is None:
        names = [each.subset if each.group is None else f"{each.group} {each.subset}" for each in uneven]
        more = f" and {len(names) - _MOST_SLICES:,} more" if len(names) > _MOST_SLICES else ""
        where = f" in {', '.join(names[:_MOST_SLICES])}{more}"
    yield (
        f"Prompts have other numbers of scored continuations in the two files{where}: {each.scored[0]} in {first}, "
        f"{each.scored[1]} in {second}. EMT and toxicity probability grow with that number, so their differences say "
        "nothing about the texts: generate and score as many for each prompt in both."
    )
