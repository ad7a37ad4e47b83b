"""What a run of generation finds where its output is to be: nothing, its own beginning, or something else."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from goodctl.corpus.prompts import PromptFile
from goodctl.errors import DamagedError, ExistsError, InputError, UsageError
from goodctl.models.device import choose_device, choose_precision
from goodctl.workflows.batches import is_line_of
from goodctl.workflows.generate_choice import GenerateChoice
from goodctl.workflows.growing import Extent, found_extent
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


def refuse_two_prompts(file: PromptFile) -> None:
    """Refuse a record whose field ``prompt`` is not what is continued: whoever reads the output takes it for that.

    Raises:
        InputError: There is one; names its line.
    """
    for prompt in file.prompts:
        stated = prompt.columns["prompt"]
        if isinstance(stated, dict):
            stated = stated.get("text")
        if (stated or "") != prompt.text:
            raise InputError(
                f"{file.name}:{prompt.line}: the field 'prompt' is not the prompt that --prompt-field names, and would "
                "be taken for it in the output",
                hint="Rename that field in the file.",
            )


@dataclass(frozen=True)
class Begun:
    """From where a run goes on.

    Attributes:
        manifest: Of an earlier run of the same settings, or a new one.
        fresh: Whether it is new.
        written: What is there of the output.
        explained: What is there of the explanations.
    """

    manifest: Manifest
    fresh: bool = True
    written: Extent = field(default_factory=Extent)
    explained: Extent = field(default_factory=Extent)


def begun(choice: GenerateChoice, file: PromptFile, prepared: Steering, model: ModelChoice) -> Begun:
    """From where a run goes on: from where an earlier one of the same settings was left, or from the beginning.

    An unfinished run of the same settings is gone on with also where an output may be overwritten: so the same command
    comes to its end.

    Raises:
        ExistsError: There is an output of other settings, or one that somebody has changed.
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
        return Begun(fresh)
    try:
        earlier = Manifest.read(choice.manifest)
    except DamagedError:
        if choice.overwrite:
            return Begun(fresh)
        raise
    asked = fresh
    if prepared.measured and earlier.measured:  # what was measured then holds until the end
        asked = replace(fresh, settings={**fresh.settings, "temperature": earlier.settings.get("temperature")})
    different = earlier.differences(asked)
    if choice.batch_size is not None and choice.batch_size != earlier.batch_size:
        different.append(f"batch_size: {earlier.batch_size} → {choice.batch_size}")
    if not different and not (choice.overwrite and earlier.finished_at):
        try:
            return _gone_on(choice, file, earlier)
        except ExistsError:
            if not choice.overwrite:
                raise
            return Begun(fresh)
    if not choice.overwrite and Path(choice.out).exists() and Path(choice.out).stat().st_size:
        raise ExistsError(
            f"{choice.out} was made with other settings: {'; '.join(different)}.",
            hint="Choose another --out, or discard it: --overwrite",
        )
    return Begun(fresh)


def _gone_on(choice: GenerateChoice, file: PromptFile, earlier: Manifest) -> Begun:
    """What an earlier run has left. Without its output it begins again, with the same batches.

    Raises:
        ExistsError: Somebody has changed it.
    """
    finished = earlier.finished_at is not None
    out, explanations = Path(choice.out), choice.explanations

    def belongs(number: int, line: bytes) -> bool:
        return number < len(file.prompts) and is_line_of(file.prompts[number], line)

    def explains(number: int, line: bytes) -> bool:
        return number < choice.explain and line.startswith(b"{")

    written = found_extent(out, earlier.written, finished=finished, belongs=belongs)
    if not written.prompts:
        return Begun(earlier.begun_again(), fresh=False)
    explained = found_extent(explanations, earlier.explained, finished=finished, belongs=explains)
    if explained != earlier.explained:
        raise ExistsError(f"{explanations} is gone.", hint="Choose another --out, or discard the rest: --overwrite")
    return Begun(earlier, False, written, explained)
