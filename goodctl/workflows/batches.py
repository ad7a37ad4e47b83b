"""A batch of prompts becomes lines of the output."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from goodctl.corpus.prompts import Prompt
from goodctl.steering.decode import FINISHED, Batch, Decoder, Sampling
from goodctl.workflows.explain import Explainer
from goodctl.workflows.prompting import Prompting, Tokens
from goodctl.workflows.steering import Loaded

GENERATIONS, DROPPED, ERROR = "generations", "prompt_tokens_dropped", "error"
"""Columns that are added to a prompt's own; the last two only where there is something to say."""
EMPTY = "the prompt is empty, and the model has no token to begin a text with"


@dataclass(frozen=True)
class Written:
    """What one or several batches gave.

    Attributes:
        lines: Of the output.
        explanations: Of the first prompts.
        tokens: Generated.
        searched: How many of them with the help of neighbours.
        seconds: Spent.
        truncated: Prompts that were cut to the model's window.
        failed: Prompts that could not be continued.
    """

    lines: tuple[dict[str, Any], ...] = ()
    explanations: tuple[dict[str, Any], ...] = ()
    tokens: int = 0
    searched: int = 0
    seconds: float = 0.0
    truncated: int = 0
    failed: int = 0

    @property
    def share(self) -> float:
        """Of the tokens, those chosen with the help of neighbours."""
        return self.searched / self.tokens if self.tokens else 0.0

    def and_(self, other: Written) -> Written:
        """The counts of both; lines are not kept."""
        return Written(
            tokens=self.tokens + other.tokens,
            searched=self.searched + other.searched,
            seconds=self.seconds + other.seconds,
            truncated=self.truncated + other.truncated,
            failed=self.failed + other.failed,
        )


@dataclass
class Batches:
    """Continues prompts with loaded models.

    Attributes:
        name: The prompts' file, for messages.
        loaded: Models and method.
        sampling: How many continuations, how long.
        explainer: Looks at the first prompts.
    """

    name: str
    loaded: Loaded
    sampling: Sampling
    explainer: Explainer
    _prompting: Prompting = field(init=False)
    _decoder: Decoder = field(init=False)

    def __post_init__(self) -> None:
        loaded = self.loaded
        self._prompting = Prompting(loaded.model, self.sampling.max_new_tokens, loaded.companions)
        self._decoder = Decoder(
            loaded.model, loaded.method, self.sampling, self._prompting.ends(), loaded.key_layer, loaded.companions
        )

    def written(self, prompts: Sequence[Prompt], on_step: Callable[[Written, float], None]) -> Written:
        """Continue some prompts.

        Args:
            prompts: Of the file, at least one.
            on_step: Told after every token what has been done, and which share of the longest continuation that is.

        Returns:
            One line for each prompt; a prompt that cannot be continued has no generations and says why.
        """
        began = time.monotonic()
        read = [self._prompting.tokens(prompt) for prompt in prompts]
        able = [(prompt, tokens) for prompt, tokens in zip(prompts, read, strict=True) if tokens.ids]
        self.explainer.begin(prompts)
        columns, tokens, searched = [], 0, 0
        if able:
            batch = Batch(
                [each.ids for _, each in able],
                [prompt.number for prompt, _ in able],
                [f"{self.name}:{prompt.line}" for prompt, _ in able],
            )
            for step in self._decoder.decode(batch):
                columns.append(step.tokens)
                tokens, searched = tokens + step.choices, searched + step.searched
                self.explainer.take(step, batch)
                so_far = Written(tokens=tokens, searched=searched, seconds=time.monotonic() - began)
                on_step(so_far, (step.number + 1) / self.sampling.max_new_tokens)
        texts = self._texts(able, np.stack(columns, axis=1)) if able else {}
        return Written(
            lines=tuple(
                _line(prompt, each, texts.get(prompt.number)) for prompt, each in zip(prompts, read, strict=True)
            ),
            explanations=self.explainer.finished(texts),
            tokens=tokens,
            searched=searched,
            seconds=time.monotonic() - began,
            truncated=sum(each.dropped > 0 for each in read),
            failed=len(prompts) - len(able),
        )

    def _texts(self, able: Sequence[tuple[Prompt, Tokens]], tokens: np.ndarray[Any, Any]) -> dict[int, list[str]]:
        """Number of a prompt to the texts of its continuations (B, steps), without what ended them."""
        texts = {}
        for place, (prompt, read) in enumerate(able):
            rows = tokens[place * self.sampling.continuations : (place + 1) * self.sampling.continuations]
            hidden = (FINISHED, *self._decoder.ends)
            texts[prompt.number] = self._prompting.texts(
                read.ids, [[int(token) for token in row if token not in hidden] for row in rows]
            )
        return texts


def is_line_of(prompt: Prompt, line: bytes) -> bool:
    """Whether a line of an output is of a prompt: it has the prompt's columns, and generations."""
    try:
        found = json.loads(line)
    except ValueError:
        return False
    added = {GENERATIONS, DROPPED, ERROR}
    return (
        isinstance(found, dict)
        and isinstance(found.get(GENERATIONS), list)
        and {name: value for name, value in found.items() if name not in added}
        == {name: value for name, value in prompt.columns.items() if name not in added}
    )


def _line(prompt: Prompt, tokens: Tokens, texts: list[str] | None) -> dict[str, Any]:
    line = {name: value for name, value in prompt.columns.items() if name not in {GENERATIONS, DROPPED, ERROR}}
    if tokens.dropped:
        line[DROPPED] = tokens.dropped
    if texts is None:
        line[ERROR] = EMPTY
    return {**line, GENERATIONS: texts or []}
