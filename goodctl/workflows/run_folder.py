"""The folder of a whole run: what lies where, and whether the files are those that were written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from goodctl.errors import ExistsError, ServiceError, UsageError

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class RunFolder:
    """Names of the files of a run.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def manifest(self) -> Path:
        """From which the run can be gone on with, and repeated."""
        return self.path / MANIFEST

    def generated(self, side: str) -> Path:
        """Continuations of a side."""
        return self.path / f"{side}.jsonl"

    def scored(self, side: str) -> Path:
        """The same with scores."""
        return self.path / f"{side}.scored.jsonl"

    @property
    def evaluation(self) -> Path:
        """All figures, as ``goodctl evaluate --json`` prints them."""
        return self.path / "evaluation.json"

    @property
    def figures(self) -> Path:
        """Folder of the CSV files."""
        return self.path / "figures"

    @property
    def page(self) -> Path:
        """The report."""
        return self.path / "report.html"

    def check_place(self) -> None:
        """Check that the folder is a run's, or can become one.

        Raises:
            UsageError: It is no folder.
            ExistsError: Something lies in it, and no manifest of a run.
            ServiceError: It cannot be read.
        """
        try:
            if self.path.exists() and not self.path.is_dir():
                raise UsageError(f"--out {self.path} is no folder.", hint="Name a new folder, such as --out run")
            own = {MANIFEST, f".{MANIFEST}.part"}  # the part, where a run was killed as it began
            there = {each.name for each in self.path.iterdir()} if self.path.is_dir() else set()
        except OSError as error:
            raise ServiceError(
                f"--out {self.path} cannot be read: {error.strerror}.", hint="Choose another --out."
            ) from error
        except ValueError:  # a zero byte
            raise UsageError(f"--out {str(self.path)!r} is no name.", hint="Choose another --out.") from None
        if there - own and MANIFEST not in there:
            raise ExistsError(
                f"{self.path} is not empty, and no {MANIFEST} says that it is a run's.",
                hint="Choose another --out, or empty the folder.",
            )

    def data_files(self, sides: Sequence[str]) -> Iterator[Path]:
        """Files that two runs of the same settings have in common, byte for byte, wherever they lie."""
        for side in sides:
            yield from sorted(self.path.glob(f"{side}*.jsonl"))
        for side in sides:
            yield from sorted(self.figures.glob(f"{side}*.csv"))

    def hashes(self, sides: Sequence[str]) -> dict[str, str]:
        """SHA-256 of each data file, by its name in the folder."""
        found = {}
        for path in self.data_files(sides):
            with path.open("rb") as file:
                found[path.relative_to(self.path).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
        return found
