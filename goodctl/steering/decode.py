"""The sampling loop: one for every method."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from goodctl.errors import GoodctlError, UsageError
from goodctl.models.key_layer import KeyLayer
from goodctl.models.load import LoadedModel
from goodctl.steering.draws import drawn, uniforms
from goodctl.steering.methods import Inputs, Method, Steered
from goodctl.steering.nucleus import check_share
from goodctl.steering.stream import Stream

Indices = npt.NDArray[np.int64]

MOST_CONTINUATIONS = 100_000
"""Of a prompt: all of them are computed in one batch, and each has its own random numbers."""
FINISHED = -1
"""In place of a token, after a continuation's end."""


@dataclass(frozen=True)
class Sampling:
    """How continuations are sampled.

    Attributes:
        continuations: Of each prompt.
        max_new_tokens: Of a continuation, at most.
        top_p: Probability of the nucleus that is sampled from.
        seed: Of the random numbers.
    """

    continuations: int = 25
    max_new_tokens: int = 20
    top_p: float = 0.9
    seed: int = 0

    def __post_init__(self) -> None:
        counts = (("--num-return-sequences", self.continuations), ("--max-new-tokens", self.max_new_tokens))
        for name, value in counts:
            if value < 1:
                raise UsageError(f"{name} {value}: it must be at least 1.", hint="Leave it out for the default.")
        if self.continuations > MOST_CONTINUATIONS:
            raise UsageError(
                f"--num-return-sequences {self.continuations}: it must be at most {MOST_CONTINUATIONS:,}.",
                hint="Use several seeds, each with an output of its own.",
            )
        check_share(self.top_p, "--top-p")
        if self.seed < 0:
            raise UsageError(
                f"--seed {self.seed}: it must not be negative.", hint="Any whole number from 0 on will do."
            )


@dataclass(frozen=True)
class Batch:
    """Prompts that are continued together.

    Attributes:
        prompts: Token ids of each, at least one.
        numbers: Of the prompts in their file; they choose the random numbers.
        names: What the prompts are called in messages.
    """

    prompts: Sequence[Sequence[int]]
    numbers: Sequence[int]
    names: Sequence[str]


