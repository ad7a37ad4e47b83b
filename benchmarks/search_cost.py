"""Question: where does the time of a search for 200 states go, and what would make it shorter?

    python benchmarks/search_cost.py STORE --queries HELD_OUT_STORE --lists 3300 4400

STORE has `ivf-sq8` codes of one codec; queries are keys of a store of other text by the same model. The search as it is
runs by turns with one of half the lists, one for few neighbours, and one whose queries come in the order of their
nearest list; and with codecs of more lists, which are trained and tuned on temporary copies. The shortest time counts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from index_stores import copied, queries_for
from measuring import Claim, alternate, parser, report

from goodctl.datastore.store import Datastore
from goodctl.index import exact
from goodctl.index.measure import Queries, recall, total_variation
from goodctl.index.neighbors import Found
from goodctl.index.plan import Settings
from goodctl.index.search import Searcher
from goodctl.index.tune import Truth
from goodctl.workflows.index import index
from goodctl.workflows.index_choice import IndexChoice

FEW = 16
HALF = "half of the lists"
ORDERED = "queries in the order of their lists"


def fidelity(
    what: str, found: Found, searcher: Searcher, queries: Queries, truth: Found, temperature: float
) -> dict[str, Any]:
    """Recall and mean total variation from exact search; none where other things were asked for."""
    if found.rows.shape != truth.rows.shape or what == ORDERED:
        return {"TV": "", "recall": ""}
    return {
        "TV": float(total_variation(truth, found, searcher.values, temperature).mean()),
        "recall": float(recall(truth, found, searcher.places(), queries.keys).mean()),
    }


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("store", help="datastore with codes")
    options.add_argument("--queries", required=True, help="datastore of other text")
    options.add_argument("--count", type=int, default=200, help="queries (default: %(default)s)")
    options.add_argument("-k", type=int, default=1024, help="neighbours (default: %(default)s)")
    options.add_argument("--lists", type=int, nargs="*", default=[3300, 4400], help="default: %(default)s")
    options.add_argument("--repeats", type=int, default=6, help="default: %(default)s")
    chosen = options.parse_args(arguments)

    with tempfile.TemporaryDirectory() as folder:
        searchers = {"as it is": Searcher.open([chosen.store])}
        source = Datastore.open(chosen.store)
        for lists in chosen.lists:
            store = copied(source, source.segments, Path(folder) / str(lists)).location
            index(store, IndexChoice(f"IVF{lists},SQ8", k=chosen.k))
            searchers[f"{lists} lists"] = Searcher.open([store])
        first = searchers["as it is"]
        queries = queries_for(first, chosen.queries, chosen.count)
        k = min(chosen.k, first.rows)
        truth = exact.search(first.places(), queries.keys, k, torch.device("cpu"))
        temperature = Truth.of(first, queries, k, None).temperature
        (name, codec), settings = next(iter(first.codecs.items())), first.settings
        half = {name: Settings(max(1, settings[name].nprobe // 2), settings[name].rerank)}
        nearest = np.argsort(codec.inner.quantizer.search(codec.transform(queries.keys), 1)[1][:, 0], kind="stable")
        ordered = np.ascontiguousarray(queries.keys[nearest])
        runs: dict[str, Callable[[], Any]] = {
            each: partial(searcher.find, queries.keys, k, searcher.settings) for each, searcher in searchers.items()
        }
        runs[HALF] = partial(first.find, queries.keys, k, half)
        runs[f"{FEW} neighbours"] = partial(first.find, queries.keys, min(FEW, k), settings)
        runs[ORDERED] = partial(first.find, ordered, k, settings)
        alternate(runs, 1)
        seconds = alternate(runs, chosen.repeats)
        rows = [
            {"what": each, "ms": 1000 * seconds[each], **fidelity(each, run(), first, queries, truth, temperature)}
            for each, run in runs.items()
        ]
        for row in rows:
            searcher = searchers.get(str(row["what"]), first)
            row["lists"] = next(iter(searcher.settings.values())).nprobe // (2 if row["what"] == HALF else 1)
        per_query = seconds["as it is"] / len(queries.keys)
    report(chosen, rows, [Claim("ms a query", 1000 * per_query), Claim("temperature", temperature)])


if __name__ == "__main__":
    main()
