"""What the tests of scoring share: a run with a fake scorer, and what its output must be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from goodctl.progress import Progress, silent
from goodctl.scoring.protocol import Scorer, ScorerOptions
from goodctl.workflows.score import ScoreResult, score
from goodctl.workflows.score_choice import ScoreChoice, ScoreRun
from tests.fakes.scorers import FakeScorer, expected


def write_lines(path: Path, values: Sequence[Any]) -> str:
    path.write_text("".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values), encoding="utf-8")
    return str(path)


def read_lines(path: Path | str) -> list[Any]:
    # JSON leaves U+2028 and its like as they are, which ``splitlines`` would take for the end of a line.
    return [json.loads(line) for line in Path(path).read_bytes().splitlines()]


def scored(text: str, *attributes: str) -> dict[str, Any]:
    """A text with its scores, as it stands in an output."""
    return {"text": text, **{name: expected(text, name) for name in attributes or ("toxicity",)}}


class Scoring:
    """Scores one file again and again.

    Args:
        folder: Where the output goes.
        lines: Of the file of texts.
        choice: Other options of ``ScoreChoice``.
    """

    def __init__(self, folder: Path, lines: Sequence[Any], **choice: Any) -> None:
        self.out = folder / "out.jsonl"
        self.texts = Path(write_lines(folder / "in.jsonl", lines))
        self.choice = ScoreChoice(str(self.texts), "fake", str(self.out), **choice)
        self.notes: list[str] = []

    def run(self, scorer: Scorer | None = None, **changed: Any) -> ScoreResult:
        """One run; notes are kept."""
        choice = replace(self.choice, **changed)

        def report(event: Progress) -> None:
            if event.note:
                self.notes.append(event.note)
            silent(event)

        def opened(name: str, options: ScorerOptions) -> Scorer:
            assert name == "fake"
            return scorer or FakeScorer(options.attributes, raw=options.raw)

        return score(choice, ScoreRun(report, opened))

    @property
    def manifest(self) -> dict[str, Any]:
        return dict(json.loads(self.choice.manifest.read_text(encoding="utf-8")))

    @property
    def files(self) -> dict[str, bytes]:
        """All that lies in the folder."""
        return {path.name: path.read_bytes() for path in sorted(self.out.parent.iterdir()) if path.is_file()}
