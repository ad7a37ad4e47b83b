"""What a whole run checks before it computes anything: a step that cannot work is not found out hours later."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, replace
from itertools import islice
from typing import Any

from goodctl.corpus.passages import PassageFile
from goodctl.corpus.prompts import PromptFile
from goodctl.datastore.store import Datastore
from goodctl.errors import InputError, UsageError
from goodctl.evaluation.collated import collated_lines
from goodctl.index.stores import expand
from goodctl.progress import Progress, Report
from goodctl.scoring.protocol import TOXICITY, Scorer, ScorerOptions
from goodctl.steering import names
from goodctl.workflows.evaluate_files import Outputs
from goodctl.workflows.evaluate_missing import MissingScoresError, check_missing
from goodctl.workflows.model_choice import ModelChoice, identify, store_model
from goodctl.workflows.run_folder import RunFolder
from goodctl.workflows.run_settings import BASE, STORES, RunSettings
from goodctl.workflows.score import calibration_of
from goodctl.workflows.score_scan import Scan, unscored_languages


@dataclass(frozen=True)
class Checking:
    """How it is checked.

    Attributes:
        report: Gets progress.
        open_scorer: Opens a scorer by name.
    """

    report: Report
    open_scorer: Callable[[str, ScorerOptions], Scorer]


def check_settings(settings: RunSettings, folder: RunFolder) -> None:
    """Check settings as far as they alone can tell.

    Args:
        settings: Of the run.
        folder: Where it writes.

    Raises:
        UsageError: What cannot be guessed is missing, or a setting is wrong, or has no effect.
    """
    if not settings.prompts:
        raise UsageError("No prompts are named.", hint="Name the file: goodctl run PROMPTS …")
    if not settings.scorer:
        raise UsageError(
            "No scorer is named.", hint="Name one: --scorer profanity (English, offline), hf:MODEL, or perspective"
        )
    _check_text(settings)
    if TOXICITY not in settings.attributes:
        raise UsageError(
            f"--attributes {','.join(settings.attributes).upper()}: the figures are made from TOXICITY, which is "
            "not among them.",
            hint=f"Add it: --attributes {','.join([TOXICITY, *settings.attributes]).upper()}",
        )
    if settings.steering().method == names.BASE:
        _check_base_alone(settings)
    settings.sampling()
    for side in settings.sides:
        settings.generation(side, str(folder.generated(side)), overwrite=False)
    settings.scoring(str(folder.generated(BASE)), str(folder.scored(BASE)))
    settings.evaluating([str(folder.scored(side)) for side in settings.sides])


def check_steps(settings: RunSettings, prompts: PromptFile, folder: RunFolder, checking: Checking) -> None:
    """Check what each step will need.

    Args:
        settings: Of the run.
        prompts: That were read.
        folder: Where it writes.
        checking: How.

    Raises:
        GoodctlError: A file, a package, a key or a model is missing, or does not fit.
    """
    checking.report(Progress("checking"))
    outputs_of(settings, folder)
    column = settings.group_by
    if column is not None and not any(column in prompt.columns for prompt in prompts.prompts):
        raise UsageError(
            f"--group-by {column}: no prompt of {prompts.name} has this column.",
            hint=f"Its first prompt has {', '.join(prompts.prompts[0].columns)}.",
        )
    _check_scores(settings, prompts, folder, checking)
    for model in (base_model_of(settings), settings.judge()):
        if model is not None:
            identify(model, checking.report)
    checking.report(Progress("checking", finished=True))


def base_model_of(settings: RunSettings) -> ModelChoice:
    """The model that is steered; where none is named, the one that the stores were made with.

    Raises:
        NotFoundError: There is no such store or version.
    """
    base = settings.base_model()
    stores = expand([store for side in STORES for store in getattr(settings, side)])
    return store_model(Datastore.open(stores[0]).header, base) if stores else base


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
    found: dict[str, Any] = {}
    for side in STORES:
        stores = [Datastore.open(reference) for reference in expand(getattr(settings, side))]
        found[side] = tuple(f"{store.location}@{store.version.id}" for store in stores)
    return replace(settings, **found)


def _check_text(settings: RunSettings) -> None:
    """The manifest has to hold every setting."""
    for value in (*astuple(settings), os.getcwd()):  # noqa: PTH109
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, str) and not each.isascii():
                try:
                    each.encode()
                except UnicodeEncodeError:
                    raise UsageError(
                        f"{each!r} has bytes that are no UTF-8, which a manifest cannot hold.", hint="Rename it."
                    ) from None


def _check_base_alone(settings: RunSettings) -> None:
    if settings.model is None:
        raise UsageError(
            "Nothing says what is run: there is no store and no model.",
            hint="Name stores (--toxic STORE --nontoxic STORE), or --model alone for the unsteered model.",
        )
    for name, value in (("with-base", settings.with_base), ("explain", settings.explain), ("check", settings.check)):
        if value:
            raise UsageError(
                f"--{name} has no effect where nothing steers.", hint="Leave it out, or name a store: --toxic STORE"
            )


def _check_scores(settings: RunSettings, prompts: PromptFile, folder: RunFolder, checking: Checking) -> None:
    """Check that the scorer will score what the figures need: continuations have the language of their prompts."""
    choice = settings.scoring(settings.prompts, str(folder.scored("check")))
    calibration_of(choice)
    languages = _languages(settings, prompts)
    found = Scan(prompts.name, prompts.sha256, len(languages), len(languages), Counter(languages))
    with closing(checking.open_scorer(choice.scorer, choice.options)) as scorer:
        unscored_languages(found, scorer)
        scored = {language: TOXICITY in scorer.attributes_for(language) for language in found.languages}
    lines = []
    for prompt, language in zip(prompts.prompts, languages, strict=True):
        score = (
            {"toxicity": 0.0} if scored[language] else {"toxicity": None, "reason": f"language {language or 'unknown'}"}
        )
        lines.append((prompt.line, {**prompt.columns, "error": None, "generations": [{"text": "a", **score}]}))
    collated = collated_lines(prompts.name, lines, settings.threshold, settings.group_by)
    try:
        check_missing(collated, settings.max_missing)
    except MissingScoresError as error:
        raise UsageError(
            f"{choice.scorer} does not score these prompts' languages. {error.message}",
            hint="Choose a scorer for each language (--scorer route:FILE), or allow it: --max-missing 100%",
        ) from error


def _languages(settings: RunSettings, prompts: PromptFile) -> Sequence[str | None]:
    """The language of each prompt, as scoring will find it."""
    source = PassageFile.find(settings.prompts, settings.prompt_field, settings.language, settings.language_field)
    with source.open() as reading:
        passages = list(islice(reading.records(), len(prompts.prompts)))
    if settings.language_field is not None and not any(each.has_language for each in passages):
        raise InputError(
            f"{source.name}: no record has the language field {settings.language_field!r}",
            hint="Correct --language-field, or say the language of all texts: --language en",
        )
    return [each.language for each in passages]
