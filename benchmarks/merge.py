"""Claim: merging copies at no less than 0.6 of the speed at which ``cp -r`` copies the same stores.

    python benchmarks/merge.py [--sync] [--check] [STORE STORE...]

Without STOREs: stores of random rows of dimension 640 (float16 keys). Both sides write into new folders beside each
other, by turns, after everything that was written before has reached the disk; the shortest time of each counts. Inputs
lie in the system's page cache. Merging is the function that the command calls, imported before; ``cp`` is a process.

--sync shows besides how long it takes until all is on the disk. --check shows merging that compares everything it reads
with its hashes. ``cp`` copies every version of a STORE and merging only the newest: take STOREs of one version. Where
a file system clones (btrfs, xfs), ``cp`` copies nothing: take another.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from measuring import Claim, parser, report
from stores import random_rows, write

from goodctl.index.codec_choices import AUTO
from goodctl.workflows.merge import MergeChoice, merge

CP, MERGE, CHECKED = "cp -r", "merge", "merge --check"
TARGET = ">= 0.6"

Side = Callable[[Path], object]
"""Copies all stores into a folder."""


def copy(stores: Sequence[str], folder: Path) -> None:
    """What merging is measured against."""
    subprocess.run(["cp", "-r", *stores, str(folder)], check=True)


def merged(stores: Sequence[str], choice: MergeChoice, folder: Path) -> None:
    """Merge into a new store."""
    merge(stores, out=str(folder / "merged"), choice=choice)


def shortest(sides: Mapping[str, Side], repeats: int, folder: Path) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Run the sides by turns.

    Returns:
        Of each side its shortest seconds, until it returned and until all was on the disk; and bytes that it wrote.
    """
    seconds, written = {name: [float("inf")] * 2 for name in sides}, {}
    for repeat in range(repeats):
        for number, (name, run) in enumerate(sides.items()):
            target = folder / f"out-{repeat}-{number}"
            target.mkdir()
            os.sync()
            started = time.perf_counter()
            run(target)
            returned = time.perf_counter() - started
            os.sync()
            both = returned, time.perf_counter() - started
            seconds[name] = [min(pair) for pair in zip(seconds[name], both, strict=True)]
            written[name] = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
            shutil.rmtree(target)
    return seconds, written


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("stores", nargs="*", metavar="STORE", help="to be merged (default: random ones)")
    options.add_argument("--count", type=int, default=2, help="of random stores (default: %(default)s)")
    options.add_argument("--rows", type=int, default=500_000, help="of each random store (default: %(default)s)")
    options.add_argument("--dimension", type=int, default=640, help="of their keys (default: %(default)s)")
    options.add_argument("--codec", default=AUTO, help="as of the command (default: %(default)s)")
    options.add_argument("--sync", action="store_true", help="show also the time until all is on the disk")
    options.add_argument("--check", action="store_true", help="show also merging that checks hashes")
    options.add_argument("--repeats", type=int, default=5, help="default: %(default)s")
    options.add_argument(
        "--folder", type=Path, help="to write to (default: beside the first STORE, or a temporary one)"
    )
    chosen = options.parse_args(arguments)

    beside = Path(chosen.stores[0]).resolve().parent if chosen.stores else None
    with tempfile.TemporaryDirectory(dir=chosen.folder or beside) as name:
        folder = Path(name)
        stores: list[str] = chosen.stores or [str(folder / f"store-{number}") for number in range(chosen.count)]
        if not chosen.stores:
            for seed, store in enumerate(stores):
                write(Path(store), random_rows(chosen.rows, chosen.dimension, seed), f"job{seed:08d}")
        # Duplicates are copied as well: cp does not leave them out either.
        choice = partial(MergeChoice, keep_duplicates=True, codec=chosen.codec)
        sides: dict[str, Side] = {CP: partial(copy, stores), MERGE: partial(merged, stores, choice())}
        if chosen.check:
            sides[CHECKED] = partial(merged, stores, choice(check=True))
        seconds, written = shortest(sides, chosen.repeats, folder)

    table: list[dict[str, Any]] = []
    claims = []
    for column, until in enumerate(("returned", "on the disk")[: 1 + chosen.sync]):
        for name in sides:
            share, megabytes = seconds[CP][column] / seconds[name][column], written[name] / 1e6
            row = {"side": name, "until": until, "seconds": seconds[name][column], "MB": megabytes}
            table.append({**row, "MB/s": megabytes / seconds[name][column], "of cp's speed": share})
            if name != CP:
                suffix = ", on the disk" if column else ""
                claims.append(Claim(f"cp/{name}{suffix}", share, TARGET if name == MERGE else None))
    claims.append(Claim("bytes merge/cp", written[MERGE] / written[CP]))
    report(chosen, table, claims)


if __name__ == "__main__":
    main()
