"""What a run of scoring finds where its output is to be: nothing, its own beginning, its end, or something else."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from goodctl.corpus.passages import PassageFile
from goodctl.errors import ConflictError, DamagedError, ExistsError, InputError, UsageError
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
    for path in (*outputs, *journal_files(choice.journal), *journal_files(choice.next_journal)):
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


@contextlib.contextmanager
def answering(choice: ScoreChoice, identity: Identity) -> Iterator[Journal]:
    """The journal that a run adds its answers to: an earlier one of the same scorer, or a new one.

    Where an earlier one of another scorer may be overwritten, it stays until the run ends and has an answer of its own.
    A journal without answers is not left behind.

    Raises:
        GoodctlError: What is there is no journal, damaged, or of another scorer, and may not be overwritten; or
            another program has it open.
    """
    place, journal = _opened(choice, identity)
    answers = 1  # until it is known
    try:
        with journal:
            try:
                yield journal
            finally:
                journal.commit()
                answers = journal.highest()
    finally:
        if not answers:
            discard(*journal_files(place))
        elif place != choice.journal:
            discard(*journal_files(choice.journal))
            for new, old in zip(journal_files(place), journal_files(choice.journal), strict=True):
                if new.exists():
                    new.replace(old)


def _opened(choice: ScoreChoice, identity: Identity) -> tuple[Path, Journal]:
    for place in (choice.journal, choice.next_journal):
        try:
            return place, Journal(place, identity)
        except ConflictError:
            raise
        except (ExistsError, InputError, DamagedError):
            if not choice.overwrite or place.is_symlink() or not place.is_file():
                raise
    discard(*journal_files(choice.next_journal))  # begun by a scorer that is given up with this
    return choice.next_journal, Journal(choice.next_journal, identity)
