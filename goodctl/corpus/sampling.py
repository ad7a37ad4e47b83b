"""A random sample of a corpus, drawn by document number before anything is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from goodctl.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def sample_documents(count: int, size: int, seed: int) -> NDArray[np.int64]:
    """Draws documents without replacement, all sets of that size with the same probability.

    Args:
        count: Documents in the corpus.
        size: Documents to draw; all of them if there are no more.
        seed: Of ``numpy.random.default_rng``; the same arguments give the same sample.

    Returns:
        0-based document numbers, ascending.

    Raises:
        UsageError: A negative count, size or seed.
    """
    import numpy as np

    for name, value in (("count", count), ("size", size), ("seed", seed)):
        if value < 0:
            raise UsageError(f"The sample's {name} is {value}.", hint=f"Give a {name} of at least 0.")
    if size >= count:
        return np.arange(count, dtype=np.int64)
    generator = np.random.default_rng(seed)
    if size <= count // 2:
        return _distinct(generator, count, size)
    return np.delete(np.arange(count, dtype=np.int64), _distinct(generator, count, count - size))


def _distinct(generator: np.random.Generator, count: int, size: int) -> NDArray[np.int64]:
    """Draws what is missing until there are ``size`` distinct numbers; at most about half of all.

    ``Generator.choice`` would build an array of all ``count`` numbers. Nothing here treats one number unlike another,
    so every set is equally likely.
    """
    import numpy as np

    drawn = np.empty(0, dtype=np.int64)
    while drawn.size < size:
        more = generator.integers(0, count, size - drawn.size, dtype=np.int64)
        drawn = np.unique(np.concatenate([drawn, more]))
    return drawn
