"""Claim: merging, sharding, compacting, removing and verifying take bounded memory, whatever the number of rows.

    python benchmarks/version_memory.py

Each runs in a process of its own, on a store of N random rows and on one of 10 N, by turns. The peak is the kernel's,
of the whole process; what the same process takes that only imports is taken off. Half of the rows of each store are one
segment, the others are in small ones (--small): ten times the rows are ten times the parts and about ten times the
segments. Two sources take turns, document by document, so that removing one of them cuts every part.

Rows are read and written in parts of up to 64 MiB: take --rows such that the smaller store's large segment has several.
The larger store takes 2.9 GB of disk by default, and up to twice as much again beside it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from measuring import Claim, parser, report

TIMES = 10
TARGET = "< 1.5"
STORE, OTHER, OUT, REMOVED = "store", "other", "out", "odd.txt"


@dataclass(frozen=True)
class Action:
    """What a process does.

    Attributes:
        imports: Statements; a process that does no more is the baseline.
        call: An expression over ``store``, ``other`` and ``out``.
        writes: Whether it changes the store, and so gets a copy.
    """

    imports: str
    call: str
    writes: bool = False


ACTIONS = {
    "merge": Action("from goodctl.workflows.merge import merge", "merge([store, other], out=out)"),
    "shard": Action("from goodctl.datastore.sharding import shard", "shard(store, out, count=3)"),
    "compact": Action("from goodctl.datastore.compaction import compact", "compact(store)", writes=True),
    "remove": Action(
        "from goodctl.datastore.removal import remove; from goodctl.datastore.removal_plan import Removal",
        f"remove(store, Removal(sources=({REMOVED!r},)))",
        writes=True,
    ),
}
if importlib.util.find_spec("goodctl.workflows.verify"):
    ACTIONS["verify"] = Action("from goodctl.workflows.verify import verify", "verify(store)")


def make(folder: str, rows: int, small: int, dimension: int) -> None:
    """Write a store of half of the rows in one segment and the others in small ones, and a small store beside it.

    Called in a process of its own, which alone imports what it needs: on Linux the peak memory of a child begins at
    that of its parent.
    """
    from dataclasses import replace

    import numpy as np
    from remove import write_languages
    from stores import random_rows

    sizes = [rows // 2, *[small] * (rows // 2 // small)]
    for number, (store, size) in enumerate([*((STORE, size) for size in sizes), (OTHER, small)]):
        blocks = [
            replace(block, sources=(np.arange(len(block.sources)) % 2).astype(np.int32))
            for block in random_rows(size, dimension, number)
        ]
        write_languages(Path(folder) / store, {"en": blocks}, f"job{number:08d}", ("even.txt", REMOVED))


def peak(code: str, *words: str) -> int:
    """Largest resident memory of a Python process, in bytes."""
    process = subprocess.Popen([sys.executable, "-c", code, *words], cwd=Path(__file__).parent)
    _, status, usage = os.wait4(process.pid, 0)  # RUSAGE_CHILDREN would give the largest of all children
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{code} ended with exit code {process.returncode}.")
    return int(usage.ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


def peak_of(action: Action, folder: Path) -> int:
    """Peak of an action on the store in a folder, which stays as it is."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        store = folder / STORE
        if action.writes:
            store = shutil.copytree(store, Path(name) / STORE)
        code = f"import sys; {action.imports}; store, other, out = sys.argv[1:]; {action.call}"
        return peak(code, str(store), str(folder / OTHER), str(Path(name) / OUT))


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=250_000, help="N (default: %(default)s)")
    options.add_argument("--small", type=int, default=25_000, help="rows of a small segment (default: %(default)s)")
    options.add_argument("--dimension", type=int, default=576, help="of a key (default: %(default)s)")
    options.add_argument("--actions", nargs="+", choices=ACTIONS, default=list(ACTIONS), help="default: all")
    options.add_argument("--repeats", type=int, default=2, help="default: %(default)s")
    options.add_argument("--folder", type=Path, help="on the disk to write to (default: the system's temporary one)")
    chosen = options.parse_args(arguments)

    sizes = (chosen.rows, TIMES * chosen.rows)
    imports, peaks = dict[str, int](), dict[tuple[str, int], int]()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        folders = {rows: Path(name).resolve() / str(rows) for rows in sizes}
        for rows, folder in folders.items():
            folder.mkdir()
            peak(
                "import sys; from version_memory import make; make(sys.argv[1], *map(int, sys.argv[2:]))",
                *(str(folder), str(rows), str(chosen.small), str(chosen.dimension)),
            )
        for _ in range(chosen.repeats):
            for what in chosen.actions:
                imports[what] = min(imports.get(what, sys.maxsize), peak(ACTIONS[what].imports))
                for rows, folder in folders.items():
                    found = peak_of(ACTIONS[what], folder)
                    peaks[what, rows] = min(peaks.get((what, rows), sys.maxsize), found)
    table = [
        {
            "what": what,
            "rows": rows,
            "MiB of rows": rows * (2 * chosen.dimension + 4) / 2**20,
            "peak MiB": found / 2**20,
            "imports MiB": imports[what] / 2**20,
            "more MiB": (found - imports[what]) / 2**20,
        }
        for (what, rows), found in peaks.items()
    ]
    small, large = sizes
    claims = [
        Claim(
            f"{what} 10N/N", (peaks[what, large] - imports[what]) / max(1, peaks[what, small] - imports[what]), TARGET
        )
        for what in chosen.actions
    ]
    report(chosen, table, claims)


if __name__ == "__main__":
    main()
