"""Claims: an addition writes hardly more than its own rows, and takes as long in a large store as in a small one.

    python benchmarks/add.py

No text and no model: random rows of dimension 576 (float16 keys). Bytes are the growth of the repository's folder over
the bytes of keys and values; the sizes include one row more than fits into a chunk of keys. Time is that of all that an
addition does apart from reading and encoding: opening the store, writing, hashing, committing, and opening the result.
Additions follow one another in both stores, by turns; the shortest counts. The large store takes 1.2 GB of disk.
"""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measuring import Claim, alternate, parser, report
from stores import jobs, random_rows, write

from goodctl.datastore.format import CHUNK_BYTES, VALUE_DTYPE

ENCODING_ROWS_PER_SECOND = 1000


def bytes_written(folder: Path, sizes: list[int], dimension: int) -> list[dict[str, Any]]:
    """Add each number of rows to one store."""
    store, names = folder / "bytes", jobs("bytes")
    write(store, random_rows(10_000, dimension, 0), next(names))
    row_bytes = dimension * np.dtype(np.float16).itemsize + VALUE_DTYPE.itemsize
    table = []
    for size in sizes:
        grown = write(store, random_rows(size, dimension, 1), next(names))
        row = {"measured": "bytes", "rows added": size, "to rows": "any", "MB": grown / 1e6, "seconds": "-"}
        table.append({**row, "over new rows": grown / (size * row_bytes)})
    shutil.rmtree(store)
    return table


def seconds_taken(folder: Path, options: Any) -> list[dict[str, Any]]:
    """Add the same number of rows to a small and to a large store, by turns."""
    sizes = {"small": options.small, "large": options.large}
    names = jobs("time")
    for name, size in sizes.items():
        write(folder / name, random_rows(size, options.dimension, 0), next(names))
    blocks = random_rows(options.rows, options.dimension, 1)

    def add(name: str) -> None:
        write(folder / name, blocks, next(names))

    seconds = alternate({name: partial(add, name) for name in sizes}, options.repeats)
    return [
        {
            "measured": "time",
            "rows added": options.rows,
            "to rows": f"{size:,}",
            "MB": "-",
            "seconds": seconds[name],
            "over new rows": "-",
        }
        for name, size in sizes.items()
    ]


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--dimension", type=int, default=576, help="of a key (default: %(default)s)")
    options.add_argument("--sizes", type=int, nargs="+", help="rows of the additions whose bytes are counted")
    options.add_argument(
        "--rows", type=int, default=40_000, help="of the additions that are timed (default: %(default)s)"
    )
    options.add_argument("--small", type=int, default=10_000, help="rows of the small store (default: %(default)s)")
    options.add_argument("--large", type=int, default=1_000_000, help="rows of the large store (default: %(default)s)")
    options.add_argument("--repeats", type=int, default=7, help="default: %(default)s")
    options.add_argument("--folder", type=Path, help="on the disk to write to (default: the system's temporary one)")
    chosen = options.parse_args(arguments)

    one_chunk = CHUNK_BYTES // (chosen.dimension * np.dtype(np.float16).itemsize)
    sizes = chosen.sizes or [1000, one_chunk - 1, one_chunk + 1, 100_000]
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        table = bytes_written(Path(folder), sizes, chosen.dimension)
        worst = max(float(row["over new rows"]) for row in table)
        times = seconds_taken(Path(folder), chosen)
    small, large = (float(row["seconds"]) for row in times)
    claims = [
        Claim("bytes/new_rows", worst, "<= 1.1"),
        Claim("large/small", large / small, "<= 1.1"),
        Claim("large/encoding", large / (chosen.rows / ENCODING_ROWS_PER_SECOND)),
    ]
    report(chosen, [*table, *times], claims)


if __name__ == "__main__":
    main()
