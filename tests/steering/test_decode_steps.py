"""What the sampling loop does beside sampling: shared texts, errors, hooks, what a step hands out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from goodctl.errors import GoodctlError, IncompatibleError
from goodctl.models.load import LoadedModel
from goodctl.steering.decode import FINISHED, Sampling
from goodctl.steering.methods import DExperts, Ensemble, Inputs
from goodctl.steering.search import Side
from tests.fakes.tiny import VOCABULARY
from tests.steering.decoding import PROMPTS, TEMPERATURE, batch, decoder, loaded, memory, side, written
from tests.steering.searching import Memory, Queries

ENDS = frozenset(range(0, 256, 7))


class TestSharedTexts:
    """Continuations that are still the same text are computed once."""

    def test_a_search_for_each_text(self) -> None:
        searcher = memory("gpt2", 1)
        method = Ensemble(asked := side("toxic", searcher), None, 1.0, 1.0)
        steps = list(decoder(loaded(), method, Sampling(20, 5, 0.2, 0)).decode(batch(PROMPTS)))
        assert isinstance(asked.searcher, Memory)
        texts = np.zeros((60, 0), dtype=np.int64)
        prompt_of = np.arange(3).repeat(20)[:, None]
        for step, queries in zip(steps, asked.searcher.asked, strict=True):
            before = np.concatenate([prompt_of, texts], axis=1)
            different = np.unique(before, axis=0)
            assert len(queries) == len(step.inputs.logits) == len(different)
            assert step.searched == step.choices == 60
            for row in range(len(different)):
                (same,) = np.nonzero(step.rows == row)
                assert (before[same] == before[same[0]]).all()
            texts = np.concatenate([texts, step.tokens[:, None]], axis=1)
        assert len(asked.searcher.asked[0]) == 3
        assert len(asked.searcher.asked[-1]) > 3

    def test_rows_of_what_goes_on(self) -> None:
        steps = list(decoder(loaded(), ends=ENDS).decode(batch(PROMPTS)))
        going = np.ones(9, dtype=bool)
        for step in steps:
            rows = np.unique(step.rows[going])
            assert rows.tolist() == list(range(len(step.inputs.logits)))
            assert np.array_equal(step.tokens == FINISHED, ~going)
            going &= ~np.isin(step.tokens, list(ENDS))


class Nan:
    """Spoils the logits of some rows of a model's passes.

    Args:
        model: To be spoiled.
        at: Number of the pass, from 0.
        rows: Of that pass.
        value: What stands there.
    """

    def __init__(self, model: Any, at: int, rows: Sequence[int], value: float = float("nan")) -> None:
        self.passes = 0
        self.hook = model.register_forward_hook(self)
        self.at, self.rows, self.value = at, rows, value

    def __call__(self, _module: Any, _args: Any, output: Any) -> None:
        if self.passes == self.at:
            output.logits[self.rows, -1, 7] = self.value
        self.passes += 1

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self.hook.remove()


class TestNoNumbers:
    """Logits that are no numbers are an error that names the prompt."""

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    @pytest.mark.parametrize(("at", "row", "prompt"), [(0, 0, 11), (0, 2, 31), (2, 1, 11), (2, 5, 21), (2, 8, 31)])
    def test_in_the_base_model(self, value: float, at: int, row: int, prompt: int) -> None:
        """The first pass has a row for each prompt, later ones for each continuation."""
        with Nan(loaded().model, at, [row], value), pytest.raises(GoodctlError) as caught:
            list(decoder(loaded()).decode(batch(PROMPTS, [10, 20, 30])))
        assert f"prompts.txt:{prompt}: gpt2-3 gives logits that are no numbers (fp32)" in caught.value.message

    def test_in_an_expert(self) -> None:
        model, expert = loaded(), loaded("gpt2", 4)
        method = DExperts(("expert",), 1.0, 0.9)
        with Nan(expert.model, 1, [4]), pytest.raises(GoodctlError, match=r"prompts.txt:2: gpt2-4 gives logits"):
            list(decoder(model, method, companions=[expert]).decode(batch(PROMPTS)))

    def test_after_an_end_they_do_not_matter(self) -> None:
        ends = ENDS
        usual = list(decoder(loaded(), ends=ends).decode(batch(PROMPTS)))
        at = next(number for number, step in enumerate(usual) if (step.tokens == FINISHED).any())
        rows = np.flatnonzero(usual[at].tokens == FINISHED).tolist()
        with Nan(loaded().model, at, rows):
            again = list(decoder(loaded(), ends=ends).decode(batch(PROMPTS)))
        assert written(iter(again), 3) == written(iter(usual), 3)


def test_a_model_without_an_attention_cache() -> None:
    config = AutoConfig.for_model("mamba", vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2, state_size=4)
    recurrent = dataclasses.replace(loaded(), model=AutoModelForCausalLM.from_config(config).eval())
    with pytest.raises(IncompatibleError, match="MambaForCausalLM keeps no attention cache"):
        list(decoder(recurrent).decode(batch(PROMPTS)))


def hooks(model: LoadedModel) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.model.modules())


class TestHook:
    """The hook on the key layer does not outlive the decoding."""

    def method(self) -> Ensemble:
        return Ensemble(side("toxic", memory("gpt2", 1)), None, 1.0, 0.9)

    def test_it_is_there_meanwhile(self) -> None:
        steps = decoder(loaded(), self.method()).decode(batch(PROMPTS))
        assert hooks(loaded()) == 0
        next(steps)
        assert hooks(loaded()) == 1
        list(steps)
        assert hooks(loaded()) == 0

    def test_methods_that_read_no_states_have_none(self) -> None:
        steps = decoder(loaded()).decode(batch(PROMPTS))
        next(steps)
        assert hooks(loaded()) == 0

    def test_an_abandoned_generator(self) -> None:
        steps = decoder(loaded(), self.method()).decode(batch(PROMPTS))
        next(steps)
        steps.close()  # type: ignore[attr-defined]
        assert hooks(loaded()) == 0

    def test_an_exception(self) -> None:
        class Broken(Memory):
            def search(self, queries: Queries, k: int) -> Any:
                if self.asked:
                    raise OSError("the disk is gone")
                return super().search(queries, k)

        keys = memory("gpt2", 1)
        method = Ensemble(Side("toxic", Broken(keys.keys, keys.values), 8, TEMPERATURE), None, 1.0, 0.9)
        with pytest.raises(OSError, match="the disk is gone"):
            list(decoder(loaded(), method).decode(batch(PROMPTS)))
        assert hooks(loaded()) == 0


def test_the_whole_of_a_step_is_what_was_sampled() -> None:
    """What a step hands out explains its tokens."""
    method = Ensemble(side("toxic", memory("gpt2", 1)), None, 1.0, 0.9)
    for step in decoder(loaded(), method).decode(batch(PROMPTS)):
        whole = method.whole(Inputs(step.inputs.logits, step.inputs.queries))
        for continuation, token in enumerate(step.tokens):
            row = int(step.rows[continuation])
            column = int(torch.nonzero(step.steered.tokens[row] == int(token))[0, 0])
            assert float(step.steered.weights[row, column]) > 0
            assert float(step.steered.log_probs[row, column]) == pytest.approx(float(whole[row, token]), abs=1e-5)
