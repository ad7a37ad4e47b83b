"""The nucleus from a partial sort against its definition by a full one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from goodctl.steering import nucleus as module
from goodctl.steering.nucleus import WIDTHS, Nucleus, nucleus
from tests.steering import definitions
from tests.steering.definitions import SEEDS

SHARES = [1e-9, 0.1, 0.5, 0.9, 0.99, 0.999999, 1.0]
ROUNDING = 2e-6
"""Of a sum of probabilities that are computed from float32."""


def tokens_of(found: Nucleus, row: int) -> list[int]:
    """The nucleus of a row, in order; checks that its columns come first."""
    size = int(found.kept[row].sum())
    assert bool(found.kept[row, :size].all())
    tokens: list[int] = found.tokens[row, :size].tolist()
    return tokens


def assert_is_nucleus(logits: torch.Tensor, p: float) -> Nucleus:
    found = nucleus(logits, p)
    for row, each in enumerate(logits.float().numpy()):
        tokens = tokens_of(found, row)
        most = definitions.nucleus(each, p + ROUNDING)
        fewest = most if p == 1 else definitions.nucleus(each, p - ROUNDING)
        assert len(fewest) <= len(tokens)
        assert tokens == most[: len(tokens)]
        expected = definitions.log_softmax(each)[tokens]
        np.testing.assert_allclose(found.log_probs[row, : len(tokens)].numpy(), expected, rtol=1e-5, atol=1e-5)
    assert found.tokens.shape == (len(logits), int(found.kept.sum(1).max()))
    assert (found.tokens.dtype, found.log_probs.dtype) == (torch.int64, torch.float32)
    return found


@settings(max_examples=120, deadline=None, derandomize=True, database=None)
@given(
    seed=SEEDS,
    batch=st.integers(1, 4),
    vocabulary=st.integers(1, 400),
    spread=st.sampled_from([0.0, 0.1, 1.0, 5.0, 40.0]),
    rounding=st.sampled_from([0.0, 1.0]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
    impossible=st.booleans(),
    p=st.sampled_from(SHARES),
)
def test_equals_a_full_sort(
    seed: int,
    batch: int,
    vocabulary: int,
    spread: float,
    rounding: float,
    dtype: torch.dtype,
    impossible: bool,
    p: float,
) -> None:
    rng = np.random.default_rng(seed)
    logits = spread * rng.standard_normal((batch, vocabulary))
    if rounding:  # many ties
        logits = np.round(logits)
    if impossible:
        logits[:, 1:][rng.random((batch, vocabulary - 1)) < 0.5] = -np.inf
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WIDTHS", (3, 16, 50))  # a small vocabulary meets all of them
        assert_is_nucleus(torch.from_numpy(logits).to(dtype), p)


@pytest.mark.parametrize("p", [0.3, 0.9, 0.999])
@pytest.mark.parametrize("spread", [1e-3, 0.5, 2.0])
def test_rows_of_every_width_in_one_batch(p: float, spread: float) -> None:
    """One row needs few tokens, another most of the vocabulary."""
    generator = torch.Generator().manual_seed(0)
    logits = spread * torch.randn(5, 6000, generator=generator)
    logits[0, 4321] = 30.0
    logits[1] *= 2 / spread
    found = assert_is_nucleus(logits, p)
    assert found.single.tolist() == [True, False, False, False, False]


@pytest.mark.parametrize("size", [1, *(width + more for width in WIDTHS for more in (-1, 0, 1)), 5000])
def test_sizes_around_the_widths(size: int) -> None:
    logits = torch.full((1, 5000), -30.0)
    logits[0, torch.randperm(5000, generator=torch.Generator().manual_seed(1))[:size]] = torch.linspace(3, 2, size)
    found = nucleus(logits, 0.99999 if size < 5000 else 1.0)
    assert int(found.kept.sum()) in range(size - size // 1000 - 1, size + 1)
    assert tokens_of(found, 0) == logits[0].sort(descending=True, stable=True).indices[: int(found.kept.sum())].tolist()


class TestTies:
    """Equally probable tokens come by id, also where the nucleus ends among them."""

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    @pytest.mark.parametrize("vocabulary", [10, 63, 64, 65, 700, 5000])
    @pytest.mark.parametrize("p", [0.15, 0.5, 0.9])
    def test_all_equal(self, dtype: torch.dtype, vocabulary: int, p: float) -> None:
        (tokens,) = [tokens_of(nucleus(torch.full((1, vocabulary), 0.25, dtype=dtype), p), 0)]
        assert tokens == list(range(len(tokens)))
        assert abs(len(tokens) - p * vocabulary) <= 1

    def test_at_the_border_of_the_first_width(self) -> None:
        """60 probable tokens with high ids, then thousands that are equal: those with the lowest ids follow."""
        logits = torch.zeros(1, 5000)
        logits[0, -60:] = 6.0
        share = float(logits.softmax(1)[0, -60:].sum() + 20.5 * logits.softmax(1)[0, 0])
        assert tokens_of(nucleus(logits, share), 0) == [*range(4940, 5000), *range(21)]

    @pytest.mark.parametrize("spread", [0.3, 2.0])
    def test_logits_in_bf16_have_many(self, spread: float) -> None:
        generator = torch.Generator().manual_seed(2)
        logits = (8 + spread * torch.randn(3, 3000, generator=generator)).bfloat16()
        assert len(set(logits.flatten().tolist())) < 400
        for p in (0.2, 0.7, 0.95):
            assert_is_nucleus(logits, p)


@pytest.mark.parametrize("vocabulary", [1, 50, 70, 40_000])
@pytest.mark.parametrize("spread", [0.0, 0.01, 4.0, 30.0])
def test_a_share_of_one_keeps_all_that_is_possible(vocabulary: int, spread: float) -> None:
    """However the sum of the probabilities is rounded."""
    generator = torch.Generator().manual_seed(3)
    logits = spread * torch.randn(3, vocabulary, generator=generator)
    logits[1, vocabulary // 2 :] = -math.inf
    logits[1, 0] = 0.0
    found = nucleus(logits, 1.0)
    assert found.kept.sum(1).tolist() == (logits > -math.inf).sum(1).tolist()
    for row in range(3):
        assert set(tokens_of(found, row)) == set(torch.nonzero(logits[row] > -math.inf)[:, 0].tolist())


@pytest.mark.parametrize("p", SHARES)
def test_the_only_possible_token(p: float) -> None:
    logits = torch.full((2, 200), -math.inf)
    logits[0, 7], logits[1, 150] = -3.0, 80.0
    found = nucleus(logits, p)
    assert found.single.all()
    assert found.tokens[:, 0].tolist() == [7, 150]
    torch.testing.assert_close(found.log_probs[:, 0], torch.zeros(2))
