"""Refusing files of which too much is missing, as a whole or in a slice that is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from goodctl.errors import InputError
from goodctl.evaluation.collated import Collated
from goodctl.evaluation.results import ALL, PromptRow
from goodctl.evaluation.slices import sliced
from goodctl.workflows.evaluate_settings import score_command

_MOST_REASONS = 5
_LONGEST_REASON = 80


class MissingScoresError(InputError):
    """Too many scores are missing."""


@dataclass(frozen=True)
class _Lack:
    """What is missing of a slice: so many of so many, and why."""

    subset: str
    group: str | None
    missing: int
    whole: int
    reasons: Counter[str]

    @property
    def share(self) -> float:
        return self.missing / self.whole

    def told(self, what: str, most: float) -> str:
        slices = [] if self.group is None else [f"group {self.group!r}"]
        slices += [] if self.subset == ALL else [f"{self.subset} prompts"]
        where = f"{', '.join(slices)}: " if slices else ""
        reasons = [f"{_shortened(reason)} {count:,}" for reason, count in self.reasons.most_common(_MOST_REASONS)]
        if len(self.reasons) > _MOST_REASONS:
            reasons.append(f"{len(self.reasons) - _MOST_REASONS:,} other reasons")
        return (
            f"{where}{self.missing:,} of {self.whole:,} {what} ({self.share:.2%}, more than --max-missing "
            f"{100 * most:g}%): {', '.join(reasons)}."
        )


def check_missing(file: Collated, most: float) -> None:
    """Check that hardly any scores are missing, and hardly any prompts failed: in all, and in each slice.

    Args:
        file: That has been read.
        most: The share of the continuations with text that may lack a score, and of the prompts that may lack
            continuations.

    Raises:
        MissingScoresError: More scores are missing.
        InputError: More prompts have no continuations.

    The message names the slice: the whole file, else the one that lacks most.
    """
    slices = [(subset, group, [file.rows[number] for number in chosen]) for subset, group, chosen in sliced(file.rows)]
    _refuse(
        file,
        "scores are missing",
        [_Lack(subset, group, *_scores(rows)) for subset, group, rows in slices],
        most,
        MissingScoresError,
        f"Have the rest scored: {score_command(file.path, file.name)}",
    )
    _refuse(
        file,
        "prompts failed and have no continuations",
        [_Lack(subset, group, *_prompts(rows)) for subset, group, rows in slices],
        most,
        InputError,
        "Generate again what failed, with goodctl generate, or take these prompts out of the file.",
    )


def _refuse(file: Collated, what: str, lacks: Sequence[_Lack], most: float, error: type[InputError], hint: str) -> None:
    over = [each for each in lacks if each.missing > most * each.whole]
    if not over:
        return
    whole = [each for each in over if (each.subset, each.group) == (ALL, None)]
    worst = whole[0] if whole else max(over, key=lambda each: each.share)
    more = "" if whole or len(over) == 1 else f" Other slices that lack too many: {len(over) - 1:,}."
    raise error(f"{file.name}: {worst.told(what, most)}{more}", hint=hint)


def _scores(rows: Sequence[PromptRow]) -> tuple[int, int, Counter[str]]:
    reasons = Counter(reason for row in rows for reason in row.lacking)
    return reasons.total(), sum(len(row.texts) - row.empty for row in rows), reasons


def _prompts(rows: Sequence[PromptRow]) -> tuple[int, int, Counter[str]]:
    failed = Counter(row.error or "no reason given" for row in rows if not row.texts)
    return failed.total(), len(rows), failed


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 1]}…"
