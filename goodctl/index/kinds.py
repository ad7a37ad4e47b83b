"""Which faiss index a kind of search means for so many rows of so many dimensions."""

from __future__ import annotations

import math

from goodctl.errors import UsageError

AUTO = "auto"
NONE = "none"
EXACT = "exact"
IVF_SQ8 = "ivf-sq8"
IVF_PQ = "ivf-pq"
FACTORY = "factory"
KINDS = (AUTO, EXACT, IVF_SQ8, IVF_PQ)

MOST_LISTS = 16_384
POINTS_PER_LIST = 39
"""Training rows for each list: what faiss asks for at least."""
LEAST_TRAINING_ROWS = 16_384
"""For the value ranges of a scalar quantiser and the codebooks of a product quantiser."""
ROW_BYTES = 4
VALUE_BYTES = 4


def lists_for(rows: int) -> int:
    """How many inverted lists: four times the square root of the rows, where there are enough to train them.

    Args:
        rows: At least 1.

    Returns:
        At least 1, at most ``MOST_LISTS``; 3 rows give 1, 300 give 7, a million 4,000.
    """
    return max(1, min(round(4 * math.sqrt(rows)), rows // POINTS_PER_LIST, MOST_LISTS))


def training_rows(lists: int) -> int:
    """How many rows a codec with so many lists is trained on, where there are so many."""
    return max(LEAST_TRAINING_ROWS, POINTS_PER_LIST * lists)


def pq_bytes(dimension: int, most: int | None = None) -> int:
    """Bytes of a product quantiser's code: the largest divisor of the dimension that is small enough.

    Args:
        dimension: D of the keys.
        most: By default an eighth of the dimension, so that a byte stands for eight numbers.
    """
    bound = max(1, dimension // 8 if most is None else most)
    return max(size for size in range(1, min(bound, dimension) + 1) if dimension % size == 0)


def factory_for(kind: str, rows: int, dimension: int, code_bytes: int | None = None) -> str:
    """The faiss factory string of a kind.

    No transform stands in front: on hidden states a PCA or OPQ costs more accuracy or time than it saves
    (docs/benchmarks.md).

    Args:
        kind: ``ivf-sq8`` or ``ivf-pq``; anything else is a factory string already and returned as it is.
        rows: Rows that will be searched.
        dimension: D of the keys.
        code_bytes: Most bytes of a code of ``ivf-pq``.
    """
    lists = lists_for(rows)
    if kind == IVF_SQ8:
        return f"IVF{lists},SQ8"
    if kind == IVF_PQ:
        # "np": no polysemous training, which takes most of the time and serves a search that is not used here.
        return f"IVF{lists},PQ{pq_bytes(dimension, code_bytes)}x8np"
    return kind


def kind_of(text: str) -> str:
    """The kind that a user's ``--index`` names: a name of ``KINDS``, ``none``, or ``factory`` for a factory string.

    Raises:
        UsageError: It is neither a known name nor like a factory string.
    """
    name = text.strip().lower()
    if name in {*KINDS, NONE}:
        return name
    if not text.strip() or name.startswith("ivf-"):
        raise UsageError(
            f"There is no kind of index {text!r}.",
            hint=f"Choose one of {', '.join(KINDS)}, none, or a faiss factory string such as 'IVF1024,SQ8'.",
        )
    return FACTORY
