"""Claims: lists are put together from codes in seconds, opened at once, and take hardly more memory than the codes.

    python benchmarks/index_open.py STORE

STORE holds about a million rows; it is only read. Assembling: the first use of a store with codes and an empty cache.
Opening: the same with the cache there. After an addition: the first use of the version with one more segment, beside
that of the whole. Memory: what a process has more after all lists were searched than before the store was opened,
mapped files included; imports and a first search of a small store come before.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from index_stores import added, copied
from measuring import Claim, parser, report

from goodctl.datastore.store import Datastore
from goodctl.index.search import Searcher
from goodctl.index.stores import cache_of
from goodctl.workflows.index import index
from goodctl.workflows.index_choice import IndexChoice

MEMORY = """
import resource, sys, numpy as np
from goodctl.index.plan import Settings
from goodctl.index.search import Searcher

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

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


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("store", help="datastore of about a million rows in several segments")
    options.add_argument("--rows", type=int, help="of each segment, at most (default: all)")
    options.add_argument("--repeats", type=int, default=3, help="default: %(default)s")
    options.add_argument("--folder", type=Path, help="on the disk to write to (default: the system's temporary one)")
    chosen = options.parse_args(arguments)

    source = Datastore.open(chosen.store)
    table: list[dict[str, Any]] = []
    claims = []
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        small = copied(source, source.segments[:1], Path(folder) / "small", 500).location
        index(small, IndexChoice("ivf-pq"))
        store = copied(source, source.segments[:-1], Path(folder) / "store", chosen.rows)
        for kind in ("ivf-sq8", "ivf-pq"):
            index(store.location, IndexChoice(kind))
            now = Datastore.open(store.location)
            cache = cache_of(now).folder
            assembling, opening = [], []
            for _ in range(chosen.repeats):
                shutil.rmtree(cache)
                assembling.append(first_use(now.location))
                opening.append(first_use(now.location))
            row: dict[str, Any] = {"kind": kind, "rows": now.rows}
            row |= {"assembling s": min(assembling), "opening s": min(opening)}
            infos = Searcher.open([now.location]).codec_infos.values()
            least = now.rows * (sum(info.code_size for info in infos) + 4)
            used = memory(small, now.location)
            row |= {"codes and values MB": least / 1e6, "resident MB": used / 1e6}
            table.append(row)
            claims += [
                Claim(f"{kind} assembling s for 1 M rows", min(assembling) / now.rows * 1e6, "< 2"),
                Claim(f"{kind} opening s", min(opening), "< 0.05"),
                Claim(f"{kind} memory", used / least, "<= 1.3" if kind == "ivf-pq" else None),
            ]
        more = added(now, source, source.segments[-1], IndexChoice(codec="reuse"), chosen.rows)
        before = {path.name for path in cache.glob("*.bin")}
        seconds = first_use(more.location)
        new = sum(path.stat().st_size for path in cache.glob("*.bin") if path.name not in before)
        share = more.segments[-1].rows / more.rows
        table.append({**dict.fromkeys(row, "-"), "kind": "ivf-pq, after adding", "rows": more.segments[-1].rows})
        table[-1] |= {"assembling s": seconds, "codes and values MB": new / 1e6}
        whole = float(np.sum([path.stat().st_size for path in cache.glob("*.bin") if "keys" not in path.name]))
        claims += [
            Claim("bytes after adding / of all, over the share of rows", new / whole / share, "<= 1.2"),
            Claim("seconds after adding / for all", seconds / min(assembling)),
        ]
    report(chosen, table, claims)


if __name__ == "__main__":
    main()
