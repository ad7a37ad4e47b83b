"""The files that an evaluation leaves: CSV tables and the report page."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from goodctl.errors import ServiceError, UsageError
from goodctl.evaluation.csv_files import csv_files, csv_stem
from goodctl.evaluation.results import Evaluation
from goodctl.workflows.lines import MOST_NAME_BYTES, prepare_folder, replace_text

_PAGES = {".html", ".htm"}
_LONGEST_ENDING = "_perplexity_groupby.csv"


@dataclass(frozen=True)
class Outputs:
    """Where an evaluation is written, checked before anything is computed.

    Attributes:
        csv: Folder of the CSV files, or None.
        html: The report page, or None.
    """

    csv: Path | None = None
    html: Path | None = None

    @classmethod
    def prepared(cls, files: Sequence[str], csv: str | None = None, html: str | None = None) -> Outputs:
        """Check that the outputs can be made, and told apart.

        Args:
            files: That will be evaluated.
            csv: Folder of the CSV files.
            html: The report page.

        Raises:
            UsageError: A path is none that can be written, or two files would give CSV files of one name.
            MissingDependency: The report's plots need a package that is not installed.
        """
        if csv is not None:
            _check_folder(csv)
            _check_stems(files)
            _check_writable("--csv", csv, [Path(csv) / f"{csv_stem(file)}{_LONGEST_ENDING}" for file in files])
        if html is not None:
            _check_page(html)
            _check_writable("--html", html, [Path(html)])
        return cls(None if csv is None else Path(csv), None if html is None else Path(html))

    def write(self, evaluation: Evaluation) -> tuple[str, ...]:
        """Write everything; each file is the old one or the new one at any moment.

        Returns:
            The files' paths.

        Raises:
            ServiceError: The disk does not take a file.
        """
        written = []
        if self.csv is not None:
            for file in evaluation.files:
                for name, text in csv_files(file).items():
                    with _for_option("--csv"):
                        prepare_folder(self.csv / name)
                        replace_text(self.csv / name, text)
                    written.append(str(self.csv / name))
        if self.html is not None:
            from goodctl.evaluation.report import write_report

            with _for_option("--html"):
                prepare_folder(self.html)
                write_report(evaluation, self.html)
            written.append(str(self.html))
        return tuple(written)


def _check_folder(folder: str) -> None:
    if not folder.strip():
        raise UsageError("--csv names no folder.", hint="Write for example: --csv figures")
    if os.path.lexists(folder) and not Path(folder).is_dir():
        raise UsageError(f"--csv {folder} is a file, and a folder is needed.", hint="Write for example: --csv figures")


def _check_stems(files: Sequence[str]) -> None:
    stems = [csv_stem(file) for file in files]
    for number, stem in enumerate(stems):
        if stem in stems[:number]:
            first = files[stems.index(stem)]
            raise UsageError(
                f"{first} and {files[number]} would both give {stem}_toxicity.csv.",
                hint="Evaluate them one after another, each with a --csv folder of its own.",
            )


def _check_page(page: str) -> None:
    from goodctl.evaluation.plot_style import require_plots

    if Path(page).suffix.lower() not in _PAGES or os.path.isdir(page):  # noqa: PTH112 - says False, too, where a name is too long
        raise UsageError(f"--html {page} is no .html file.", hint="Write for example: --html report.html")
    require_plots()


def _check_writable(option: str, given: str, paths: Sequence[Path]) -> None:
    """Check, before anything is computed, that the disk would take files."""
    longest = max(len(os.fsencode(path.name)) for path in paths)
    try:
        if longest > MOST_NAME_BYTES:
            raise OSError(0, f"a file's name would have {longest} bytes, and {MOST_NAME_BYTES} are possible")
        folder = paths[0].absolute().parent
        while not os.path.lexists(folder):
            folder = folder.parent
        with tempfile.TemporaryFile(dir=folder):  # a folder's rights do not tell all, as for a disk that is read only
            pass
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"{option} {given} cannot be written: {why}.", hint=_other(option)) from error


@contextlib.contextmanager
def _for_option(option: str) -> Iterator[None]:
    """Let errors of writing name the option that says where."""
    try:
        yield
    except ServiceError as error:
        raise ServiceError(error.message, hint=_other(option)) from error


def _other(option: str) -> str:
    return f"Choose another {option}, or make room there."
