"""The files of a journal, and whether a file is one at all."""

from __future__ import annotations

import os
from pathlib import Path

from goodctl.errors import InputError

_BEGIN = b"SQLite format 3\x00"


def journal_files(path: Path) -> tuple[Path, ...]:
    """The journal's files: itself, and what SQLite keeps beside it while it is open, and after a kill."""
    return path, Path(f"{path}-wal"), Path(f"{path}-shm"), Path(f"{path}-journal")


def refuse_foreign_journal(path: Path) -> None:
    """Refuse a file that is no database.

    Raises:
        InputError: It is none.
    """
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_file():
        raise InputError(f"{path} is no plain file.", hint="Choose another --out.")
    with path.open("rb") as file:
        begin = file.read(len(_BEGIN))
    if begin and begin != _BEGIN:  # one that was just made is empty
        raise no_journal(path)


def no_journal(path: Path) -> InputError:
    """The error for a file that is no journal."""
    return InputError(
        f"{path} is no journal of goodctl.", hint="Choose another --out, or let the file be replaced: --overwrite"
    )
