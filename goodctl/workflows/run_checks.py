"""What a whole run checks before it computes anything: a step that cannot work is not found out hours later."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace

from goodctl.corpus.passages import PassageFile
from goodctl.corpus.prompts import PromptFile, read_prompts
from goodctl.datastore.store import Datastore
from goodctl.errors import UsageError
from goodctl.index.stores import expand
from goodctl.progress import Progress, Report, silent
from goodctl.scoring.protocol import Scorer, ScorerOptions
from goodctl.workflows.evaluate_files import Outputs
from goodctl.workflows.model_choice import identify
from goodctl.workflows.run_folder import RunFolder
from goodctl.workflows.run_settings import STORES, RunSettings
from goodctl.workflows.score import calibration_of
from goodctl.workflows.score_scan import scan, unscored_languages


@dataclass(frozen=True)
class Checking:
    """How it is checked.

    Attributes:
        report: Gets progress.
        open_scorer: Opens a scorer by name.
    """

    report: Report
    open_scorer: Callable[[str, ScorerOptions], Scorer]


def check_steps(settings: RunSettings, folder: RunFolder, checking: Checking) -> PromptFile:
    """Check what each step will need.

    Args:
        settings: Of the run.
        folder: Where it writes.
        checking: How.

    Returns:
        The prompts.

    Raises:
        GoodctlError: A file, a package, a key or a model is missing, or does not fit.
    """
    checking.report(Progress("checking"))
    prompts = read_prompts(settings.prompts, most=settings.num_prompts, field=settings.prompt_field)
    outputs_of(settings, folder)
    _check_group(settings, prompts)
    _check_scorer(settings, folder, checking)
    if (judge := settings.judge()) is not None:
        identify(judge, checking.report)
    checking.report(Progress("checking", finished=True))
    return prompts


def outputs_of(settings: RunSettings, folder: RunFolder) -> Outputs:
    """Where the figures of a run are written, checked.

    Raises:
        MissingDependency: The report's plots need a package that is not installed.
        UsageError: They cannot be written there.
    """
    return Outputs.prepared(
        [str(folder.scored(side)) for side in settings.sides],
        str(folder.figures),
        str(folder.page) if settings.page else None,
    )


def pinned(settings: RunSettings) -> RunSettings:
    """The settings with each store by its version: what is added to it meanwhile does not concern the run.

    Raises:
        NotFoundError: There is no such store or version.
    """
    found = {}
    for side in STORES:
        stores = [Datastore.open(reference) for reference in expand(getattr(settings, side))]
        found[side] = tuple(f"{store.location}@{store.version.id}" for store in stores)
    return replace(settings, **found)  # type: ignore[arg-type]


def _check_group(settings: RunSettings, prompts: PromptFile) -> None:
    column = settings.group_by
    if column is not None and not any(column in prompt.columns for prompt in prompts.prompts):
        raise UsageError(
            f"--group-by {column}: no prompt of {prompts.name} has this column.",
            hint=f"Its first prompt has {', '.join(prompts.prompts[0].columns)}.",
        )


def _check_scorer(settings: RunSettings, folder: RunFolder, checking: Checking) -> None:
    """Continuations get the language of their prompts: a scorer that scores none of these is of no use."""
    choice = settings.scoring(settings.prompts, str(folder.scored("check")))
    calibration_of(choice)
    source = PassageFile.find(settings.prompts, settings.prompt_field, settings.language, settings.language_field)
    found = scan(source, silent)
    with closing(checking.open_scorer(choice.scorer, choice.options)) as scorer:
        unscored_languages(found, scorer)
