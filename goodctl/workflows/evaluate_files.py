"""The files that an evaluation leaves: CSV tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from goodctl.errors import UsageError
from goodctl.evaluation.csv_files import csv_files, csv_stem
from goodctl.evaluation.results import Evaluation
from goodctl.workflows.lines import prepare_folder, replace_text


@dataclass(frozen=True)
class Outputs:
    """Where an evaluation is written, checked before anything is computed.

    Attributes:
        csv: Folder of the CSV files, or None.
    """

    csv: Path | None = None

    @classmethod
    def prepared(cls, files: Sequence[str], csv: str | None = None) -> Outputs:
        """Check that the outputs can be told apart.

        Args:
            files: That will be evaluated.
            csv: Folder of the CSV files.

        Raises:
            UsageError: A path is none that can be written, or two files would give CSV files of one name.
        """
        if csv is not None:
            _check_folder(csv)
            stems = [csv_stem(file) for file in files]
            for number, stem in enumerate(stems):
                if stem in stems[:number]:
                    first = files[stems.index(stem)]
                    raise UsageError(
                        f"{first} and {files[number]} would both give {stem}_toxicity.csv.",
                        hint="Evaluate them one after another, each with a --csv folder of its own.",
                    )
        return cls(None if csv is None else Path(csv))

    def write(self, evaluation: Evaluation) -> tuple[str, ...]:
        """Write everything; each file is the old one or the new one at any moment.

        Returns:
            The files' paths.

        Raises:
            ServiceError: The disk does not take a file.
        """
        written = []
        for file in evaluation.files if self.csv is not None else ():
            for name, text in csv_files(file).items():
                assert self.csv is not None
                path = self.csv / name
                prepare_folder(path)
                replace_text(path, text)
                written.append(str(path))
        return tuple(written)


def _check_folder(folder: str) -> None:
    if not folder.strip():
        raise UsageError("--csv names no folder.", hint="Write for example: --csv figures")
    if Path(folder).exists() and not Path(folder).is_dir():
        raise UsageError(f"--csv {folder} is a file, and a folder is needed.", hint="Write for example: --csv figures")
