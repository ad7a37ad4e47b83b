from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodctl.corpus import sample_documents
from goodctl.errors import UsageError


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(count=st.integers(0, 300), size=st.integers(0, 400), seed=st.integers(0, 2**32))
def test_a_sample_is_ascending_distinct_in_range_and_repeatable(count: int, size: int, seed: int) -> None:
    sample = sample_documents(count, size, seed)
    assert sample.dtype == np.int64
    assert len(sample) == min(count, size)
    assert np.all(np.diff(sample) > 0)
    assert not len(sample) or (sample[0] >= 0 and sample[-1] < count)
    assert np.array_equal(sample, sample_documents(count, size, seed))


def test_other_seeds_give_other_samples() -> None:
    assert not np.array_equal(sample_documents(10_000, 100, 1), sample_documents(10_000, 100, 2))


@pytest.mark.parametrize("size", [3, 7])
def test_every_document_is_equally_likely(size: int) -> None:
    counts = np.bincount(np.concatenate([sample_documents(10, size, seed) for seed in range(4000)]), minlength=10)
    assert np.all(np.abs(counts / 4000 - size / 10) < 0.04)


def test_a_huge_corpus_needs_memory_for_the_sample_only() -> None:
    assert len(sample_documents(10**15, 1000, 0)) == 1000


@pytest.mark.parametrize(("arguments", "name"), [((-1, 1, 0), "count"), ((1, -1, 0), "size"), ((1, 1, -1), "seed")])
def test_negative_values(arguments: tuple[int, int, int], name: str) -> None:
    with pytest.raises(UsageError, match=f"sample's {name} is -1"):
        sample_documents(*arguments)
