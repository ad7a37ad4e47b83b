"""What a run of scoring finds where its output is to be: nothing, its own beginning, its end, or something else."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from goodctl.corpus.passages import PassageFile
from goodctl.errors import ConflictError, DamagedError, ExistsError, InputError, ServiceError, UsageError
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

    Where an earlier one of another scorer may be overwritten, it stays until all is answered: what a run that ends
    early has been answered lies beside it, and the same command goes on with that. A journal without answers is not
    left behind.

    Raises:
        GoodctlError: What is there is no journal, damaged, or of another scorer, and may not be overwritten; or
            another program has it open.
    """
    place, journal = _opened(choice, identity)
    is_empty, complete = False, False
    try:
        with journal:
            try:
                yield journal
                complete = True
            finally:
                is_empty = journal.is_empty()
    finally:
        if is_empty:
            discard(*journal_files(place))
        elif complete and place != choice.journal:
            _take_its_place(choice)


def _opened(choice: ScoreChoice, identity: Identity) -> tuple[Path, Journal]:
    if choice.next_journal.is_file() and not choice.journal.exists():  # killed while it took the other's place
        _take_its_place(choice)
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


def _take_its_place(choice: ScoreChoice) -> None:
    """The new journal, which is closed and so one file, in place of the old one."""
    discard(*journal_files(choice.journal)[1:])  # they belong to the old one
    try:
        choice.next_journal.replace(choice.journal)
    except OSError as error:
        raise ServiceError(
            f"{choice.journal} cannot be written: {error.strerror}.", hint="Run the same command again: it goes on."
        ) from error
    discard(*journal_files(choice.next_journal))
