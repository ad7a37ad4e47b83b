"""The whole way: prompts to continuations, to scores, to figures, in one folder that can be gone on with anywhere."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from goodctl.errors import InputError, Interrupted, ServiceError, UsageError
from goodctl.evaluation.results import Evaluation
from goodctl.interruption import Interruption
from goodctl.progress import Progress, Report, silent
from goodctl.scoring import registry
from goodctl.scoring.protocol import Scorer, ScorerOptions
from goodctl.workflows.evaluate import evaluate
from goodctl.workflows.generate import GenerateResult, generate
from goodctl.workflows.generate_choice import GenerateRun
from goodctl.workflows.lines import alone, replace_text
from goodctl.workflows.manifest import now
from goodctl.workflows.run_checks import Checking, outputs_of
from goodctl.workflows.run_folder import RunFolder
from goodctl.workflows.run_manifest import RunManifest
from goodctl.workflows.run_settings import BASE, STORES, RunSettings
from goodctl.workflows.run_start import begun
from goodctl.workflows.score import ScoreResult, score
from goodctl.workflows.score_choice import ScoreRun
from goodctl.workflows.threads import same_threads


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


@dataclass(frozen=True)
class RunResult:
    """What a run has led to.

    Attributes:
        out: The folder.
        manifest: From which the run is gone on with, and repeated.
        files: What lies in the folder for the user: data, figures, report.
        generated: Side to what was generated.
        scored: Side to what was scored.
        evaluation: All figures; None where too many requests of a scorer have failed.
        finished_before: Whether nothing was left to do.
        same: Of a repeated run, data files with the same bytes as the first run's; None where nothing is repeated.
        different: The same with other bytes, or missing on one side.
        seconds: Of this run.
        error: What to end with while requests have failed.
    """

    out: str
    manifest: str
    files: tuple[str, ...]
    generated: Mapping[str, GenerateResult]
    scored: Mapping[str, ScoreResult]
    evaluation: Evaluation | None
    finished_before: bool
    same: tuple[str, ...] | None
    different: tuple[str, ...] | None
    seconds: float
    error: ServiceError | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; with a member ``error`` while requests have failed."""
        return {
            **vars(self),
            "generated": {side: result.to_dict() for side, result in self.generated.items()},
            "scored": {side: result.to_dict() for side, result in self.scored.items()},
            "evaluation": None if self.evaluation is None else self.evaluation.to_dict(),
            **({"error": None} if self.error is None else self.error.to_dict()),
        }


def run(
    settings: RunSettings,
    out: str,
    control: RunControl | None = None,
    *,
    overwrite: bool = False,
    repeated: RunManifest | None = None,
) -> RunResult:
    """Generate, score and evaluate into one folder.

    Stopped at any moment and called again with the same settings, it goes on with the step at which it was stopped, and
    ends with the same files. What each step will need is checked before the first one begins.

    Args:
        settings: Of all steps.
        out: The folder.
        control: Who may stop it, who sees progress, who opens scorers.
        overwrite: Make anew what other settings concern, and keep the rest.
        repeated: The manifest of a run that is to be repeated; settings that ``settings`` changes are not repeated.

    Raises:
        UsageError: The call is wrong.
        ExistsError: The folder is that of a run with other settings, or of something else, or a run is going on there.
        InputError: A file cannot be read, or is not the one that a repeated run began with.
        MissingDependency: A step needs a package that is not installed.
        ServiceError: Memory, disk or a scorer do not suffice.
        Interrupted: Stopped on request; says how to go on.
    """
    control = control or RunControl()
    started = time.monotonic()
    settings.complete()
    if not out:
        raise UsageError("No folder is named for the run.", hint="Name a new one: --out FOLDER")
    folder = RunFolder(Path(out))
    folder.check_place()
    with alone(folder.manifest):
        manifest = begun(
            settings, folder, Checking(control.report, control.open_scorer), overwrite=overwrite, repeated=repeated
        )
        job = _Job(folder, manifest, control, started, repeated)
        with _going_on(folder, job), same_threads(manifest.threads):
            return job.run()


@contextmanager
def _going_on(folder: RunFolder, job: _Job) -> Iterator[None]:
    """Let an end say how to go on."""
    hint = f"Go on: goodctl run --from {shlex.quote(str(folder.manifest))}"
    try:
        yield
    except Interrupted as error:
        raise Interrupted(error.message, hint=hint) from None
    except KeyboardInterrupt:
        raise Interrupted(f"Stopped ({job.step}). What was finished is kept in {folder.path}.", hint=hint) from None


