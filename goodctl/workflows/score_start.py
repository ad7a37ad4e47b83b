"""What a run of scoring finds where its output is to be: nothing, its own beginning, its end, or something else."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from goodctl.corpus.passages import PassageFile
from goodctl.errors import ConflictError, DamagedError, ExistsError, GoodctlError, InputError, UsageError
from goodctl.scoring.protocol import Identity
from goodctl.workflows.journal import Journal
from goodctl.workflows.journal_files import journal_files
from goodctl.workflows.lines import discard
from goodctl.workflows.score_choice import ScoreChoice
from goodctl.workflows.score_manifest import ScoreManifest


def refuse_foreign(choice: ScoreChoice, source: PassageFile) -> None:
    """Refuse an output that no run of ours began, whatever else is asked for.

    Raises:
        UsageError: It is the file of the texts, or no plain file.
        ExistsError: There is no manifest beside it.
    """
    outputs = (Path(choice.out), choice.raw_answers, choice.manifest)
    for path in (*outputs, *journal_files(choice.journal)):
        if not os.path.lexists(path):
            continue
        if path.is_symlink() or not path.is_file():
            raise UsageError(f"{path} is no plain file.", hint="Choose another --out.")
        if path.samefile(source.file.path):
            raise UsageError(f"{path} is the file of the texts.", hint="Choose another --out.")
        if path in outputs and not choice.manifest.exists():
            raise ExistsError(
                f"{path} is there already, and no manifest says how it was made.",
                hint="Choose another --out, or delete the file.",
            )


def begun(choice: ScoreChoice, asked: ScoreManifest) -> tuple[ScoreManifest, bool]:
    """The manifest of an earlier run of the same settings, or a new one, and whether it is new.

    Raises:
        ExistsError: There is an output of other settings; says what differs.
        InputError: What lies there is no manifest of scores.
        DamagedError: It is one that cannot be read, and may not be overwritten.
    """
    if not choice.manifest.exists():
        return asked, True
    try:
        earlier = ScoreManifest.read(choice.manifest)
    except DamagedError:
        if choice.overwrite:
            return asked, True
        raise
    different = earlier.differences(asked)
    if not different:
        return replace(earlier, scorer=asked.scorer, input=asked.input), False
    if not choice.overwrite and Path(choice.out).exists():
        raise ExistsError(
            f"{choice.out} was made with other settings: {'; '.join(different)}.",
            hint="Choose another --out, or discard it: --overwrite (the scorer's answers are kept where they fit)",
        )
    return asked, True


def is_finished(choice: ScoreChoice, manifest: ScoreManifest) -> bool:
    """Whether an earlier run has left nothing to do."""
    there = Path(choice.out).exists() and (choice.emit is None or choice.raw_answers.exists())
    return there and manifest.finished_at is not None and not manifest.counts.failed and not choice.overwrite


def open_journal(choice: ScoreChoice, identity: Identity) -> Journal:
    """The journal of the output, an earlier one where it fits.

    Raises:
        GoodctlError: What is there is no journal, damaged, or of another scorer, and may not be overwritten; or
            another program has it open.
    """
    try:
        return Journal(choice.journal, identity)
    except ConflictError:
        raise
    except (ExistsError, InputError, DamagedError) as error:
        if not choice.overwrite:
            raise
        _discard_journal(choice, error)
        return Journal(choice.journal, identity)


def _discard_journal(choice: ScoreChoice, reason: GoodctlError) -> None:
    if choice.journal.is_symlink() or not choice.journal.is_file():
        raise reason
    discard(*journal_files(choice.journal))
