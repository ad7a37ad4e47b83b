"""Steered generation on a CUDA device."""

from __future__ import annotations

from pathlib import Path

import pytest

from goodctl.workflows.generate import generate
from goodctl.workflows.generate_choice import GenerateChoice
from goodctl.workflows.model_choice import ModelChoice
from tests.workflows.generating import SAMPLING, lines, run, steering, stores, write_prompts

pytestmark = pytest.mark.gpu


def test_a_gpu_gives_the_text_of_the_cpu_but_for_rounding(tiny: str, tmp_path: Path) -> None:
    places = stores(tmp_path, tiny)
    prompts = write_prompts(tmp_path / "p.jsonl", [{"prompt": f"Good {number}"} for number in range(20)])
    run(prompts, tmp_path / "cpu.jsonl", steering(places))
    choice = GenerateChoice(prompts, str(tmp_path / "cuda.jsonl"), SAMPLING)
    generate(choice, steering(places), ModelChoice(device="cuda", precision="fp32"))
    texts = [
        [text for line in lines(tmp_path / f"{device}.jsonl") for text in line["generations"]]
        for device in ("cpu", "cuda")
    ]
    same = sum(one == other for one, other in zip(*texts, strict=True))
    assert same >= 0.9 * len(texts[0])