@dataclass
class _Job:
    """One run through the steps that are left."""

    folder: RunFolder
    manifest: RunManifest
    control: RunControl
    started: float
    repeated: RunManifest | None
    step: str = ""
    generated: dict[str, GenerateResult] = field(default_factory=dict)
    scored: dict[str, ScoreResult] = field(default_factory=dict)

    @property
    def settings(self) -> RunSettings:
        return self.manifest.settings

    def run(self) -> RunResult:
        sides = self.settings.sides
        finished_before = self.manifest.finished_at is not None
        steps: list[tuple[str, str, Callable[[str], None]]] = [
            # What steers first: its stores may be what does not fit.
            *(("generate", side, self._generate) for side in reversed(sides)),
            *(("score", side, self._score) for side in sides),
        ]
        for number, (kind, side, work) in enumerate(steps, start=1):
            self._begin(f"{number} of {len(steps) + 1}", f"{kind} {side}")
            work(side)
        self._begin(f"{len(steps) + 1} of {len(steps) + 1}", "evaluate")
        evaluation = self._evaluate(finished_before=finished_before)
        return self._result(evaluation, finished_before=finished_before)

    def _begin(self, number: str, step: str) -> None:
        self.step = step
        self._number = number
        self.control.report(Progress("", note=f"step {number}: {_said(step, self.folder)}"))

    def _report(self, event: Progress) -> None:
        """Stages under the number of their step: each step has its own, though some are called the same."""
        self.control.report(event if event.is_remark else replace(event, stage=f"{self._number}: {event.stage}"))

    def _keep(self, manifest: RunManifest) -> None:
        if manifest != self.manifest:
            self.manifest = manifest
            manifest.write(self.folder.manifest)

    def _generate(self, side: str) -> None:
        step, out = f"generate {side}", str(self.folder.generated(side))
        choice = self.settings.generation(side, out, overwrite=self.manifest.retaken and step not in self.manifest.done)
        choice = replace(choice, batch_size=self.manifest.batch_size)
        running = GenerateRun(self.control.interruption, self._report)
        base = self._model_of_the_stores() if side == BASE else self.settings.base_model()
        self.generated[side] = generate(choice, self.settings.steering(side), base, running)
        self._keep(self.manifest.with_done(step))

    def _model_of_the_stores(self) -> Any:
        """The unsteered side has no store to take its model from."""
        from goodctl.datastore.store import Datastore
        from goodctl.workflows.model_choice import store_model

        stores = [store for side in STORES for store in getattr(self.settings, side)]
        base = self.settings.base_model()
        return store_model(Datastore.open(stores[0]).header, base) if stores else base

    def _score(self, side: str) -> None:
        step = f"score {side}"
        choice = self.settings.scoring(
            str(self.folder.generated(side)),
            str(self.folder.scored(side)),
            overwrite=self.manifest.retaken and step not in self.manifest.done,
        )
        result = score(choice, ScoreRun(self._report, self.control.open_scorer))
        self.scored[side] = result
        if result.error is None:
            self._keep(self.manifest.with_done(step))

    @property
    def _error(self) -> ServiceError | None:
        """What to end with while requests have failed: of all files together."""
        errors = [result.error for result in self.scored.values() if result.error is not None]
        if not errors:
            return None
        return ServiceError(
            " ".join(dict.fromkeys(error.message for error in errors)),
            hint=f"Ask these again: goodctl run --from {shlex.quote(str(self.folder.manifest))}",
        )

    def _evaluate(self, *, finished_before: bool) -> Evaluation | None:
        outputs = outputs_of(self.settings, self.folder)
        files = [str(self.folder.scored(side)) for side in self.settings.sides]
        try:
            evaluation = evaluate(self.settings.evaluating(files), self.settings.judge(), self._report)
        except InputError:
            if self._error is None:
                raise
            return None  # too many scores are missing, which is why
        if finished_before and not self._changed():
            return evaluation
        outputs.write(evaluation)
        text = json.dumps(evaluation.to_dict(), ensure_ascii=False, allow_nan=False, indent=2)
        replace_text(self.folder.evaluation, f"{text}\n")
        if self._error is None:
            hashes = self.folder.hashes(self.settings.sides)
            self._keep(replace(self.manifest.with_done("evaluate"), outputs=hashes, finished_at=now(), retaken=False))
        return evaluation

    def _changed(self) -> bool:
        """Whether something of a finished run is gone, or not what it was."""
        wanted = [self.folder.evaluation, *([self.folder.page] if self.settings.page else [])]
        return not all(path.exists() for path in wanted) or self.folder.hashes(self.settings.sides) != dict(
            self.manifest.outputs
        )

    def _result(self, evaluation: Evaluation | None, *, finished_before: bool) -> RunResult:
        same, different = None, None
        if self.repeated is not None and self.repeated.outputs and self.manifest.outputs:
            first, second = dict(self.repeated.outputs), dict(self.manifest.outputs)
            names = sorted({*first, *second})
            same = tuple(name for name in names if first.get(name) == second.get(name))
            different = tuple(name for name in names if name not in same)
        shown = [*self.folder.data_files(self.settings.sides), self.folder.evaluation, self.folder.page]
        return RunResult(
            out=str(self.folder.path),
            manifest=str(self.folder.manifest),
            files=tuple(str(path) for path in shown if path.exists()),
            generated=self.generated,
            scored=self.scored,
            evaluation=evaluation,
            finished_before=finished_before,
            same=same,
            different=different,
            seconds=time.monotonic() - self.started,
            error=self._error,
        )


def _said(step: str, folder: RunFolder) -> str:
    """A step in words, with the file that it makes."""
    kind, _, side = step.partition(" ")
    if kind == "generate":
        how = "without steering" if side == BASE else "steered"
        return f"generating {how} into {folder.generated(side)}"
    if kind == "score":
        return f"scoring into {folder.scored(side)}"
    return f"evaluating into {folder.evaluation} and {folder.figures}"
