"""From prompts to tokens, and from new tokens to text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from goodctl.corpus.prompts import Prompt
from goodctl.errors import UsageError
from goodctl.models.load import LoadedModel

CONTEXT_TOKENS = 16
"""Tokens of the prompt that new ones are decoded with: some tokenizers drop a space at the beginning of a text."""


@dataclass(frozen=True)
class Tokens:
    """A prompt as the model reads it.

    Attributes:
        ids: Token ids; empty where nothing can be continued.
        dropped: How many were cut off at the beginning, since the model's window ends.
    """

    ids: tuple[int, ...]
    dropped: int = 0


def beginning(model: LoadedModel) -> int | None:
    """The token that begins a text, whether or not the tokenizer writes it; None where a model has none."""
    for known in (model.tokenizer.bos_token_id, getattr(model.model.config, "bos_token_id", None)):
        if isinstance(known, int) and 0 <= known < model.vocabulary:  # a default may be of a larger model
            return known
    return None


@dataclass(frozen=True)
class Prompting:
    """How a model reads prompts.

    Attributes:
        model: Model and tokenizer.
        max_new_tokens: For which the window must leave room.
        companions: Models that read along; the smallest window counts.
    """

    model: LoadedModel
    max_new_tokens: int
    companions: Sequence[LoadedModel] = ()

    @property
    def window(self) -> int | None:
        """The longest input in tokens that all models read, or None where none sets a limit."""
        return min((each.window for each in (self.model, *self.companions) if each.window is not None), default=None)

    def __post_init__(self) -> None:
        window = self.window
        if window is not None and self.max_new_tokens >= window:
            raise UsageError(
                f"--max-new-tokens {self.max_new_tokens}: {self.model.name} reads at most {window} tokens, prompt "
                "included.",
                hint=f"Choose {window - 1} or fewer.",
            )

    def tokens(self, prompt: Prompt) -> Tokens:
        """A prompt's tokens: the last ones that fit, behind the beginning-of-text token where the model has one.

        An empty prompt is the beginning-of-text token alone.
        """
        tokenizer = self.model.tokenizer
        ids = tokenizer([prompt.text], add_special_tokens=True, return_attention_mask=False, verbose=False)[
            "input_ids"
        ][0]
        bos = beginning(self.model)
        if not ids:
            return Tokens(() if bos is None else (bos,))
        room = len(ids) if self.window is None else self.window - self.max_new_tokens
        if len(ids) <= room:
            return Tokens(tuple(ids))
        head = (ids[0],) if ids[0] == bos and room > 1 else ()
        kept = ids[len(ids) - (room - len(head)) :]
        return Tokens((*head, *kept), len(ids) - len(head) - len(kept))

    def ends(self) -> frozenset[int]:
        """The tokens that end a text."""
        config = self.model.model.generation_config
        known: list[Any] = [self.model.tokenizer.eos_token_id]
        if config is not None:
            known += config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
        return frozenset(token for token in known if isinstance(token, int))

    def texts(self, prompt: Sequence[int], continuations: Sequence[Sequence[int]]) -> list[str]:
        """What new tokens add to the prompt's text, without tokens that are no text."""
        context = list(prompt[-CONTEXT_TOKENS:])
        before = self._decoded([context])[0]
        together = self._decoded([[*context, *tokens] for tokens in continuations])
        # Where the prompt ends within a character, the first new token may complete it: then nothing goes before.
        return [
            text[len(before) :] if text.startswith(before) else self._decoded([tokens])[0]
            for text, tokens in zip(together, continuations, strict=True)
        ]

    def _decoded(self, sequences: Sequence[Sequence[int]]) -> list[str]:
        decoded = self.model.tokenizer.batch_decode(
            [list(each) for each in sequences], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return [str(text) for text in decoded]
