"""Claims: log, inspect and opening take less than a second, with hundreds of versions and with a million rows.

    python benchmarks/versions.py [--store STORE]

One store gets a version and a segment by each of 300 small additions, another has a million random rows of dimension
576 in one version (--store takes a given one in its place, which is only read). Timed are the functions, and the whole
commands as processes, which is what a user waits for. Files are in the system's page cache; the shortest time counts.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from measuring import Claim, alternate, parser, report
from stores import jobs, random_rows, write

from goodctl.datastore.history import log
from goodctl.datastore.store import Datastore
from goodctl.datastore.summary import summary

TARGET = "< 1"
ADDED_ROWS = 50
HELP = (sys.executable, "-m", "goodctl", "--help")


def describe(store: str) -> None:
    """What ``inspect`` computes."""
    summary(Datastore.open(store))


def command(name: str, store: str) -> None:
    """Run a whole command."""
    words = [sys.executable, "-m", "goodctl", "datastore", name, store]
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True)


def with_versions(store: Path, commits: int, dimension: int) -> str:
    """Make a store by many additions."""
    blocks, names = random_rows(ADDED_ROWS, dimension, 0), jobs("version")
    for _ in range(commits):
        write(store, blocks, next(names))
    return str(store)


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--store", help="large datastore (default: one of random rows)")
    options.add_argument("--rows", type=int, default=1_000_000, help="of the random one (default: %(default)s)")
    options.add_argument("--dimension", type=int, default=576, help="of random keys (default: %(default)s)")
    options.add_argument("--commits", type=int, default=300, help="of the other store (default: %(default)s)")
    options.add_argument("--repeats", type=int, default=5, help="default: %(default)s")
    options.add_argument("--folder", type=Path, help="on the disk to write to (default: the system's temporary one)")
    chosen = options.parse_args(arguments)

    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        folder = Path(name)
        many = with_versions(folder / "many", chosen.commits, chosen.dimension)
        large = chosen.store or str(folder / "large")
        if not chosen.store:
            write(Path(large), random_rows(chosen.rows, chosen.dimension, 0), "large")
        stores = {f"{chosen.commits:,} versions": many, f"{Datastore.open(large).rows:,} rows": large}
        functions: dict[str, Callable[[str], object]] = {"open": Datastore.open, "log": log, "inspect": describe}
        seconds = alternate(
            {
                f"{what}, {which}": partial(run, store)
                for which, store in stores.items()
                for what, run in functions.items()
            },
            chosen.repeats,
        )
        commands = {
            f"{what}, {which}": partial(command, what, store)
            for which, store in stores.items()
            for what in ("log", "inspect")
        }
        whole = alternate(
            {**commands, "goodctl --help": partial(subprocess.run, HELP, stdout=subprocess.DEVNULL, check=True)},
            chosen.repeats,
        )
    table = [
        {"what": name, "function s": seconds.get(name, "-"), "command s": whole.get(name, "-")}
        for name in [*seconds, "goodctl --help"]
    ]
    versions, rows = stores
    claims = [
        Claim(f"log, {versions}, s", seconds[f"log, {versions}"], TARGET),
        Claim(f"log, {versions}, command s", whole[f"log, {versions}"], TARGET),
        Claim(f"inspect, {rows}, s", seconds[f"inspect, {rows}"], TARGET),
        Claim(f"inspect, {rows}, command s", whole[f"inspect, {rows}"], TARGET),
        Claim(f"open, {versions}, s", seconds[f"open, {versions}"], TARGET),
    ]
    report(chosen, table, claims)


if __name__ == "__main__":
    main()
