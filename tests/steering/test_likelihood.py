from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from goodctl.steering.likelihood import interpolated_at, log_probs_at, proposed
from goodctl.steering.logits import interpolate, knn_log_probs


@pytest.mark.parametrize("lam", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("temperature", [0.01, 1.0, 500.0])
def test_one_token_gets_what_the_whole_distribution_gives_it(lam: float, temperature: float) -> None:
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(0, 5, (50, 20)))
    distances = torch.from_numpy(rng.uniform(0, 30, (50, 8))).float().sort().values
    distances[::7, 5:] = math.inf
    distances[3] = math.inf
    values = torch.from_numpy(rng.integers(0, 20, (50, 8))).int()
    tokens = torch.from_numpy(rng.integers(0, 20, 50))
    whole = interpolate(logits, knn_log_probs(distances, values, 20, temperature), lam)
    base = log_probs_at(logits, tokens)
    torch.testing.assert_close(base, logits.float().log_softmax(-1).gather(1, tokens[:, None])[:, 0])
    found = interpolated_at(base, distances, values, tokens, temperature, lam)
    torch.testing.assert_close(found, whole.gather(1, tokens[:, None])[:, 0])
    if lam == 1 and temperature > 1:
        unknown = torch.isinf(distances).all(1) | proposed(distances, values, tokens)
        assert torch.equal(torch.isfinite(found), unknown)


def test_a_huge_vocabulary_and_forbidden_tokens() -> None:
    logits = torch.randn(5, 3_000_000, generator=torch.Generator().manual_seed(0)).bfloat16()
    logits[:, 7] = -math.inf
    tokens = torch.tensor([0, 1, 2, 3, 7])
    found = log_probs_at(logits, tokens)
    expected = logits.double().log_softmax(-1).gather(1, tokens[:, None])[:, 0]
    torch.testing.assert_close(found[:4], expected[:4].float(), rtol=1e-5, atol=1e-5)
    assert found[4] == -math.inf
    logits[0, 9], logits[1, 9], logits[2] = math.nan, math.inf, -math.inf
    assert log_probs_at(logits, tokens).isnan().tolist() == [True, True, True, False, False]
