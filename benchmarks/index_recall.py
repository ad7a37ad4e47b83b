"""Claim: the default search of a large store is faithful at a fifth of the time of exact search.

    python benchmarks/index_recall.py STORE --queries HELD_OUT_STORE

STORE holds real keys, about a million; it is only read. Queries are keys of a store of other text by the same model, in
the same languages; without it they are rows of STORE itself, asked for as if their own documents were not there. Each
kind gets its codes in a temporary copy, as ``goodctl datastore index`` makes them. Exact search and each fidelity
answer by turns, in batches of 200, 8 and 1 queries, drawn from all languages; the shortest time counts.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from index_stores import copied, queries_for
from measuring import Claim, alternate, parser, report

from goodctl.datastore.store import Datastore
from goodctl.index.fidelities import EXACT, FAST, HIGH
from goodctl.index.plan import searched_bytes
from goodctl.index.search import Searcher
from goodctl.index.tune import Truth
from goodctl.workflows.index import index
from goodctl.workflows.index_choice import IndexChoice

BATCHES = (200, 8, 1)


def measured(kind: str, store: str, options: Any) -> list[dict[str, Any]]:
    """Exact search and both fidelities on a store with codes."""
    searchers = {name: Searcher.open([store], fidelity=name) for name in (EXACT, HIGH, FAST)}
    exact = searchers[EXACT]
    queries = queries_for(exact, options.queries, options.count)
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
            row[f"exact/this, {batch}"] = seconds[EXACT] / seconds[str(row["fidelity"])]
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
    table: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        store = copied(source, source.segments, Path(folder) / "store", chosen.rows).location
        for kind in chosen.kinds:
            index(store, IndexChoice(kind, k=chosen.k))
            table += measured(kind, store, chosen)
    claims = []
    for kind in chosen.kinds:
        high = next(row for row in table if row["kind"] == kind and row["fidelity"] == HIGH)
        first = kind == chosen.kinds[0]
        claims += [
            Claim(f"{kind} TV", high["TV"], "<= 0.02" if first else None),
            Claim(f"{kind} recall", high["recall"], ">= 0.95" if first else None),
            Claim(f"{kind} exact/high", high[f"exact/this, {BATCHES[0]}"], ">= 5" if first else None),
        ]
    report(chosen, table, claims)


if __name__ == "__main__":
    main()
