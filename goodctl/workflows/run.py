"""The whole way: prompts to continuations, to scores, to figures, in one folder that can be gone on with anywhere."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from goodctl.errors import GoodctlError, Interrupted, NotFoundError, ServiceError, UsageError
from goodctl.evaluation.results import Evaluation
from goodctl.progress import Progress
from goodctl.workflows.generate import GenerateResult
from goodctl.workflows.lines import alone
from goodctl.workflows.run_checks import Checking, check_settings
from goodctl.workflows.run_folder import RunFolder
from goodctl.workflows.run_job import RunControl, RunJob
from goodctl.workflows.run_manifest import RunManifest
from goodctl.workflows.run_settings import RunSettings
from goodctl.workflows.run_start import begun
from goodctl.workflows.score import ScoreResult
from goodctl.workflows.threads import same_threads


@dataclass(frozen=True)
class RunResult:
    """What a run has led to.

    Attributes:
        out: The folder.
        manifest: From which the run is gone on with, and repeated.
        command: What does that.
        files: What lies in the folder for the user: data, figures, report.
        generated: Side to what was generated.
        scored: Side to what was scored.
        evaluation: All figures; None where too many requests of a scorer have failed.
        finished_before: Whether nothing was left to do: the run was finished, and its files are what they were.
        same: Of a repeated run, data files with the same bytes as the first run's; None where nothing is repeated.
        different: The same with other bytes, or missing on one side.
        seconds: Of this run.
        error: What to end with while requests have failed.
    """

    out: str
    manifest: str
    command: str
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
        overwrite: Make anew what other settings concern, or what somebody has changed, and keep the rest.
        repeated: The manifest of a run that is to be repeated; settings that ``settings`` changes are not repeated.

    Raises:
        UsageError: The call is wrong.
        ExistsError: The folder is that of a run with other settings, or of something else, or a run is going on there.
        InputError: A file cannot be read, or is not the one that a repeated run began with.
        NotFoundError: A file, store or model is not there.
        MissingDependency: A step needs a package that is not installed.
        ServiceError: Memory, disk or a scorer do not suffice.
        Interrupted: Stopped on request; says how to go on.
    """
    control = control or RunControl()
    started = time.monotonic()
    if not out:
        raise UsageError("No folder is named for the run.", hint="Name a new one: --out FOLDER")
    folder = RunFolder(Path(out))
    folder.check_place()
    check_settings(settings, folder)
    checking = Checking(control.report, control.open_scorer)
    with alone(folder.manifest), _called_elsewhere(repeated, folder):
        manifest = begun(settings, folder, checking, overwrite=overwrite, repeated=repeated)
        if manifest.threads != torch.get_num_threads():
            control.report(Progress("", note=f"computing with {manifest.threads} threads, as the run was begun"))
        job = RunJob(folder, manifest, control, overwrite)
        with _going_on(folder, job), same_threads(manifest.threads):
            intact = job.is_intact()
            evaluation = job.run(intact=intact)
        same, different = job.compared()
        shown = [*job.data_files(), folder.evaluation, folder.page]
        return RunResult(
            out=str(folder.path),
            manifest=str(folder.manifest),
            command=job.command,
            files=tuple(str(path) for path in shown if path.exists()),
            generated=job.generated,
            scored=job.scored,
            evaluation=evaluation,
            finished_before=intact,
            same=same,
            different=different,
            seconds=time.monotonic() - started,
            error=job.error,
        )


@contextmanager
def _called_elsewhere(repeated: RunManifest | None, folder: RunFolder) -> Iterator[None]:
    """Let an error say from which folder a manifest's paths are seen, if that is another one."""
    manifest = repeated
    if manifest is None and folder.manifest.is_file():
        with suppress(GoodctlError):  # said when it is read in earnest
            manifest = RunManifest.read(folder.manifest)
    try:
        yield
    except NotFoundError as error:
        if manifest is None or os.path.realpath(manifest.folder) == os.path.realpath(os.curdir):
            raise
        where = shlex.quote(manifest.folder)
        raise NotFoundError(
            error.message, hint=f"Relative paths of this run are seen from {where}: cd {where}, and call it there."
        ) from error


@contextmanager
def _going_on(folder: RunFolder, job: RunJob) -> Iterator[None]:
    """Let an end say how to go on."""
    hint = f"Go on: {job.command}"
    try:
        yield
    except Interrupted as error:
        raise Interrupted(error.message, hint=hint) from None
    except KeyboardInterrupt:
        raise Interrupted(f"Stopped ({job.step}). What was finished is kept in {folder.path}.", hint=hint) from None
