"""What a whole run finds where its folder is to be: nothing, its own beginning, or a run with other settings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch

from goodctl.corpus.prompts import PromptFile, read_prompts
from goodctl.errors import DamagedError, ExistsError, InputError
from goodctl.models.device import choose_device
from goodctl.workflows.lines import prepare_folder
from goodctl.workflows.run_checks import Checking, check_steps, pinned
from goodctl.workflows.run_folder import EVALUATE, GENERATE, SCORE, RunFolder, sha256_of
from goodctl.workflows.run_manifest import RunManifest
from goodctl.workflows.run_settings import BASE, EVALUATION, SCORING, STORES, RunSettings, table_of

_OF_FIGURES = {"with_base", "page"}
"""Settings of the run as a whole that change no text and no score of a side."""


def begun(
    settings: RunSettings,
    folder: RunFolder,
    checking: Checking,
    *,
    overwrite: bool = False,
    repeated: RunManifest | None = None,
) -> RunManifest:
    """The manifest of the run that is gone on with, or of a new one, which is written.

    Args:
        settings: That were asked for.
        folder: Of the run.
        checking: How it is checked what the steps of a new run need.
        overwrite: Whether a run with other settings may be taken over.
        repeated: The run that a new one repeats.

    Raises:
        ExistsError: There is one with other settings, or of other prompts.
        DamagedError: There is one that cannot be read, and may not be overwritten.
        GoodctlError: A step of a new run would not work.
    """
    prompts = read_prompts(settings.prompts, most=settings.num_prompts, field=settings.prompt_field)
    if not folder.manifest.exists():
        return _written(_fresh(settings, prompts, folder, checking, repeated), folder)
    try:
        earlier = RunManifest.read(folder.manifest)
    except DamagedError:
        if not overwrite:
            raise
        return _written(replace(_fresh(settings, prompts, folder, checking, repeated), retaken=True), folder)
    different = _differences(earlier, settings, prompts)
    if different and not overwrite:
        raise ExistsError(
            f"{folder.path} was made with other settings: {'; '.join(different.values())}.",
            hint="Choose another --out, or make anew what they concern: --overwrite",
        )
    # Where something of a finished run is gone or changed, that is what is to be made anew, and nothing else.
    if not different and not (overwrite and earlier.finished_at and _is_whole(earlier, folder)):
        return earlier if repeated is None else replace(earlier, repeats=repeated.own_outputs())
    fresh = replace(_fresh(settings, prompts, folder, checking, repeated), retaken=True)
    if different:
        return _written(_kept(fresh, earlier, _concerned(different), folder), folder)
    _written(fresh, folder)  # before anything is deleted: a kill in between is gone on with as this run
    folder.discard_data()  # all is asked for anew
    return fresh


def _is_whole(manifest: RunManifest, folder: RunFolder) -> bool:
    found = {name: folder.path / name for name in manifest.own_outputs()}
    return all(path.is_file() and sha256_of(path) == manifest.outputs[name] for name, path in found.items())


def _differences(earlier: RunManifest, settings: RunSettings, prompts: PromptFile) -> dict[str, str]:
    different = earlier.differences(settings)
    before = earlier.prompts["sha256"]
    if "prompts" not in different and prompts.sha256 != before:
        different["prompts"] = f"{prompts.name} has changed (SHA-256 {before[:12]} → {prompts.sha256[:12]})"
    return different


def _kept(fresh: RunManifest, earlier: RunManifest, anew: set[str], folder: RunFolder) -> RunManifest:
    """A new run that keeps of an earlier one the steps that its settings do not concern."""
    kept = earlier.kept((step for step in earlier.done if step.split()[0] not in anew), folder)
    fresh = replace(fresh, done=kept.done, outputs=kept.outputs)
    if GENERATE in anew:
        return fresh
    return replace(  # what was generated stays what it is, and from the stores' versions of then
        fresh,
        settings=replace(fresh.settings, **_stores(earlier.settings)),
        asked=earlier.asked,
        threads=earlier.threads,
        batch_size=earlier.batch_size,
    )


def _written(manifest: RunManifest, folder: RunFolder) -> RunManifest:
    prepare_folder(folder.manifest)
    manifest.write(folder.manifest)
    return manifest


def _stores(settings: RunSettings) -> dict[str, Any]:
    return {side: getattr(settings, side) for side in STORES}


def _concerned(names: Iterable[str]) -> set[str]:
    """Kinds of steps that other settings concern."""
    kinds = {EVALUATE}
    for name in names:
        if table_of(name) == SCORING:
            kinds.add(SCORE)
        elif table_of(name) != EVALUATION and name not in _OF_FIGURES:
            kinds |= {GENERATE, SCORE}
    return kinds


def _fresh(
    settings: RunSettings,
    prompts: PromptFile,
    folder: RunFolder,
    checking: Checking,
    repeated: RunManifest | None,
) -> RunManifest:
    if repeated is not None and repeated.settings.prompts == settings.prompts:
        _check_same(prompts, repeated.prompts)
    keeping = pinned(settings)
    check_steps(settings, prompts, folder, checking)
    choice = settings.generation(BASE, str(folder.generated(BASE)), overwrite=False)
    default = choice.default_batch_size(choose_device(settings.device).type)
    return RunManifest(
        settings=keeping,
        asked=_stores(settings),
        prompts={"file": prompts.name, "sha256": prompts.sha256, "count": len(prompts.prompts)},
        threads=repeated.threads if repeated else torch.get_num_threads(),
        batch_size=settings.batch_size or (repeated.batch_size if repeated else default),
        folder=os.getcwd(),  # noqa: PTH109 - as the user sees it
        repeats=repeated.own_outputs() if repeated else {},
    )


def _check_same(prompts: PromptFile, before: Mapping[str, Any]) -> None:
    if prompts.sha256 != before["sha256"]:
        raise InputError(
            f"{prompts.name} is not the file that the run began with: it has changed since.",
            hint="Bring the old file back, or begin a new run with the new one.",
        )
