"""Why a token was chosen: its probability with and without steering, and the neighbours that spoke."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from goodctl.corpus.prompts import Prompt
from goodctl.index.locate import Locator
from goodctl.index.search import Searcher
from goodctl.models.load import LoadedModel
from goodctl.steering.decode import FINISHED, Batch, Sampling, Step
from goodctl.steering.draws import drawn
from goodctl.steering.logits import neighbor_weights
from goodctl.steering.nucleus import accurate, nucleus
from goodctl.steering.search import Found

STRONGEST = 3
"""Neighbours of a side that are shown."""
CONTEXT_TOKENS = 10


@dataclass(frozen=True)
class Voice:
    """A neighbour that spoke for a token.

    Attributes:
        token: Text of its next token.
        before: Text before it.
        distance: Squared L2.
        share: Of its side's weight.
        language: Of its segment.
        source: File or dataset.
        line: Line or record in the source.
    """

    token: str
    before: str
    distance: float
    share: float
    language: str
    source: str
    line: int


@dataclass(frozen=True)
class Vote:
    """What one side said.

    Attributes:
        probability: Of the chosen token among the side's neighbours.
        neighbors: The strongest ones, which are the nearest.
    """

    probability: float
    neighbors: tuple[Voice, ...]


@dataclass(frozen=True)
class Choice:
    """One token of a continuation.

    Attributes:
        token: Its text.
        token_id: Its id.
        base: Its probability in the base model.
        steered: Its probability in the method's distribution, before the nucleus is cut.
        base_choice: Text of what the same random number would have chosen without steering.
        changed: Whether that is another token.
        sides: Side name to what it said; empty where nothing was searched.
    """

    token: str
    token_id: int
    base: float
    steered: float
    base_choice: str
    changed: bool
    sides: dict[str, Vote]


@dataclass(frozen=True)
class Explanation:
    """The first continuation of a prompt, token by token.

    Attributes:
        prompt: Its text.
        line: Of the prompt in its file.
        continuation: Its text.
        tokens: Its tokens; none where the prompt could not be continued.
    """

    prompt: str
    line: int
    continuation: str
    tokens: tuple[Choice, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass
class Explainer:
    """Watches the first continuation of the first prompts.

    Attributes:
        searchers: Side name to its stores.
        model: Tells the text of tokens.
        sampling: How tokens are chosen.
        most: How many prompts.
        temperature: Of the neighbours.
    """

    searchers: Mapping[str, Searcher]
    model: LoadedModel
    sampling: Sampling
    most: int
    temperature: float
    _prompts: list[Prompt] = field(default_factory=list)
    _choices: dict[int, list[Choice]] = field(default_factory=dict)
    _locators: dict[str, Locator] = field(default_factory=dict)

    def begin(self, prompts: Sequence[Prompt]) -> None:
        """A batch begins: forget the one before."""
        self._prompts = [prompt for prompt in prompts if prompt.number < self.most]
        self._choices = {prompt.number: [] for prompt in self._prompts}

    def take(self, step: Step, batch: Batch) -> None:
        """Look at one step of the batch."""
        for place, number in enumerate(batch.numbers):
            continuation = place * self.sampling.continuations
            if number in self._choices and int(step.tokens[continuation]) != FINISHED:
                self._choices[number].append(self._choice(step, continuation))

    def finished(self, texts: Mapping[int, Sequence[str]]) -> tuple[dict[str, Any], ...]:
        """What was seen, one entry for each of the first prompts of the batch.

        Args:
            texts: Prompt number to its continuations.
        """
        explained = [
            Explanation(
                prompt.text, prompt.line, texts.get(prompt.number, [""])[0], tuple(self._choices[prompt.number])
            )
            for prompt in self._prompts
        ]
        return tuple(each.to_dict() for each in explained)

    def _choice(self, step: Step, continuation: int) -> Choice:
        row, token = int(step.rows[continuation]), int(step.tokens[continuation])
        logits = step.inputs.logits[row : row + 1]  # (1, V)
        steered = step.steered
        column = int(torch.nonzero((steered.tokens[row] == token) & (steered.weights[row] > 0))[0, 0])
        plain = nucleus(logits, self.sampling.top_p)
        weights = accurate(plain.log_probs).exp().masked_fill(~plain.kept, 0.0)
        number = torch.from_numpy(step.numbers[continuation : continuation + 1]).to(weights.dtype).to(weights.device)
        other = int(plain.tokens[0, int(drawn(weights, number)[0])])
        return Choice(
            token=self._text([token]),
            token_id=token,
            base=float(logits.float().log_softmax(-1)[0, token].exp()),
            steered=float(steered.log_probs[row, column].exp()),
            base_choice=self._text([other]),
            changed=other != token,
            sides=self._votes(step, row, token),
        )

    def _votes(self, step: Step, row: int, token: int) -> dict[str, Vote]:
        searched = step.steered.searched
        if searched is None or not bool(searched[row]):
            return {}
        place = int(searched[:row].sum())
        return {name: self._vote(name, found, place, token) for name, found in step.steered.found.items()}

    def _vote(self, side: str, found: Found, place: int, token: int) -> Vote:
        distances = torch.from_numpy(found.distances[place : place + 1])
        values = torch.from_numpy(found.values[place : place + 1])
        weights = neighbor_weights(distances, values, self.temperature)[0][0].numpy()  # (K,)
        said = found.values[place] == token
        order = np.argsort(found.distances[place], kind="stable")[:STRONGEST]
        return Vote(
            probability=float(weights[said].sum()),
            neighbors=tuple(
                self._voice(
                    side, int(found.rows[place][each]), float(found.distances[place][each]), float(weights[each])
                )
                for each in order
            ),
        )

    def _voice(self, side: str, row: int, distance: float, share: float) -> Voice:
        if side not in self._locators:
            self._locators[side] = Locator(self.searchers[side])
        origin = self._locators[side].origin(row, CONTEXT_TOKENS)
        return Voice(
            token=self._text([int(self.searchers[side].values[row])]),
            before=self._text(origin.before.tolist()),
            distance=distance,
            share=share,
            language=origin.language,
            source=origin.source,
            line=origin.line,
        )

    def _text(self, tokens: list[int]) -> str:
        return str(self.model.tokenizer.decode(tokens, clean_up_tokenization_spaces=False)) if tokens else ""
