"""Tiny models, prompts and stores in memory, ready to be decoded."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from goodctl.models.key_layer import capture, find_key_layer
from goodctl.models.load import LoadedModel
from goodctl.models.source import ModelSource
from goodctl.steering.decode import FINISHED, Batch, Decoder, Sampling, Step
from goodctl.steering.logits import knn_log_probs
from goodctl.steering.methods import Base, Method
from goodctl.steering.search import Side
from tests.fakes.tiny import VOCABULARY, tiny_model, tiny_tokenizer
from tests.steering.searching import Memory

CPU = torch.device("cpu")
PROMPTS = ([72, 101, 108], [84], [65, 32, 110, 105, 99, 101, 32, 100, 97, 121, 33])
SAMPLING = Sampling(continuations=3, max_new_tokens=12, top_p=0.9, seed=5)
TEMPERATURE = 3.0


@functools.cache
def loaded(architecture: str = "gpt2", seed: int = 3) -> LoadedModel:
    model = tiny_model(architecture=architecture, seed=seed)
    source = ModelSource(f"{architecture}-{seed}", Path())
    return LoadedModel(model, tiny_tokenizer(), source, CPU, "fp32", VOCABULARY, 64)


def batch(prompts: Sequence[Sequence[int]], numbers: Sequence[int] | None = None) -> Batch:
    numbers = list(range(len(prompts))) if numbers is None else numbers
    return Batch(prompts, numbers, [f"prompts.txt:{number + 1}" for number in numbers])


def decoder(
    model: LoadedModel,
    method: Method | None = None,
    sampling: Sampling = SAMPLING,
    ends: frozenset[int] = frozenset(),
    companions: Sequence[LoadedModel] = (),
) -> Decoder:
    return Decoder(model, method or Base(), sampling, ends, find_key_layer(model.model, "ffn-input"), companions)


def written(steps: Iterator[Step], continuations: int) -> list[list[list[int]]]:
    """The tokens of each continuation of each prompt, without what stands after their ends."""
    tokens = np.stack([step.tokens for step in steps], axis=1)  # (B, T)
    texts = [[int(token) for token in row if token != FINISHED] for row in tokens]
    return [texts[start : start + continuations] for start in range(0, len(texts), continuations)]


def text(length: int, seed: int) -> list[int]:
    return list(map(int, np.random.default_rng(seed).integers(0, 256, length)))


@functools.cache
def memory(architecture: str, seed: int) -> Memory:
    """The hidden states of a random text, as a store has them."""
    model = loaded(architecture)
    ids = torch.tensor([text(60, seed) for _ in range(6)])
    keys = capture(model.model, find_key_layer(model.model, "ffn-input"), ids, None)[:, :-1].reshape(-1, 16)
    return Memory(keys.float().numpy().copy(), ids[:, 1:].reshape(-1).numpy().astype(np.int32))


def side(name: str, searcher: Memory, k: int = 40) -> Side:
    return Side(name, Memory(searcher.keys, searcher.values), k, TEMPERATURE)


def knn(searcher: Memory, query: torch.Tensor, k: int = 40) -> torch.Tensor:
    found = searcher.search(query.numpy(), k)
    return knn_log_probs(torch.from_numpy(found.distances), torch.from_numpy(found.values), VOCABULARY, TEMPERATURE)
