"""How many threads compute: sums depend on it, and with them the text."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def same_threads(threads: int) -> Iterator[None]:
    """As many threads as a run began with, for the same sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
