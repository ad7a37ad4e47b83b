"""The folder of a whole run: what lies where, and whether the files are those that were written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from goodctl.errors import ExistsError, ServiceError, UsageError
from goodctl.evaluation.csv_files import csv_stem
from goodctl.workflows.lines import discard
from goodctl.workflows.run_settings import BASE, STEERED

MANIFEST = "manifest.json"
GENERATE, SCORE, EVALUATE = "generate", "score", "evaluate"
SIDES = (BASE, STEERED)


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
        if "\0" in str(self.path):
            raise UsageError(f"--out {str(self.path)!r} is no name.", hint="Choose another --out.")
        try:
            if self.path.exists() and not self.path.is_dir():
                raise UsageError(f"--out {self.path} is no folder.", hint="Name a new folder, such as --out run")
            own = {MANIFEST, f".{MANIFEST}.part"}  # the part, where a run was killed as it began
            there = {each.name for each in self.path.iterdir()} if self.path.is_dir() else set()
        except OSError as error:
            raise ServiceError(
                f"--out {self.path} cannot be read: {error.strerror}.", hint="Choose another --out."
            ) from error
        if there - own and MANIFEST not in there:
            raise ExistsError(
                f"{self.path} is not empty, and no {MANIFEST} says that it is a run's.",
                hint="Choose another --out, or empty the folder.",
            )

    def files_of(self, step: str) -> tuple[Path, ...]:
        """Data files that a step has written: the same settings give the same bytes, wherever they lie.

        Args:
            step: ``generate SIDE``, ``score SIDE`` or ``evaluate``.
        """
        kind, _, side = step.partition(" ")
        if kind == EVALUATE:
            stems = [csv_stem(str(self.scored(each))) for each in SIDES]
            return tuple(sorted(path for stem in stems for path in self.figures.glob(f"{stem}_*.csv")))
        out = self.generated(side) if kind == GENERATE else self.scored(side)
        beside = ".explain.jsonl" if kind == GENERATE else ".perspective.jsonl"
        return tuple(path for path in (out, out.with_name(f"{out.name}{beside}")) if path.exists())

    def name(self, path: Path) -> str:
        """What a file is called in the folder."""
        return path.relative_to(self.path).as_posix()

    def hashes(self, step: str) -> dict[str, str]:
        """SHA-256 of each data file that a step has written, by its name in the folder."""
        return {self.name(path): sha256_of(path) for path in self.files_of(step)}

    def discard_data(self) -> None:
        """Delete what was generated and scored, but for the scorers' answers; the manifests beside it last.

        Raises:
            ServiceError: A file cannot be deleted.
        """
        for side in SIDES:
            for out in (self.scored(side), self.generated(side)):
                discard(*(path for kind in (GENERATE, SCORE) for path in self.files_of(f"{kind} {side}")))
                discard(out.with_name(f"{out.name}.manifest.json"))

    def discard_figures(self, but: Iterable[str] = ()) -> None:
        """Delete figures that are those of other settings.

        Args:
            but: Paths of those that stay.

        Raises:
            ServiceError: A file cannot be deleted.
        """
        keep = {Path(path) for path in but}
        discard(*(path for path in (*self.files_of(EVALUATE), self.page, self.evaluation) if path not in keep))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        ServiceError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ServiceError(f"{path} cannot be read: {error.strerror}.", hint="Check its rights.") from error