@dataclass(frozen=True)
class Step:
    """One token of every continuation of a batch.

    Attributes:
        number: From 0.
        tokens: (B,) int64, prompt by prompt; ``FINISHED`` after a continuation's end.
        choices: Continuations that were still going on.
        searched: How many of them were chosen with the help of neighbours.
        rows: (B,) int64, which row of ``steered`` and of ``inputs`` belongs to each continuation.
        inputs: What the models computed, for different texts only.
        steered: What the method made of it.
        numbers: (B,) float64, the random numbers that chose.
    """

    number: int
    tokens: npt.NDArray[np.int64]
    choices: int
    searched: int
    rows: Indices
    inputs: Inputs
    steered: Steered
    numbers: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Decoder:
    """Samples continuations.

    Attributes:
        model: The base model.
        method: What chooses.
        sampling: How many, how long.
        ends: Token ids that end a text.
        key_layer: Where the method's hidden states are read, if it reads any.
        companions: Further models that read along, in the order that the method expects.
    """

    model: LoadedModel
    method: Method
    sampling: Sampling
    ends: frozenset[int]
    key_layer: KeyLayer | None = None
    companions: Sequence[LoadedModel] = field(default=())

    @torch.inference_mode()  # on the generator itself: while it waits, its caller computes as it likes
    def decode(self, batch: Batch) -> Iterator[Step]:
        """Continue the prompts of a batch, step by step, until all continuations have ended.

        Raises:
            GoodctlError: A model gives logits that are no numbers; names the prompt.
        """
        sampling, device = self.sampling, self.model.device
        with contextlib.ExitStack() as stack:
            tap = self.key_layer if self.method.reads_queries else None
            streams = [stack.enter_context(Stream.opened(self.model.model, device, tap))]
            streams += [stack.enter_context(Stream.opened(each.model, each.device)) for each in self.companions]
            numbers = uniforms(sampling.seed, batch.numbers, sampling.continuations, sampling.max_new_tokens)
            logits = [each.prefill(batch.prompts, sampling.continuations, sampling.max_new_tokens) for each in streams]
            prompt_of = np.arange(len(batch.prompts)).repeat(sampling.continuations)  # (B,)
            texts, rows, first = prompt_of, prompt_of, np.arange(len(batch.prompts))
            going = np.ones(len(texts), dtype=bool)
            for number in range(sampling.max_new_tokens):
                inputs = _chosen(logits, streams[0].queries(), first, device)
                # The first rows are prompts, later ones continuations.
                self._check(inputs, batch, prompt_of[first] if number else first)
                step = self._step(number, inputs, rows, going, numbers[:, number])
                self._check_weights(step, batch, prompt_of[first] if number else first)
                yield step
                going = going & ~np.isin(step.tokens, [FINISHED, *self.ends])
                if number + 1 == sampling.max_new_tokens or not going.any():
                    return
                read = torch.from_numpy(np.maximum(step.tokens, 0))
                logits = [stream.advance(read.to(stream.device)) for stream in streams]
                texts = np.unique(np.stack([texts, step.tokens]), axis=1, return_inverse=True)[1].reshape(-1)
                first, rows = _first_of_each(texts, going)

    def _step(
        self, number: int, inputs: Inputs, rows: Indices, going: npt.NDArray[np.bool_], numbers: npt.NDArray[np.float64]
    ) -> Step:
        steered = self.method.steer(inputs, self.sampling.top_p)
        where = torch.from_numpy(rows).to(inputs.logits.device)
        weights = steered.weights[where]  # (B, N)
        columns = drawn(weights, torch.from_numpy(numbers).to(weights.dtype).to(weights.device))
        tokens = steered.tokens[where].gather(1, columns[:, None])[:, 0].cpu().numpy()
        searched = 0 if steered.searched is None else int(steered.searched.cpu().numpy()[rows][going].sum())
        return Step(
            number, np.where(going, tokens, FINISHED), int(going.sum()), searched, rows, inputs, steered, numbers
        )

    def _check_weights(self, step: Step, batch: Batch, prompts: Indices) -> None:
        totals = step.steered.weights.sum(-1)
        wrong = ~(torch.isfinite(totals) & (totals > 0)).cpu().numpy()
        if wrong.any():
            raise GoodctlError(
                f"{batch.names[prompts[int(np.flatnonzero(wrong)[0])]]}: the method leaves no token to choose.",
                hint="Choose a smaller --alpha or --lam; an expert that rules out the base's tokens does not serve.",
            )

    def _check(self, inputs: Inputs, batch: Batch, prompts: Indices) -> None:
        if inputs.queries is not None and not bool(torch.isfinite(inputs.queries).all()):
            wrong = ~torch.isfinite(inputs.queries).all(-1).cpu().numpy()
            raise GoodctlError(
                f"{batch.names[prompts[int(np.flatnonzero(wrong)[0])]]}: {self.model.name} gives hidden states that "
                f"are no numbers ({self.model.precision}).",
                hint="Try --precision fp32; if that does not help, the weights are damaged or the model is broken.",
            )
        models = (self.model, *self.companions)
        for model, logits in zip(models, (inputs.logits, *inputs.companions), strict=True):
            wrong = ~torch.isfinite(logits.amax(-1)).cpu().numpy()
            if wrong.any():
                raise GoodctlError(
                    f"{batch.names[prompts[int(np.flatnonzero(wrong)[0])]]}: {model.name} gives logits that are no "
                    f"numbers ({model.precision}).",
                    hint="Try --precision fp32; if that does not help, the weights are damaged or the model is broken.",
                )


def _chosen(
    logits: Sequence[torch.Tensor], queries: torch.Tensor | None, rows: Indices, device: torch.device
) -> Inputs:
    """What the models computed, for one continuation of each text."""
    first = torch.from_numpy(rows)
    chosen = [each[first.to(each.device)].to(device) for each in logits]
    return Inputs(chosen[0], None if queries is None else queries[first.to(queries.device)], tuple(chosen[1:]))


def _first_of_each(texts: Indices, going: npt.NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """For each text that goes on its first continuation (R,), and for each continuation (B,) the row of its text."""
    alive = np.flatnonzero(going)
    _, first, inverse = np.unique(texts[alive], return_index=True, return_inverse=True)
    rows = np.zeros(len(texts), dtype=np.int64)
    rows[alive] = inverse.reshape(-1)
    return alive[first], rows
