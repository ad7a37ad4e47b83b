"""The inverted lists of several segments, searched as one: they share a codec, so their lists are the same cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from goodctl.index.codec import Codec
from goodctl.index.library import library
from goodctl.index.neighbors import NOTHING, Found
from goodctl.index.segment import Lists

_PLACE_BITS = 32
"""faiss packs the number of a list and the place in it into one id."""
_OVER_QUERIES, _OVER_CELLS = 3, 1
"""faiss's names for how work is divided among threads; its default divides nothing where cells are given."""


@dataclass(frozen=True)
class Stack:
    """Lists of segments, one behind the other in each cell.

    Searching each segment for itself would keep k candidates for each of them, which takes longer than the search.

    Attributes:
        lists: Of each segment.
        first_rows: (S,) row number at which each segment begins.
        ends: (S, cells) rows in a cell up to and with each segment.
        starts: (S, cells) where a cell begins in the segment's rows.
        view: faiss's view of all of them.
    """

    lists: Sequence[Lists]
    first_rows: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    view: Any

    @classmethod
    def of(cls, lists: Sequence[Lists], first_rows: Sequence[int]) -> Stack:
        """Stack the lists of segments, which must be given in the order of their rows."""
        faiss = library()
        sizes = np.stack([each.sizes for each in lists])  # (S, cells)
        starts = np.cumsum(sizes, axis=1) - sizes
        view = lists[0].view
        if len(lists) > 1:
            views = faiss.InvertedListsPtrVector()
            for each in lists:
                views.push_back(each.view)
            view = faiss.HStackInvertedLists(len(lists), views.data())
        return cls(lists, np.array(first_rows, np.int64), np.cumsum(sizes, axis=0), starts, view)

    def search(self, codec: Codec, queries: npt.NDArray[np.float32], nprobe: int, k: int) -> Found:
        """The k nearest codes.

        Args:
            codec: Of all lists.
            queries: (B, D') float32, transformed.
            nprobe: Cells that are looked at.
            k: Columns of the result.

        Returns:
            (B, k) by the codes' distances, places without a code last.
        """
        inner = codec.inner
        distances, cells = inner.quantizer.search(queries, nprobe)
        inner.replace_invlists(self.view, False)
        inner.nprobe = nprobe
        inner.parallel_mode = _OVER_QUERIES if len(queries) >= torch.get_num_threads() else _OVER_CELLS
        found = np.empty((len(queries), k), np.float32)
        pairs = np.empty((len(queries), k), np.int64)
        swig = library().swig_ptr
        inner.search_preassigned_c(
            len(queries), swig(queries), k, swig(cells), swig(distances), swig(found), swig(pairs), True
        )
        return Found(found, self._rows(pairs))

    def _rows(self, pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Row numbers for pairs of cell and place."""
        there = pairs >= 0
        cell = np.where(there, pairs >> _PLACE_BITS, 0)
        place = np.where(there, pairs & (2**_PLACE_BITS - 1), 0)
        rows = np.full(pairs.shape, NOTHING, np.int64)
        before: npt.NDArray[np.int64] | int = 0
        for number, lists in enumerate(self.lists):
            end = self.ends[number][cell]
            mine = there & (place >= before) & (place < end)
            position = self.starts[number][cell] + place - before
            rows[mine] = lists.rows[position[mine]] + self.first_rows[number]
            before = end
        return rows
