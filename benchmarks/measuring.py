"""What all benchmarks share: timing in alternation, claims with their targets, the machine, real text, the report.

Nothing heavy is imported here: a process that starts others must stay small, for on Linux the peak memory of a child
begins at that of its parent.
"""

from __future__ import annotations

import argparse
import gzip
import json
import operator
import os
import platform
import random
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "icechunk", "zarr")
_COMPARISONS = {">=": operator.ge, "<=": operator.le, "<": operator.lt}


@dataclass(frozen=True)
class Claim:
    """A figure that is promised.

    Attributes:
        name: What it is, as one word for JSON.
        value: As measured; for most claims a ratio.
        target: A comparison and a number such as ``">= 4.5"``; None for a figure that only informs.
    """

    name: str
    value: float
    target: str | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.target is None:
            return None
        comparison, bound = self.target.split()
        return bool(_COMPARISONS[comparison](self.value, float(bound)))

    def line(self) -> str:
        """For people."""
        verdict = "" if self.target is None else f"  (target {self.target}: {'met' if self.met else 'MISSED'})"
        return f"{self.name} = {_cell(self.value)}{verdict}"


def alternate(sides: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Time several functions by turns, so that a slow stretch of the machine meets all of them.

    Returns:
        The shortest time of each, in seconds.
    """
    shortest = dict.fromkeys(sides, float("inf"))
    for _ in range(repeats):
        for name, run in sides.items():
            started = time.perf_counter()
            run()
            shortest[name] = min(shortest[name], time.perf_counter() - started)
    return shortest


def paragraphs(files: Sequence[Path], seed: int) -> list[str]:
    """The lines of text files (plain or .gz), one document each, in a random order that the seed fixes."""
    found = []
    for path in files:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as stream:
            found += [line.strip() for line in stream if line.strip()]
    random.Random(seed).shuffle(found)
    return found


def machine() -> dict[str, str]:
    """Processor, cores, versions and commit."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = {"cpu": _processor(), "cores": str(cores), "python": platform.python_version()}
    if threads := os.environ.get("OMP_NUM_THREADS"):
        found["OMP_NUM_THREADS"] = threads
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return {**found, "commit": _commit()}


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def parser(docstring: str | None) -> argparse.ArgumentParser:
    """An argument parser that shows the script's docstring and knows ``--json``."""
    made = argparse.ArgumentParser(description=docstring, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    return made


def with_texts(made: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The same parser with text files, a model, a device and a seed."""
    made.add_argument("texts", nargs="+", type=Path, metavar="TEXTFILE", help="one document a line; may be .gz")
    made.add_argument(
        "--model", default="gemma3-270m", help="alias, folder, .gguf file or hub id (default: %(default)s)"
    )
    made.add_argument("--device", default="cpu", help="default: %(default)s")
    made.add_argument("--seed", type=int, default=0, help="chooses which documents (default: %(default)s)")
    return made


def report(options: argparse.Namespace, rows: Sequence[Mapping[str, Any]], claims: Sequence[Claim]) -> None:
    """Print the measurements as a table, the claims and the machine; or all of it as JSON.

    Args:
        options: As parsed; shown in JSON as the settings.
        rows: Measurements under the same names in each row.
        claims: What follows from them.
    """
    if options.json:
        settings = {name: value for name, value in vars(options).items() if name not in {"json", "texts"}}
        settings |= {"texts": [path.name for path in options.texts]} if "texts" in options else {}
        ratios = {claim.name: {"value": claim.value, "target": claim.target, "met": claim.met} for claim in claims}
        print(json.dumps({"machine": machine(), "settings": settings, "measurements": list(rows), "ratios": ratios}))
        return
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for row in cells:
        first, *others = (
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *others]).rstrip())
    print()
    for claim in claims:
        print(claim.line())
    print("\n" + ", ".join(f"{name} {value}" for name, value in machine().items()))


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
