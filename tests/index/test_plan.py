"""Whether keys or codes are searched, and where the keys lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from goodctl.index import plan
from goodctl.index.exact import Place
from goodctl.index.fidelities import EXACT, HIGH
from goodctl.index.plan import uses_codes
from tests.index.stores import keys, rows_of, searcher, trained, write

DATA = keys(0, 900)
QUERIES = keys(1, 5).astype(np.float32)


def test_the_way_of_searching_follows_from_the_memory_of_a_gpu_not_from_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = searcher(write(tmp_path / "s", rows_of(DATA), codec=trained(DATA, "IVF8,SQ8")))
    cuda = torch.device("cuda")
    size = plan.key_bytes(opened.segments)
    assert opened.searched_by == "codes"
    for memory, coded in ((int(size / plan.CUDA_SHARE) + 1, False), (int(size / plan.CUDA_SHARE) - 1, True)):
        monkeypatch.setattr(plan, "device_bytes", lambda _, memory=memory: memory)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (0, 0))
        assert uses_codes(opened.segments, HIGH, cuda) == [coded] * len(opened.segments)
    assert uses_codes(opened.segments, EXACT, cuda) == [False] * len(opened.segments)


def test_segments_may_be_searched_in_different_ways(tmp_path: Path) -> None:
    opened = searcher(write(tmp_path / "s", rows_of(DATA)))
    assert opened.searched_by == "keys"
    opened.segments, opened.coded = opened.segments * 2, [True, False]
    assert opened.searched_by == "codes and keys"


def test_keys_that_leave_the_device_are_still_searched(tmp_path: Path) -> None:
    opened = searcher(write(tmp_path / "s", rows_of(DATA)))
    before = opened.search(QUERIES, 20)
    assert not opened.leave_device()  # they were mapped files
    opened = searcher(write(tmp_path / "t", rows_of(DATA)))
    opened._places = [Place(place.tensor().clone(), place.first_row) for place in opened.places()]
    opened.device = torch.device("cuda")  # as if they were on one
    assert opened.leave_device() and not opened.leave_device()
    opened.device = torch.device("cpu")
    after = opened.search(QUERIES, 20)
    np.testing.assert_array_equal(before.rows, after.rows)
    np.testing.assert_array_equal(before.distances, after.distances)
