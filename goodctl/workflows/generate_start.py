"""What a run of generation finds where its output is to be: nothing, its own beginning, or something else."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import torch

from goodctl.corpus.prompts import PromptFile
from goodctl.errors import DamagedError, ExistsError, UsageError
from goodctl.models.device import choose_device, choose_precision
from goodctl.workflows.generate_choice import GenerateChoice
from goodctl.workflows.lines import complete_lines
from goodctl.workflows.manifest import Manifest
from goodctl.workflows.model_choice import ModelChoice
from goodctl.workflows.steering import Steering


def refuse_foreign(choice: GenerateChoice) -> None:
    """Refuse an output that no run of ours began, whatever else is asked for.

    Raises:
        UsageError: It is the file of the prompts, or no plain file.
        ExistsError: There is no manifest beside it.
    """
    for path in (Path(choice.out), choice.explanations, choice.manifest):
        if not os.path.lexists(path):
            continue
        if path.is_symlink() or not path.is_file():
            raise UsageError(f"{path} is no plain file.", hint="Choose another --out.")
        if path.samefile(choice.prompts):
            raise UsageError(f"{path} is the file of the prompts.", hint="Choose another --out.")
        if not choice.manifest.exists():
            raise ExistsError(
                f"{path} is there already, and no manifest says how it was made.",
                hint="Choose another --out, or delete the file.",
            )


def begun(choice: GenerateChoice, file: PromptFile, prepared: Steering, model: ModelChoice) -> tuple[Manifest, bool]:
    """The manifest of an earlier run of the same settings, or a new one, and whether it is new.

    An unfinished run of the same settings is gone on with also where an output may be overwritten: so the same command
    comes to its end.

    Raises:
        ExistsError: There is an output of other settings.
        InputError: What lies there is no manifest of ours.
        DamagedError: It is one that cannot be read, and may not be overwritten.
    """
    device = choose_device(model.device)
    fresh = Manifest(
        command="generate",
        settings={**prepared.describe(), **choice.settings()},
        prompts={"file": file.name, "sha256": file.sha256, "count": len(file.prompts)},
        batch_size=choice.batch_size or choice.default_batch_size(device.type),
        threads=torch.get_num_threads(),
        device=str(device),
        precision=choose_precision(model.precision, device),
        measured=dict(prepared.measured),
    )
    if not choice.manifest.exists():
        return fresh, True
    try:
        earlier = Manifest.read(choice.manifest)
    except DamagedError:
        if choice.overwrite:
            return fresh, True
        raise
    asked = fresh
    if prepared.measured and earlier.measured:  # what was measured then holds until the end
        asked = replace(fresh, settings={**fresh.settings, "temperature": earlier.settings.get("temperature")})
    different = earlier.differences(asked)
    if choice.batch_size is not None and choice.batch_size != earlier.batch_size:
        different.append(f"batch_size: {earlier.batch_size} → {choice.batch_size}")
    if not different and not (choice.overwrite and earlier.finished_at):
        return earlier, False
    if not choice.overwrite and complete_lines(Path(choice.out)):
        raise ExistsError(
            f"{choice.out} was made with other settings: {'; '.join(different)}.",
            hint="Choose another --out, or discard it: --overwrite",
        )
    return fresh, True
