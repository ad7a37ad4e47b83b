"""Claims: lists are put together from codes in seconds, opened at once, and take hardly more memory than the codes.

    python benchmarks/index_open.py STORE

STORE holds about a million rows; it is only read. Assembling: the first use of a store with codes and an empty cache.
Opening: the same with the cache there. After an addition: the first use of a version with the last segment added, where
the cache has the version before. What is read from the disk lies in the system's page cache; the shortest time counts.
Memory: what a process has more after all lists were searched than before the store was opened, mapped files included;
imports and a first search of a small store come before. Needs Linux.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from index_stores import added, copied
from measuring import Claim, parser, report

from goodctl.datastore.format import VALUE_DTYPE
from goodctl.datastore.store import Datastore
from goodctl.index.search import Searcher
from goodctl.index.stores import cache_of
from goodctl.workflows.index import index
from goodctl.workflows.index_choice import IndexChoice

MEMORY = """
import sys, numpy as np
from goodctl.index.plan import Settings
from goodctl.index.search import Searcher

def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/smaps_rollup") if line.startswith("Rss:")) * 1024

small, store = sys.argv[1:]
queries = np.random.default_rng(0).standard_normal((2, Searcher.open([small]).header.dimension)).astype(np.float32)
Searcher.open([small]).search(queries, 10)
before = resident()
searcher = Searcher.open([store])
searcher.settings = {name: Settings(codec.lists, 0) for name, codec in searcher.codecs.items()}
searcher.search(queries, 10)
print(resident() - before)
"""


def first_use(store: str) -> float:
    """Seconds until a store can be searched."""
    started = time.perf_counter()
    searcher = Searcher.open([store])
    assert len(searcher.values) == searcher.rows
    for segment in searcher.segments:
        for codec in searcher.codecs.values():
            if segment.info.codes and segment.info.codes.codec == codec.info.id:
                segment.inverted_lists(codec)
    return time.perf_counter() - started


def memory(small: str, store: str) -> int:
    """Bytes that an opened store takes, by a process of its own."""
    done = subprocess.run([sys.executable, "-c", MEMORY, small, store], capture_output=True, text=True, check=True)
    return int(done.stdout)


def measured(kind: str, source: Datastore, folder: Path, options: Any) -> tuple[list[dict[str, Any]], list[Claim]]:
    """Everything about one kind: a store of all segments but the last, and the last one added to it."""
    *most, last = source.segments
    store = copied(source, most, folder / kind, options.rows).location
    index(store, IndexChoice(kind))
    whole = added(Datastore.open(store), source, last, IndexChoice(codec="reuse"), options.rows)
    cache = cache_of(whole).folder
    assert cache.is_relative_to(folder)  # it is deleted
    seconds: dict[str, list[float]] = {name: [] for name in ("assembling", "opening", "after adding")}
    for _ in range(options.repeats):
        shutil.rmtree(cache, ignore_errors=True)
        seconds["assembling"].append(first_use(store))
        seconds["opening"].append(first_use(store))
        shutil.rmtree(cache)
        first_use(f"{store}@~1")
        before = sizes(cache)
        seconds["after adding"].append(first_use(store))
    written = sum(size for name, size in sizes(cache).items() if name not in before)
    assert all(sizes(cache)[name] == size for name, size in before.items())
    infos = Searcher.open([store]).codec_infos.values()
    row_bytes = max(info.code_size for info in infos) + VALUE_DTYPE.itemsize
    used, least, new = memory(str(folder / "small"), store), whole.rows * row_bytes, whole.segments[-1].rows
    table: list[dict[str, Any]] = [
        {"kind": kind, "first use": name, "rows": rows, "seconds": min(seconds[name]), "MB": size / 1e6}
        for name, rows, size in (
            ("assembling", whole.rows, sum(sizes(cache).values())),
            ("opening", whole.rows, 0),
            ("after adding", new, written),
        )
    ]
    table.append({"kind": kind, "first use": "resident", "rows": whole.rows, "seconds": "-", "MB": used / 1e6})
    return table, [
        Claim(f"{kind} assembling s", min(seconds["assembling"]), "< 2"),
        Claim(f"{kind} opening s", min(seconds["opening"]), "< 0.05"),
        Claim(f"{kind} bytes after adding / new rows' codes and values", written / (new * row_bytes), "<= 1.2"),
        Claim(f"{kind} seconds after adding / assembling", min(seconds["after adding"]) / min(seconds["assembling"])),
        Claim(f"{kind} share of new rows", new / whole.rows),
        Claim(f"{kind} memory", used / least, "<= 1.3" if kind == "ivf-pq" else None),
    ]


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of the flat files, by name."""
    return {path.name: path.stat().st_size for path in folder.glob("*.bin")}


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("store", help="datastore of about a million rows in several segments")
    options.add_argument("--rows", type=int, help="of each segment, at most (default: all)")
    options.add_argument("--repeats", type=int, default=3, help="default: %(default)s")
    options.add_argument("--folder", type=Path, help="on the disk to write to (default: the system's temporary one)")
    chosen = options.parse_args(arguments)

    source = Datastore.open(chosen.store)
    table: list[dict[str, Any]] = []
    claims: list[Claim] = []
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        folder = Path(name)
        copied(source, source.segments[:1], folder / "small", 500)
        index(str(folder / "small"), IndexChoice("ivf-pq"))
        for kind in ("ivf-sq8", "ivf-pq"):
            rows, promises = measured(kind, source, folder, chosen)
            table, claims = table + rows, claims + promises
            shutil.rmtree(folder / kind)
    report(chosen, table, claims)


if __name__ == "__main__":
    main()
