"""Claim: languages that are added one after another are found as well as with a codec trained on all of them.

    python benchmarks/index_growth.py STORE --queries HELD_OUT_STORE

STORE holds real keys, a language in each segment, in the order of adding; it is only read. Queries are keys of a store
of other text in the same languages; without it they are rows of STORE, asked for as if their own documents were not
there. Copies begin with the first language and get the others one by one, as ``add`` does it; ``--codecs`` says how.
Another has one codec, trained on everything. All are searched by turns, 200 queries of all languages at a time; the
shortest time counts.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from index_stores import added, copied, queries_for
from measuring import Claim, alternate, parser, report

from goodctl.datastore.store import Datastore
from goodctl.index.fidelities import EXACT
from goodctl.index.measure import Queries
from goodctl.index.search import Searcher
from goodctl.index.tune import Truth
from goodctl.workflows.index import index
from goodctl.workflows.index_choice import IndexChoice


def grown(source: Datastore, folder: Path, choice: IndexChoice, rows: int | None) -> Datastore:
    """A store to which the source's segments were added one by one."""
    first, *others = source.segments
    copied(source, [first], folder, rows)
    index(str(folder), IndexChoice(choice.index, k=choice.k))
    store = Datastore.open(str(folder))
    for segment in others:
        store = added(store, source, segment, choice, rows)
    return store


def figures(name: str, searcher: Searcher, truth: Truth, queries: Queries) -> list[dict[str, Any]]:
    """Recall and total variation, language by language."""
    found = truth.answer(searcher, searcher.settings)
    recalled, variation = truth.recall(searcher, found), truth.variation(searcher, found)
    rows = []
    for number, segment in enumerate(searcher.segments):
        of_it, codes = queries.segments == number, segment.info.codes
        assert codes is not None
        rows.append(
            {
                "codecs": name,
                "language": segment.info.language,
                "rows": segment.rows,
                "recall": float(recalled[of_it].mean()),
                "TV": float(variation[of_it].mean()),
                "drift": codes.drift,
                "error": codes.error,
                "coarse error": codes.coarse_error,
                "codec": codes.decision,
            }
        )
    return rows


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("store", help="datastore with a language in each segment")
    options.add_argument("--queries", help="datastore of other text (default: rows of the store)")
    options.add_argument("--count", type=int, default=300, help="queries (default: %(default)s)")
    options.add_argument("--index", default="ivf-sq8", help="kind (default: %(default)s)")
    options.add_argument(
        "--codecs", nargs="+", default=["auto", "reuse", "new"], help="ways of adding (default: %(default)s)"
    )
    options.add_argument("-k", type=int, default=1024, help="neighbours (default: %(default)s)")
    options.add_argument("--rows", type=int, help="of each segment, at most (default: all)")
    options.add_argument("--repeats", type=int, default=3, help="default: %(default)s")
    options.add_argument("--folder", type=Path, help="on the disk to write to (default: the system's temporary one)")
    chosen = options.parse_args(arguments)

    source = Datastore.open(chosen.store)
    table, claims = [], []
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        copied(source, source.segments, Path(folder) / "everything", chosen.rows)
        index(str(Path(folder) / "everything"), IndexChoice(chosen.index, k=chosen.k))
        stores = {"everything": str(Path(folder) / "everything")}
        for codec in chosen.codecs:
            choice = IndexChoice(chosen.index, codec, k=chosen.k)
            stores[f"added, {codec}"] = grown(source, Path(folder) / codec, choice, chosen.rows).location
        exact = Searcher.open([stores["everything"]], fidelity=EXACT)
        queries = queries_for(exact, chosen.queries, chosen.count)
        truth = Truth.of(exact, queries, chosen.k, None)
        searchers = {name: Searcher.open([store]) for name, store in stores.items()}
        batch = queries.keys[:200]
        seconds = alternate({n: partial(s.search, batch, chosen.k) for n, s in searchers.items()}, chosen.repeats)
        for name, searcher in searchers.items():
            rows = figures(name, searcher, truth, queries)
            table += [{**row, f"ms for {len(batch)}": 1000 * seconds[name]} for row in rows]
    everything = {row["language"]: row["recall"] for row in table if row["codecs"] == "everything"}
    for name in list(searchers)[1:]:
        mine = [row for row in table if row["codecs"] == name]
        worst = max(everything[row["language"]] - row["recall"] for row in mine)
        target = "<= 0.02" if name == "added, auto" else None
        claims.append(Claim(f"{name}: worst loss of recall", worst, target))
        claims.append(Claim(f"{name}: time over everything's", seconds[name] / seconds["everything"]))
    report(chosen, table, claims)


if __name__ == "__main__":
    main()
