"""Which quantiser keeps most of real keys at so many bytes a row, and whether a PCA or OPQ in front pays.

    python benchmarks/index_factories.py STORE

STORE holds real keys; it is only read. Each factory is trained on the same sample; the error is the share of the keys'
variance that decoding does not give back, on other rows. It informs; there is no target.
"""

from __future__ import annotations

import time

from index_stores import CPU
from measuring import Claim, parser, report

from goodctl.datastore.store import Datastore
from goodctl.index.codec import train
from goodctl.index.kinds import lists_for, pq_bytes
from goodctl.index.sampling import sample_keys


def factories(dimension: int, lists: int) -> list[str]:
    """Candidates: with and without a transform, at about the same bytes."""
    size = pq_bytes(dimension)
    kept = size * max(1, dimension // size // 2)
    return [
        f"IVF{lists},PQ{size}x8np",
        f"PCAR{kept},IVF{lists},PQ{size}x8np",
        f"OPQ{size}_{kept},IVF{lists},PQ{size}x8np",
        f"IVF{lists},SQ8",
        f"IVF{lists},SQ4",
        f"PCA{dimension // 2},IVF{lists},SQ8",
    ]


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("store", help="datastore")
    options.add_argument("--sample", type=int, default=20_000, help="rows to train on (default: %(default)s)")
    options.add_argument("--lists", type=int, help="default: as for so many rows")
    chosen = options.parse_args(arguments)

    store = Datastore.open(chosen.store)
    sample = sample_keys(store, store.segments, chosen.sample, 0)
    table = []
    for factory in factories(sample.shape[1], chosen.lists or lists_for(len(sample))):
        started = time.perf_counter()
        codec = train(sample, store.rows, "factory", factory, CPU)
        seconds = time.perf_counter() - started
        row = {"factory": factory, "bytes": codec.info.code_size, "error": codec.info.error}
        table.append({**row, "coarse error": codec.info.coarse_error, "training s": seconds})
    plain, transformed = table[0], min(table[1:3], key=lambda row: float(str(row["error"])))
    claims = [Claim("error with a transform / without", float(str(transformed["error"])) / float(str(plain["error"])))]
    report(chosen, table, claims)


if __name__ == "__main__":
    main()
