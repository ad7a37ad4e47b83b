"""Steered generation on a CUDA device."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from goodctl.workflows.generate import generate
from goodctl.workflows.generate_choice import GenerateChoice
from goodctl.workflows.model_choice import ModelChoice
from goodctl.workflows.steering import open_stores
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
    settings = json.loads((tmp_path / "cuda.jsonl.manifest.json").read_text())["settings"]
    assert settings["searched_by"] == {"toxic": "keys", "nontoxic": "keys"}
    same = sum(one == other for one, other in zip(*texts, strict=True))
    assert same >= 0.9 * len(texts[0])


def test_keys_may_leave_the_gpu(tiny: str, tmp_path: Path) -> None:
    opened = open_stores(steering(stores(tmp_path, tiny)), torch.device("cuda"))["toxic"]
    queries = np.random.default_rng(0).normal(size=(7, opened.header.dimension)).astype(np.float32)
    before = opened.search(queries, 16)
    assert opened.leave_device() and not opened.leave_device()
    after = opened.search(queries, 16)
    np.testing.assert_array_equal(before.rows, after.rows)
