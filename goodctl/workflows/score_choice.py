"""What ``score`` was asked: texts, scorer, output."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from goodctl.corpus.formats import recognise
from goodctl.errors import UsageError
from goodctl.progress import Report, silent
from goodctl.scoring import registry
from goodctl.scoring.attributes import parse_attributes
from goodctl.scoring.protocol import Scorer, ScorerOptions

PERSPECTIVE = "perspective"


@dataclass(frozen=True)
class ScoreChoice:
    """What to score, and how.

    Attributes:
        texts: A file: generations, prompts, a collated file, or any with a field of text.
        scorer: A scorer's name, such as ``profanity`` or ``hf:MODEL``.
        out: The output file, JSON Lines.
        options: What is said of the scorer; its attributes are those that are scored.
        text_field: The field of the text, or None for the usual ones.
        language: Of all texts; beside a language field, of those whose record says none.
        language_field: The field of the language; None takes ``language``, else ``lang``.
        calibration: A file of maps that scores go through, or None.
        emit: ``perspective`` writes the answers in Perspective's form beside the output; None does not.
        overwrite: Whether to discard an existing output, and a journal of another scorer.
    """

    texts: str
    scorer: str
    out: str
    options: ScorerOptions = field(default_factory=ScorerOptions)
    text_field: str | None = None
    language: str | None = None
    language_field: str | None = None
    calibration: str | None = None
    emit: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        parse_attributes(self.options.attributes)
        for name, value in (("rate", self.options.rate), ("batch-tokens", self.options.batch_tokens)):
            if value is not None and not 0 < value < math.inf:
                raise UsageError(f"--{name} {value}: it must be above 0.", hint="Leave it out for the scorer's own.")
        if self.emit not in {None, PERSPECTIVE}:
            raise UsageError(f"--emit {self.emit!r} is no form of answers.", hint=f"There is: --emit {PERSPECTIVE}")
        if not self.out or Path(self.out).is_dir():
            raise UsageError(f"--out {self.out!r} is no file.", hint="Name a file, such as --out scored.jsonl")
        form = recognise(Path(self.out))
        if form is not None and (form.name != "jsonl" or form.compression is not None):
            raise UsageError(
                f"--out {self.out}: the output is JSON Lines, and this name says otherwise.",
                hint="Name a file that ends in .jsonl",
            )

    @property
    def attributes(self) -> tuple[str, ...]:
        """What is scored."""
        return self.options.attributes

    @property
    def manifest(self) -> Path:
        """How the output was made, beside it."""
        return Path(f"{self.out}.manifest.json")

    @property
    def journal(self) -> Path:
        """The scorer's answers, beside the output."""
        return Path(f"{self.out}.journal")

    @property
    def next_journal(self) -> Path:
        """The same of a scorer that is to take another's place, until its run ends."""
        return Path(f"{self.out}.journal.next")

    @property
    def raw_answers(self) -> Path:
        """The answers in Perspective's form, beside the output."""
        return Path(f"{self.out}.perspective.jsonl")

    @property
    def with_raw(self) -> bool:
        """Whether the source's own answers are wanted."""
        return self.emit is not None

    def settings(self) -> dict[str, Any]:
        """What beside scorer, attributes and input decides the output, under the names of the options."""
        return {
            "text_field": self.text_field,
            "language": self.language,
            "language_field": self.language_field,
            "emit": self.emit,
        }


@dataclass(frozen=True)
class ScoreRun:
    """How the job runs.

    Attributes:
        report: Gets progress.
        open_scorer: Opens a scorer by name.
    """

    report: Report = silent
    open_scorer: Callable[[str, ScorerOptions], Scorer] = registry.open_scorer
