"""Claim: the default search of a large store is faithful at a fifth of the time of exact search.

    python benchmarks/index_recall.py STORE --queries HELD_OUT_STORE

STORE holds real keys, about a million; it is only read. Queries are keys of a store of other text by the same model;
without it they are rows of STORE itself, asked for as if their own documents were not there. Each kind gets its codes
in a temporary copy, as ``goodctl datastore index`` makes them. Exact search and each fidelity answer by turns, in
batches of 200, 8 and 1 queries; the shortest time counts.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from index_stores import copied
from measuring import Claim, alternate, parser, report

from goodctl.datastore.format import KEYS
from goodctl.datastore.store import Datastore
from goodctl.index.measure import Queries, sample_queries
from goodctl.index.plan import EXACT, FAST, HIGH, searched_bytes
from goodctl.index.search import Searcher
from goodctl.index.tune import Truth
from goodctl.workflows.index import index
from goodctl.workflows.index_choice import IndexChoice

BATCHES = (200, 8, 1)


def held_out(store: str, count: int) -> Queries:
    """Keys of another store, spread evenly over its segments; nothing is left out of their answers."""
    opened = Datastore.open(store)
    rng = np.random.default_rng(0)
    each = -(-count // len(opened.segments))
    keys, numbers = [], []
    for number, segment in enumerate(opened.segments):
        found = opened.read(segment, KEYS)
        keys.append(found[np.sort(rng.choice(len(found), min(each, len(found)), replace=False))])
        numbers.append(np.full(len(keys[-1]), number))
    nothing = np.zeros(sum(map(len, keys)), np.int64)
    return Queries(np.concatenate(keys).astype(np.float32), nothing, nothing, np.concatenate(numbers))


def measured(kind: str, store: str, options: Any, queries: Queries | None) -> list[dict[str, Any]]:
    """Exact search and both fidelities on a store with codes."""
    searchers = {name: Searcher.open([store], fidelity=name) for name in (EXACT, HIGH, FAST)}
    exact = searchers[EXACT]
    if queries is None:
        each = -(-options.count // len(exact.segments))
        queries = sample_queries(exact.segments, exact.first_rows, [each] * len(exact.segments))
    truth = Truth.of(exact, queries, options.k, None)
    rows = [
        {
            "kind": kind,
            "fidelity": name,
            "rows": searcher.rows,
            "recall": float(truth.recall(searcher, found).mean()),
            "TV": float(truth.variation(searcher, found).mean()),
            "MB": searched_bytes(searcher.segments, searcher.coded, searcher.codec_infos) / 1e6,
            "settings": ", ".join(f"{each.nprobe} lists, rerank {each.rerank}" for each in searcher.settings.values()),
        }
        for name, searcher in searchers.items()
        for found in [truth.exact if name == EXACT else truth.answer(searcher, searcher.settings)]
    ]
    for batch in BATCHES:
        sides = {
            name: partial(searcher.search, queries.keys[:batch], options.k) for name, searcher in searchers.items()
        }
        seconds = alternate(sides, options.repeats)
        for row in rows:
            row[f"ms for {batch}"] = 1000 * seconds[str(row["fidelity"])]
    return rows


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("store", help="datastore of about a million rows")
    options.add_argument("--queries", help="datastore of other text (default: rows of the store)")
    options.add_argument("--count", type=int, default=200, help="queries (default: %(default)s)")
    options.add_argument("-k", type=int, default=1024, help="neighbours (default: %(default)s)")
    options.add_argument("--kinds", nargs="+", default=["ivf-sq8", "ivf-pq"], help="default: %(default)s")
    options.add_argument("--rows", type=int, help="of each segment, at most (default: all)")
    options.add_argument("--repeats", type=int, default=3, help="default: %(default)s")
    options.add_argument("--folder", type=Path, help="on the disk to write to (default: the system's temporary one)")
    chosen = options.parse_args(arguments)

    source = Datastore.open(chosen.store)
    queries = held_out(chosen.queries, chosen.count) if chosen.queries else None
    table: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        store = copied(source, source.segments, Path(folder) / "store", chosen.rows).location
        for kind in chosen.kinds:
            index(store, IndexChoice(kind, k=chosen.k))
            table += measured(kind, store, chosen, queries)
    claims = []
    for kind in chosen.kinds:
        exact, high, _ = (row for row in table if row["kind"] == kind)
        first = kind == chosen.kinds[0]
        claims += [
            Claim(f"{kind} TV", high["TV"], "<= 0.02" if first else None),
            Claim(f"{kind} recall", high["recall"], ">= 0.95" if first else None),
            Claim(f"{kind} exact/high", exact["ms for 200"] / high["ms for 200"], ">= 5" if first else None),
        ]
    report(chosen, table, claims)


if __name__ == "__main__":
    main()
