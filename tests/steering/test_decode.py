"""The sampling loop with its cache, padding and shared texts, against decoding as simply as possible."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from goodctl.errors import UsageError
from goodctl.models.load import LoadedModel
from goodctl.steering import stream
from goodctl.steering.decode import FINISHED, Sampling
from goodctl.steering.logits import ensemble, interpolate, nucleus_mask
from goodctl.steering.methods import DExperts, Ensemble, KnnLm
from tests.fakes.tiny import ARCHITECTURES, VOCABULARY
from tests.steering import naive
from tests.steering.decoding import PROMPTS, SAMPLING, batch, decoder, knn, loaded, memory, side, text, written

WINDOWED = ("mistral", "gemma2", "gemma3")
"""Their layers look at 16 tokens."""
STEERED = ("gpt2", "opt", "falcon", "gemma3", "bloom", "cohere")
ENDS = frozenset(range(0, 256, 7))


def expected(
    models: Sequence[LoadedModel],
    prompts: Sequence[Sequence[int]],
    choose: naive.Choose = naive.base,
    sampling: Sampling = SAMPLING,
    ends: frozenset[int] = frozenset(),
) -> list[list[list[int]]]:
    return [
        [
            naive.continuation(models, prompt, number, which, sampling, choose, ends)
            for which in range(sampling.continuations)
        ]
        for number, prompt in enumerate(prompts)
    ]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_decodes_as_without_cache_and_padding(architecture: str) -> None:
    model = loaded(architecture)
    tokens = written(decoder(model).decode(batch(PROMPTS)), 3)
    assert tokens == expected([model], PROMPTS)
    assert len({tuple(each) for texts in tokens for each in texts}) == 9


@pytest.mark.parametrize("architecture", STEERED)
def test_stores_steer_as_they_would_one_continuation_alone(architecture: str) -> None:
    model, toxic, nontoxic = loaded(architecture), memory(architecture, 1), memory(architecture, 2)
    method = Ensemble(side("toxic", toxic), side("nontoxic", nontoxic, k=17), 1.5, 0.8)

    def choose(logits: list[torch.Tensor], query: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return ensemble(logits[0], knn(toxic, query), knn(nontoxic, query, k=17), 1.5, 0.8), logits[0]

    tokens = written(decoder(model, method).decode(batch(PROMPTS)), 3)
    assert tokens == expected([model], PROMPTS, choose)
    assert tokens != expected([model], PROMPTS)


def test_neighbours_are_mixed_in_as_they_would_be_alone() -> None:
    model, store = loaded("gpt2"), memory("gpt2", 1)

    def choose(logits: list[torch.Tensor], query: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mixed = interpolate(logits[0], knn(store, query), 0.5)
        return mixed, mixed

    tokens = written(decoder(model, KnnLm(side("store", store), 0.5)).decode(batch(PROMPTS)), 3)
    assert tokens == expected([model], PROMPTS, choose)


@pytest.mark.parametrize("architecture", WINDOWED)
@pytest.mark.parametrize("lengths", [(2, 3), (10, 5), (20, 4), (30, 17, 16, 15)])
def test_windows_that_the_text_outgrows(architecture: str, lengths: Sequence[int]) -> None:
    """Not at all; in the continuation; in one prompt; in all."""
    model, sampling = loaded(architecture), Sampling(2, 12, 0.95, 1)
    prompts = [text(length, length) for length in lengths]
    assert written(decoder(model, sampling=sampling).decode(batch(prompts)), 2) == expected(
        [model], prompts, sampling=sampling
    )


@pytest.mark.parametrize("architecture", ["gpt2", "gemma3"])
def test_caches_that_cannot_be_repeated(architecture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, store = loaded(architecture), memory(architecture, 1)
    usual = written(decoder(model, Ensemble(side("toxic", store), None, 1.0, 0.9)).decode(batch(PROMPTS)), 3)
    monkeypatch.setattr(stream, "can_repeat", lambda cache: False)
    method = Ensemble(side("toxic", store), None, 1.0, 0.9)
    assert written(decoder(model, method).decode(batch(PROMPTS)), 3) == usual


def test_experts_steer_as_they_would_alone() -> None:
    models = [loaded("gpt2", seed) for seed in (3, 4, 5)]

    def choose(logits: list[torch.Tensor], _query: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        combined = logits[0] + 0.7 * (logits[1] - logits[2])
        return combined.masked_fill(~nucleus_mask(logits[0], 0.85), -torch.inf), logits[0]

    method = DExperts(("expert", "antiexpert"), 0.7, 0.85)
    tokens = written(decoder(models[0], method, companions=models[1:]).decode(batch(PROMPTS)), 3)
    assert tokens == expected(models, PROMPTS, choose)
    assert tokens != expected(models, PROMPTS)


class TestIndependence:
    """A continuation depends on its prompt, its number and the seed."""

    @pytest.mark.parametrize("architecture", ["gpt2", "gemma3", "bloom"])
    def test_of_the_other_prompts(self, architecture: str) -> None:
        model, store = loaded(architecture), memory(architecture, 1)
        prompts = [*PROMPTS, text(25, 0), text(6, 1)]

        def tokens(numbers: Sequence[int]) -> list[list[list[int]]]:
            method = Ensemble(side("toxic", store), None, 1.0, 0.9)
            some = batch([prompts[number] for number in numbers], numbers)
            return written(decoder(model, method).decode(some), 3)

        together = tokens(range(5))
        assert [tokens([number])[0] for number in range(5)] == together
        assert tokens([4, 1]) == [together[4], together[1]]

    def test_of_how_many_there_are(self) -> None:
        few = written(decoder(loaded(), sampling=Sampling(2, 6, 0.9, 5)).decode(batch(PROMPTS)), 2)
        many = written(decoder(loaded(), sampling=Sampling(5, 12, 0.9, 5)).decode(batch(PROMPTS)), 5)
        assert [[each[:6] for each in texts[:2]] for texts in many] == few

    def test_but_not_of_the_seed(self) -> None:
        tokens = [
            written(decoder(loaded(), sampling=Sampling(3, 12, 0.9, seed)).decode(batch(PROMPTS)), 3)
            for seed in (5, 5, 6)
        ]
        assert tokens[0] == tokens[1] != tokens[2]


class TestEnds:
    """A continuation ends with a token that ends a text."""

    def test_each_ends_where_it_would_alone(self) -> None:
        method = Ensemble(side("toxic", memory("gpt2", 1)), None, 1.0, 1.0)
        for chosen in (None, method):
            steps = list(decoder(loaded(), chosen, ends=ENDS).decode(batch(PROMPTS)))
            tokens = written(iter(steps), 3)
            if chosen is None:
                assert tokens == expected([loaded()], PROMPTS, ends=ENDS)
            lengths = [len(each) for texts in tokens for each in texts]
            assert len(set(lengths)) > 2
            assert [step.choices for step in steps] == [
                sum(length > number for length in lengths) for number in range(max(lengths))
            ]
            assert [step.searched for step in steps] == [step.choices if chosen else 0 for step in steps]
            assert all(each[-1] in ENDS for texts in tokens for each in texts if len(each) < 12)
            assert not any(token in ENDS for texts in tokens for each in texts for token in each[:-1])

    def test_what_others_do_does_not_depend_on_it(self) -> None:
        with_ends = written(decoder(loaded(), ends=ENDS).decode(batch(PROMPTS)), 3)
        without = written(decoder(loaded()).decode(batch(PROMPTS)), 3)
        for ended, whole in zip(itertools.chain(*with_ends), itertools.chain(*without), strict=True):
            assert whole[: len(ended)] == ended

    def test_it_stops_when_all_have_ended(self) -> None:
        passes: list[int] = []
        hook = loaded().model.register_forward_hook(lambda *_: passes.append(1))
        try:
            steps = list(decoder(loaded(), ends=frozenset(range(VOCABULARY))).decode(batch(PROMPTS)))
        finally:
            hook.remove()
        assert (len(steps), len(passes)) == (1, 1)
        assert (steps[0].tokens != FINISHED).all()

    def test_nothing_is_computed_for_a_token_that_nobody_asks_for(self) -> None:
        passes: list[int] = []
        hook = loaded().model.register_forward_hook(lambda *_: passes.append(1))
        try:
            steps = list(decoder(loaded(), sampling=Sampling(2, 4, 0.9, 0)).decode(batch(PROMPTS)))
        finally:
            hook.remove()
        assert (len(steps), len(passes)) == (4, 4)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"continuations": 0}, "--num-return-sequences"),
        ({"max_new_tokens": 0}, "--max-new-tokens"),
        ({"top_p": 0.0}, "--top-p"),
        ({"top_p": 1.5}, "--top-p"),
        ({"seed": -1}, "--seed"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(UsageError, match=name):
        Sampling(**settings)
