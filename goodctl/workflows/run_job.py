"""One run through the steps that are left of a whole run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from goodctl.errors import ConflictError, ExistsError, Interrupted, ServiceError
from goodctl.evaluation.results import Evaluation
from goodctl.interruption import Interruption
from goodctl.progress import Progress, Report, headed, silent
from goodctl.scoring import registry
from goodctl.scoring.protocol import Scorer, ScorerOptions
from goodctl.workflows.evaluate import evaluate
from goodctl.workflows.evaluate_missing import MissingScoresError
from goodctl.workflows.generate import GenerateResult, generate
from goodctl.workflows.generate_choice import GenerateRun
from goodctl.workflows.lines import replace_text
from goodctl.workflows.manifest import now
from goodctl.workflows.model_choice import keeping_last_model
from goodctl.workflows.run_checks import base_model_of, outputs_of
from goodctl.workflows.run_folder import EVALUATE, GENERATE, SCORE, RunFolder, sha256_of
from goodctl.workflows.run_manifest import RunManifest
from goodctl.workflows.run_settings import BASE, RunSettings
from goodctl.workflows.score import ScoreResult, score
from goodctl.workflows.score_choice import ScoreRun


@dataclass(frozen=True)
class RunControl:
    """How the run is carried out.

    Attributes:
        interruption: Who may ask it to stop.
        report: Gets progress; its stages are headed by the step's number.
        open_scorer: Opens a scorer by name.
    """

    interruption: Interruption = field(default_factory=Interruption)
    report: Report = silent
    open_scorer: Callable[[str, ScorerOptions], Scorer] = registry.open_scorer


@dataclass
class RunJob:
    """The steps of a run.

    Attributes:
        folder: Of the run.
        manifest: How far it has come.
        control: How it is carried out.
        overwrite: Whether files that somebody has changed may be made anew.
        step: What is being done, as the manifest calls it.
        generated: Side to what was generated.
        scored: Side to what was scored.
    """

    folder: RunFolder
    manifest: RunManifest
    control: RunControl
    overwrite: bool
    step: str = ""
    generated: dict[str, GenerateResult] = field(default_factory=dict)
    scored: dict[str, ScoreResult] = field(default_factory=dict)
    _number: str = ""

    @property
    def settings(self) -> RunSettings:
        """Of the run, with the versions of its stores."""
        return self.manifest.settings

    @property
    def steps(self) -> list[str]:
        """All steps, in their order; what steers first: its stores may be what does not fit."""
        sides = self.settings.sides
        return [*(f"{GENERATE} {side}" for side in reversed(sides)), *(f"{SCORE} {side}" for side in sides), EVALUATE]

    @property
    def command(self) -> str:
        """What goes on with the run."""
        return self.manifest.command(self.folder.manifest)

    @property
    def error(self) -> ServiceError | None:
        """What to end with while requests have failed: of all files together."""
        failed = {side: result.error for side, result in self.scored.items() if result.error is not None}
        if not failed:
            return None
        return ServiceError(
            " ".join(f"{self.folder.scored(side)}: {error.message}" for side, error in failed.items()),
            hint=f"Ask these again: {self.command}",
        )

    def data_files(self) -> list[Path]:
        """What the steps have written for the user, but for the figures as a whole."""
        return [path for step in self.steps for path in self.folder.files_of(step)]

    def is_intact(self) -> bool:
        """Whether the run is finished, and its files are those that it wrote."""
        wanted = [self.folder.evaluation, *([self.folder.page] if self.settings.page else [])]
        if self.manifest.finished_at is None or not all(path.exists() for path in wanted):
            return False
        found = [self.folder.hashes(step) for step in self.steps]
        return {name: sha256 for each in found for name, sha256 in each.items()} == self.manifest.own_outputs()

    def compared(self) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
        """Of a run that repeats another, data files with the same bytes, and with others; None while that is open."""
        first = self.manifest.repeats
        if not first or self.manifest.finished_at is None or self.error is not None:
            return None, None
        second = self.manifest.own_outputs()
        names = sorted({*first, *second})
        same = tuple(name for name in names if first.get(name) == second.get(name))
        return same, tuple(name for name in names if name not in same)

    def run(self, *, intact: bool) -> Evaluation | None:
        """Do what is left.

        Args:
            intact: Whether nothing is: results are gathered then, and no file is written.

        Returns:
            All figures; None where too many requests of a scorer have failed.
        """
        numbered = [(f"{number} of {len(self.steps)}", step) for number, step in enumerate(self.steps, start=1)]
        with keeping_last_model():  # both sides continue with the same one
            for number, step in numbered:
                if step.startswith(GENERATE):
                    self._begin(number, step)
                    self._generate(step.partition(" ")[2])
        for number, step in numbered:
            if not step.startswith(GENERATE):
                self._begin(number, step)
            if step.startswith(SCORE):
                self._score(step.partition(" ")[2])
        return self._evaluate(intact=intact)

    def _begin(self, number: str, step: str) -> None:
        if self.control.interruption.requested:  # asked in the last moment of a step
            raise Interrupted(f"Stopped. What was finished is kept in {self.folder.path}.")
        self.step, self._number = step, number
        self.control.report(Progress("", note=f"step {number}: {_said(step, self.folder)}"))

    def _report(self, event: Progress) -> None:
        """Stages under the number of their step: each step has its own, though some are called the same."""
        headed(self.control.report, self._number)(event)

    def _keep(self, manifest: RunManifest) -> None:
        if manifest != self.manifest:
            self.manifest = manifest
            manifest.write(self.folder.manifest)

    def _done(self, step: str) -> None:
        self._keep(self.manifest.with_done(step, self.folder.hashes(step)))

    def _may_replace(self, step: str) -> bool:
        """Whether what lies there may be that of other settings."""
        return self.overwrite or (self.manifest.retaken and step not in self.manifest.done)

    def _anew(self, step: str) -> None:
        """A step that seemed to be finished is not, nor is what comes of it."""
        after = self.steps[self.steps.index(step) :]
        steps = [each for each in self.manifest.done if each not in after]
        self._keep(replace(self.manifest.kept(steps, self.folder), retaken=True))

    def _generate(self, side: str) -> None:
        step = f"{GENERATE} {side}"
        model = base_model_of(self.settings)  # also for the side without stores
        running = GenerateRun(self.control.interruption, self._report)

        def made(*, overwrite: bool) -> GenerateResult:
            choice = self.settings.generation(side, str(self.folder.generated(side)), overwrite=overwrite)
            choice = replace(choice, batch_size=self.manifest.batch_size)
            return generate(choice, self.settings.steering(side), model, running)

        try:
            self.generated[side] = made(overwrite=False)
        except ConflictError:
            raise
        except ExistsError:
            if not self._may_replace(step):
                raise
            self._anew(step)
            self.generated[side] = made(overwrite=True)
        self._done(step)

    def _score(self, side: str) -> None:
        step, out = f"{SCORE} {side}", self.folder.scored(side)
        running = ScoreRun(self._report, self.control.open_scorer)
        overwrite = self._may_replace(step) and step not in self.manifest.done
        if self._is_changed(step):
            if not self.overwrite:
                raise ExistsError(
                    f"{out} has been changed since the run wrote it.",
                    hint="Make it anew from the scorer's answers: delete it, or --overwrite",
                )
            overwrite = True
        choice = self.settings.scoring(str(self.folder.generated(side)), str(out), overwrite=overwrite)
        try:
            result = score(choice, running)
        except ConflictError:
            raise
        except ExistsError:
            if not self._may_replace(step) or overwrite:
                raise
            self._anew(step)
            result = score(replace(choice, overwrite=True), running)
        self.scored[side] = result
        if result.error is None:
            self._done(step)

    def _is_changed(self, step: str) -> bool:
        known = {name: self.folder.path / name for name in self.manifest.outputs}
        mine = {self.folder.name(path) for path in self.folder.files_of(step)}
        return any(sha256_of(path) != self.manifest.outputs[name] for name, path in known.items() if name in mine)

    def _evaluate(self, *, intact: bool) -> Evaluation | None:
        outputs = outputs_of(self.settings, self.folder)
        files = [str(self.folder.scored(side)) for side in self.settings.sides]
        try:
            evaluation = evaluate(self.settings.evaluating(files), self.settings.judge(), self._report)
        except MissingScoresError as error:
            if self.error is None:
                error.hint = (
                    f"Texts are kept. Take another scorer: {self.command} --overwrite --scorer NAME, "
                    "or allow it: --max-missing SHARE"
                )
                raise
            self.folder.discard_figures()  # of other settings, if there are any
            return None  # too many scores are missing, which is why
        if intact:
            return evaluation
        written = outputs.write(evaluation)
        text = json.dumps(evaluation.to_dict(), ensure_ascii=False, allow_nan=False, indent=2)
        replace_text(self.folder.evaluation, f"{text}\n")
        self.folder.discard_figures(but=[*written, str(self.folder.evaluation)])
        if self.error is None:
            kept: Mapping[str, str] = {name: each for name, each in self.manifest.outputs.items() if "/" not in name}
            done = replace(self.manifest, outputs=kept).with_done(EVALUATE, self.folder.hashes(EVALUATE))
            self._keep(replace(done, finished_at=now(), retaken=False))
        return evaluation


def _said(step: str, folder: RunFolder) -> str:
    """A step in words, with the file that it makes."""
    kind, _, side = step.partition(" ")
    if kind == GENERATE:
        how = "without steering" if side == BASE else "steered"
        return f"generating {how} into {folder.generated(side)}"
    if kind == SCORE:
        return f"scoring into {folder.scored(side)}"
    return f"evaluating into {folder.evaluation} and {folder.figures}"
