"""Conditional log probabilities against one text at a time, on many architectures."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from goodctl.errors import GoodctlError, ServiceError
from goodctl.models.load import LoadedModel
from goodctl.models.source import ModelSource
from goodctl.workflows.conditional import Conditional
from goodctl.workflows.continuations import Continuation
from tests.fakes.tiny import ARCHITECTURES, VOCABULARY, tiny_model

RECURRENT = {"hidden_size": 16, "num_hidden_layers": 2, "vocab_size": VOCABULARY, "state_size": 4}


def loaded(model: Any) -> LoadedModel:
    source = ModelSource("tiny", Path())
    return LoadedModel(model, None, source, torch.device("cpu"), "fp32", VOCABULARY, 64)


def continuations(seed: int = 0) -> list[Continuation]:
    """Prompts of several lengths, some shared; continuations of 0 to 30 tokens, beyond sliding windows of 16."""
    rng = random.Random(seed)
    found = []
    for length in (1, 1, 3, 3, 9, 20, 20):
        prefix = tuple(rng.randrange(256) for _ in range(length))
        found += [
            Continuation(prefix, tuple(rng.randrange(256) for _ in range(rng.choice([0, 1, 2, 7, 30]))))
            for _ in range(rng.randint(1, 4))
        ]
    rng.shuffle(found)
    return found


def one_at_a_time(model: Any, wanted: Sequence[Continuation]) -> list[float]:
    found = []
    for each in wanted:
        total = 0.0
        for position, token in enumerate(each.tokens):
            before = torch.tensor([[*each.prefix, *each.tokens[:position]]])
            with torch.inference_mode():
                total -= float(model(input_ids=before, use_cache=False).logits[0, -1].log_softmax(-1)[token])
        found.append(total)
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_batches_give_what_single_texts_give(architecture: str) -> None:
    model = tiny_model(architecture=architecture)
    wanted = continuations()
    conditional = Conditional(loaded(model), batch_tokens=64)
    assert conditional.shares
    counts: list[int] = []
    found = conditional.nll(wanted, counts.append)
    assert found == pytest.approx(one_at_a_time(model, wanted), abs=1e-4)
    assert sum(counts) == sum(bool(each.tokens) for each in wanted)
    assert len(counts) > 3


def test_a_recurrent_model_reads_every_text_from_its_beginning() -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("mamba", **RECURRENT)).eval()
    wanted = continuations()
    conditional = Conditional(loaded(model), batch_tokens=64)
    assert not conditional.shares
    assert conditional.nll(wanted) == pytest.approx(one_at_a_time(model, wanted), abs=1e-4)


def shapes_read(conditional: Conditional, wanted: Sequence[Continuation]) -> list[tuple[int, int, int]]:
    """Of each forward pass: rows, their positions in the cache, new positions."""
    read: list[tuple[int, int, int]] = []

    def count(_module: Any, _args: Any, given: dict[str, Any]) -> None:
        rows, new = given["input_ids"].shape
        read.append((rows, given["past_key_values"].get_seq_length(), new))

    hook = conditional.model.model.register_forward_pre_hook(count, with_kwargs=True)
    conditional.nll(wanted)
    hook.remove()
    return read


def test_a_prompt_is_read_once_for_its_continuations() -> None:
    prefix = tuple(range(20))
    wanted = [Continuation(prefix, (1, 2, 3, number)) for number in range(10)]
    assert shapes_read(Conditional(loaded(tiny_model())), wanted) == [(1, 0, 20), (10, 20, 3)]


def test_a_prompt_is_read_once_however_large_the_vocabulary_is() -> None:
    model = loaded(tiny_model())
    wanted = [Continuation((*range(20), prompt), (1, 2, 3, text)) for prompt in range(6) for text in range(10)]
    conditional = Conditional(model, batch_tokens=12)  # as a vocabulary of millions would have it
    read = shapes_read(conditional, wanted)
    assert sum(rows for rows, before, _ in read if not before) == 6
    assert all(rows <= 12 // 4 for rows, before, _ in read if before)
    assert conditional.nll(wanted) == pytest.approx(one_at_a_time(model.model, wanted), abs=1e-4)
    huge = Conditional(replace(model, vocabulary=10_000_000))
    assert sum(rows for rows, before, _ in shapes_read(huge, wanted) if not before) == 6


def test_keys_and_values_are_bounded() -> None:
    """Those of the prompts that were read, and those of their continuations, are there together."""
    model = tiny_model()
    wanted = [Continuation((*range(40), prompt), tuple(range(9))) for prompt in range(30) for _ in range(5)]
    position = 2 * model.config.n_layer * model.config.n_embd * 4
    budget = 400 * position
    read = shapes_read(Conditional(loaded(model), cache_bytes=budget), wanted)
    prompts = 0
    for rows, before, new in read:
        prompts = prompts if before else rows
        behind = rows * (before + new) if before else 0
        assert (prompts * 41 + behind) * position <= budget
    assert sum(rows for rows, before, _ in read if not before) == 30
    assert max(rows for rows, before, _ in read if not before) == 4, "several prompts are read together"
    assert len(shapes_read(Conditional(loaded(model), cache_bytes=1), wanted)) == 30 + 150


class Exhausted(torch.nn.Module):
    """A model whose memory suffices for so many positions."""

    def __init__(self, model: Any, most: int) -> None:
        super().__init__()
        self.inner, self.config, self._most = model, model.config, most

    def forward(self, input_ids: Any, past_key_values: Any = None, **given: Any) -> Any:
        if input_ids.numel() > self._most:
            raise torch.OutOfMemoryError("out of memory")
        return self.inner(input_ids=input_ids, past_key_values=past_key_values, **given)


def test_a_batch_that_does_not_fit_is_halved() -> None:
    model = tiny_model()
    wanted = continuations()
    conditional = Conditional(loaded(Exhausted(model, 40)), batch_tokens=1000)
    assert conditional.nll(wanted) == pytest.approx(one_at_a_time(model, wanted), abs=1e-4)
    assert conditional.batch_tokens < 1000
    with pytest.raises(ServiceError, match="out of memory with a single text of"):
        Conditional(loaded(Exhausted(model, 10))).nll(wanted)


def test_broken_weights_are_an_error() -> None:
    model = tiny_model()
    with torch.no_grad():
        model.transformer.ln_f.weight[0] = float("nan")
    with pytest.raises(GoodctlError, match="no numbers"):
        Conditional(loaded(model)).nll([Continuation((1,), (2, 3))])


def test_nothing_to_measure() -> None:
    assert Conditional(loaded(tiny_model())).nll([]).shape == (0,)
    assert np.all(Conditional(loaded(tiny_model())).nll([Continuation((1,), ())]) == 0)
