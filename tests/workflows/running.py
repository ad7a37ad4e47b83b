"""Whole runs with a small model, two small stores and a scorer that does as it is told, for the tests of ``run``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from goodctl.interruption import Interruption
from goodctl.progress import Progress
from goodctl.scoring.protocol import Scorer, ScorerOptions
from goodctl.workflows.run import RunResult, run
from goodctl.workflows.run_job import RunControl
from goodctl.workflows.run_manifest import RunManifest
from goodctl.workflows.run_settings import RunSettings
from tests.fakes.scorers import FakeScorer

DATES = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d\+00:00| UTC)?")
SECONDS = re.compile(r'"(seconds|tokens_per_second)": [\d.]+')


class WholeRun:
    """A folder in which one run is called again and again.

    Args:
        folder: Where the run's folder will be.
        prompts: The file.
        places: The stores.
        settings: Others than those of a short run of both sides.
    """

    def __init__(self, folder: Path, prompts: str, places: dict[str, str], **settings: Any) -> None:
        self.folder = folder
        self.out = folder / "run"
        short: dict[str, Any] = {
            "prompts": prompts,
            "with_base": True,
            "page": False,
            "toxic": (places["toxic"],),
            "nontoxic": (places["nontoxic"],),
            "device": "cpu",
            "precision": "fp32",
            "k": 16,
            "num_return_sequences": 3,
            "max_new_tokens": 5,
            "batch_size": 2,
            "scorer": "fake",
            "bootstrap": 100,
        }
        self.settings = RunSettings(**{**short, **settings})
        self.scorers: list[FakeScorer] = []
        self.notes: list[str] = []
        self.stages: list[str] = []
        self.interruption = Interruption()

    def __call__(
        self,
        opening: Callable[[ScorerOptions], FakeScorer] | None = None,
        /,
        *,
        out: Path | None = None,
        overwrite: bool = False,
        repeated: RunManifest | None = None,
        **changed: Any,
    ) -> RunResult:
        """One call; what it says is kept."""
        self.notes, self.stages, self.scorers = [], [], []

        def report(event: Progress) -> None:
            if event.note:
                self.notes.append(event.note)
            elif event.stage not in self.stages:
                self.stages.append(event.stage)

        def opened(name: str, options: ScorerOptions) -> Scorer:
            assert name == "fake"
            self.scorers.append(opening(options) if opening else FakeScorer(options.attributes, raw=options.raw))
            return self.scorers[-1]

        control = RunControl(self.interruption, report, opened)
        settings = replace(self.settings, **changed)
        return run(settings, str(out or self.out), control, overwrite=overwrite, repeated=repeated)

    @property
    def asked(self) -> int:
        """About how many texts the last call has asked."""
        return sum(len(scorer.asked) for scorer in self.scorers)

    @property
    def generated(self) -> bool:
        """Whether the last call has generated anything."""
        return any("generating" in stage for stage in self.stages)

    @property
    def manifest(self) -> RunManifest:
        return RunManifest.read(self.out / "manifest.json")


def contents(folder: Path) -> dict[str, bytes | str]:
    """All files of a run by name: manifests, figures as a whole and the page without dates and durations."""
    found: dict[str, bytes | str] = {}
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        name = path.relative_to(folder).as_posix()
        if name.endswith(".journal"):
            found[name] = ""  # a database: the answers in it are compared by what is made from them
        elif name.endswith((".jsonl", ".csv")):
            found[name] = path.read_bytes()
        else:
            found[name] = SECONDS.sub("", DATES.sub("", path.read_text(encoding="utf-8")))
    return found


def edited(path: Path, **members: Any) -> None:
    """Change members of a JSON file; those that are ``...`` are taken out."""
    stored = {**json.loads(path.read_text(encoding="utf-8")), **members}
    kept = {name: value for name, value in stored.items() if value is not ...}
    path.write_text(json.dumps(kept), encoding="utf-8")
