from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from goodctl.workflows.predicting import Predictor
from tests.workflows.test_perplexity import lines, loaded, predicted, text


def test_the_head_gets_a_matrix_of_the_positions_that_are_scored(tmp_path: Path, tiny: str) -> None:
    """For a slice of positions torch copies the head's weights window by window."""
    model = loaded(tiny)
    seen: list[torch.Tensor] = []

    def keep(_head: Any, given: tuple[torch.Tensor, ...]) -> None:
        seen.append(given[0])

    hook = model.model.get_output_embeddings().register_forward_pre_hook(keep)
    held_out = text(lines(tmp_path, "held.txt", ["a b c d " * 30] * 3))
    found = predicted(Predictor(model, 16, batch_tokens=64), held_out)
    hook.remove()
    assert {len(tokens) for tokens in found.values()} == {239}
    assert any(len(each) > 1 and each.shape[1] < 16 for each in seen), (
        "several windows, of which only the ends are scored"
    )
    assert all(each.is_contiguous() for each in seen)
