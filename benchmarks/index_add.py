"""Claims: adding rows to a store with codes is 20 times as fast as training from scratch, and flat in store size.

    python benchmarks/index_add.py STORE

STORE holds real keys, the rows of a language in each segment; it is only read. The addition is all that ``add`` does
about the index: measuring how well the codec fits, encoding the new rows, writing their codes. A store that has grown
by additions is compared with what it was before. The other side trains faiss's ``IVF4096,PQ64`` with its defaults on
old and new rows together and adds all of them, which is what published code does. Beside it stands goodctl's own
``index`` over the same rows, and an addition that trains a codec of its own. The additions take turns; the shortest
time counts. The textbook side takes minutes and runs once.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from index_stores import CPU, add_copies, added, copied
from measuring import Claim, parser, report

from goodctl.datastore.description import SegmentInfo
from goodctl.datastore.format import KEYS
from goodctl.datastore.reference import MAIN
from goodctl.datastore.repository import writer_lock
from goodctl.datastore.store import Datastore
from goodctl.workflows.coding import Coding, session_version
from goodctl.workflows.index import index
from goodctl.workflows.index_choice import IndexChoice


def coding_seconds(store: Datastore, source: Datastore, segment: SegmentInfo, rows: int, codec: str) -> float:
    """The time to give codes to a new segment; what is written is never committed."""
    with writer_lock(store.location, "benchmark"):
        session = store.repository.session(MAIN)
        new = add_copies(source, [segment], session, rows, 1 + max(each.order for each in store.segments))
        coding = Coding(IndexChoice(codec=codec), CPU, store)
        started = time.perf_counter()
        codes = coding.add(session_version(store, session.root, new))
        seconds = time.perf_counter() - started
        assert codes
    return seconds


def textbook_seconds(keys: np.ndarray[Any, Any], factory: str) -> float:
    """Train with faiss's defaults on all keys and add all of them."""
    started = time.perf_counter()
    made = faiss.index_factory(keys.shape[1], factory)
    made.train(keys)
    made.add(keys)
    return time.perf_counter() - started


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("store", help="datastore with at least three segments")
    options.add_argument("--old", type=int, default=160_000, help="rows of the store (default: %(default)s)")
    options.add_argument("--new", type=int, default=40_000, help="rows added (default: %(default)s)")
    options.add_argument("--factory", default="IVF4096,PQ64", help="of the textbook side (default: %(default)s)")
    options.add_argument("--repeats", type=int, default=5, help="of the additions (default: %(default)s)")
    options.add_argument("--folder", type=Path, help="on the disk to write to (default: the system's temporary one)")
    chosen = options.parse_args(arguments)

    source = Datastore.open(chosen.store)
    first, second, *_ = source.segments
    last = source.segments[-1]
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        small = copied(source, [first], Path(folder) / "small", chosen.old // 8)
        index(small.location, IndexChoice("ivf-sq8"))
        shutil.copytree(small.location, Path(folder) / "grown")
        grown = Datastore.open(str(Path(folder) / "grown"))  # by additions that reuse the codec
        grown = added(grown, source, second, IndexChoice(codec="reuse"), chosen.old - chosen.old // 8)
        large = copied(source, [first], Path(folder) / "large", chosen.old)
        index(large.location, IndexChoice("ivf-sq8"))
        names = {"codec of it": small, "the same codec": grown, "codec of all of it": large}
        stores = {name: Datastore.open(store.location) for name, store in names.items()}
        shortest = dict.fromkeys(stores, float("inf"))
        for _ in range(chosen.repeats):
            for name, store in stores.items():
                shortest[name] = min(shortest[name], coding_seconds(store, source, last, chosen.new, "reuse"))
        own = coding_seconds(stores["codec of all of it"], source, last, chosen.new, "new")
        whole = added(large, source, last, IndexChoice("none"), chosen.new)
        keys = np.concatenate([whole.read(segment, KEYS) for segment in whole.segments]).astype(np.float32)
        textbook = textbook_seconds(keys, chosen.factory)
        retrained = index(whole.location, IndexChoice("ivf-sq8")).seconds
    new = f"add {whole.segments[-1].rows:,}"
    seconds = {f"{new} to {store.rows:,}, {name} reused": shortest[name] for name, store in stores.items()}
    seconds[f"{new} to {large.rows:,}, new codec, tuning included"] = own
    seconds[f"textbook: {chosen.factory} on {len(keys):,}"] = textbook
    seconds[f"goodctl index over {whole.rows:,}, tuning included"] = retrained
    of_small, of_grown, of_large = shortest.values()
    claims = [
        Claim("textbook/add", textbook / of_large, ">= 20"),
        Claim("grown/small", of_grown / of_small, "<= 1.2"),
        Claim("larger_codec/smaller_codec", of_large / of_small),
        Claim("index/add", retrained / of_large),
        Claim("textbook/add_with_new_codec", textbook / own),
    ]
    report(chosen, [{"measured": name, "seconds": value} for name, value in seconds.items()], claims)


if __name__ == "__main__":
    main()
