from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from goodctl.models.load import load_model
from goodctl.models.source import resolve
from goodctl.steering.stream import Stream
from tests.fakes.tiny import ARCHITECTURES, tiny_model_folder


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_head_gets_a_matrix(architecture: str, tmp_path: Path) -> None:
    """For a slice of positions torch copies the head's weights row by row: a thousand times slower in bf16."""
    folder = tiny_model_folder(tmp_path / "m", architecture=architecture)
    model = load_model(resolve(str(folder)), device="cpu", precision="fp32").model
    seen: list[torch.Tensor] = []

    def keep(_head: Any, given: tuple[torch.Tensor, ...]) -> None:
        seen.append(given[0])

    hook = model.get_output_embeddings().register_forward_pre_hook(keep)
    with torch.inference_mode(), Stream.opened(model, torch.device("cpu")) as stream:
        logits = stream.prefill([[5, 6, 7, 8], [9, 10]], 3, 4)
        following = stream.advance(torch.arange(6))
    hook.remove()
    assert logits.shape[0] == 2 and following.shape[0] == 6
    assert [tuple(each.shape[:-1]) for each in seen] == [(2, 1), (6, 1)], "of one position each"
    assert all(each.is_contiguous() for each in seen)
