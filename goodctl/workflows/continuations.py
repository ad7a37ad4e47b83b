"""A prompt and its continuations as tokens, parted where the prompt ends (docs/explanation)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from goodctl.errors import InputError
from goodctl.models.load import LoadedModel
from goodctl.workflows.prompting import beginning

PROBE = "a"
ANCHORS = ("\n", "|", "0", "。", "a")
"""Texts behind which a tokenizer writes no space of its own; some lose line breaks, some merge the others."""
SPACE = "▁"


@dataclass(frozen=True)
class Continuation:
    """A continuation as the model reads it.

    Attributes:
        prefix: Ids of what stands before it, at least one; those of the beginning of a text included.
        tokens: Ids that are predicted; empty for a continuation without text, or with white space alone.
        dropped: How many ids of the prompt were cut off at its beginning, since the model's window ends.
    """

    prefix: tuple[int, ...]
    tokens: tuple[int, ...]
    dropped: int = 0


@dataclass
class Splitter:
    """Parts texts at the end of their prompts.

    Where the tokens of the whole text begin with the tokens of the prompt, the others are the continuation's. Where
    they do not, for a token reaches across the end of the prompt, prompt and continuation are tokenized apart, the
    continuation as text that something stands before: without a beginning-of-text token, and without the space that
    some tokenizers put before a text. For that it is tokenized behind an anchor, a short text that no token crosses.

    Attributes:
        model: Model and tokenizer.
    """

    model: LoadedModel
    _head: tuple[int, ...] = field(init=False)
    _anchors: tuple[tuple[str, list[int]], ...] = field(init=False)

    def __post_init__(self) -> None:
        (plain,), (whole,) = self._ids([PROBE]), self._ids([PROBE], special=True)
        begins = next((at for at in range(len(whole)) if whole[at : at + len(plain)] == plain), 0)
        self._head = tuple(whole[:begins])
        self._anchors = tuple(self._usable(plain))

    def _usable(self, plain: list[int]) -> Iterator[tuple[str, list[int]]]:
        """Anchors that part cleanly, with their ids; none where the tokenizer writes no space before a text."""
        for anchor in ANCHORS:
            alone, inside, spaced = self._ids([anchor, anchor + PROBE, f"{anchor} {PROBE}"])
            behind, behind_space = _behind(alone, inside), _behind(alone, spaced)
            # A tokenizer that makes one space of several kinds of white space would lose one behind a line break.
            if alone and behind and behind_space and behind != behind_space:
                if behind == plain:
                    return
                yield anchor, alone

    def split(self, prompts: Sequence[tuple[str, Sequence[str]]], places: Sequence[str]) -> list[list[Continuation]]:
        """The continuations of some prompts.

        Args:
            prompts: Texts of prompts and of their continuations.
            places: Of the prompts, for messages.

        Raises:
            InputError: A continuation alone is longer than the model's window; names the place.
        """
        befores = self._ids([prompt for prompt, _ in prompts])
        wholes = iter(self._ids([prompt + text for prompt, texts in prompts for text in texts]))
        found = [
            [_behind(before, whole) if text.strip() else [] for text, whole in zip(texts, wholes, strict=False)]
            for before, (_, texts) in zip(befores, prompts, strict=True)
        ]
        reached = [
            (number, place) for number, each in enumerate(found) for place, ids in enumerate(each) if ids is None
        ]
        apart = dict(zip(reached, self._inside([prompts[number][1][place] for number, place in reached]), strict=True))
        return [
            self._fitted(before, [ids or apart.get((number, at), []) for at, ids in enumerate(each)], place)
            for number, (before, each, place) in enumerate(zip(befores, found, places, strict=True))
        ]

    def _inside(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of texts that stand behind something."""
        found: dict[int, list[int]] = {}
        for anchor, ids in self._anchors:
            left = [number for number in range(len(texts)) if number not in found]
            for number, whole in zip(left, self._ids([anchor + texts[number] for number in left]), strict=True):
                behind = _behind(ids, whole)
                if behind is not None:
                    found[number] = behind
        plain = self._ids(texts)
        return [found.get(number, self._bare(ids, texts[number])) for number, ids in enumerate(plain)]

    def _bare(self, ids: list[int], text: str) -> list[int]:
        """Ids of a text alone, without a space that the tokenizer put before it."""
        if not ids or text[:1].isspace():
            return ids
        tokenizer: Any = self.model.tokenizer
        first = tokenizer.convert_ids_to_tokens(ids[:1])[0]
        if not first.startswith(SPACE) or text.startswith(SPACE):
            return ids
        if first == SPACE:
            return ids[1:]
        rest = tokenizer.get_vocab().get(first.removeprefix(SPACE))
        return ids if rest is None else [rest, *ids[1:]]

    def _fitted(self, before: list[int], continuations: list[list[int]], place: str) -> list[Continuation]:
        window, longest = self.model.window, max((len(each) for each in continuations), default=0)
        head, begin = self._head, beginning(self.model)
        prefix = [*head, *before] or ([] if begin is None else [begin])
        room = len(prefix) if window is None else window - longest + 1  # the last token is read by nobody
        if room < max(len(head), 1):
            raise InputError(
                f"{place}: a continuation has {longest:,} tokens; {self.model.name} reads at most {window:,}.",
                hint="Take a --perplexity-model with a longer window.",
            )
        dropped = max(0, len(prefix) - room)
        if dropped:
            prefix = [*head, *prefix[len(head) + dropped :]]
        if prefix:
            return [Continuation(tuple(prefix), tuple(each), dropped) for each in continuations]
        # Nothing stands before the first token, so that nothing predicts it.
        return [Continuation(tuple(each[:1]), tuple(each[1:])) for each in continuations]

    def _ids(self, texts: Sequence[str], *, special: bool = False) -> list[list[int]]:
        if not texts:
            return []
        encoded: Any = self.model.tokenizer(
            list(texts), add_special_tokens=special, return_attention_mask=False, verbose=False
        )
        return [list(ids) for ids in encoded["input_ids"]]


def _behind(before: Sequence[int], whole: Sequence[int]) -> list[int] | None:
    """What the whole adds, or None where it does not begin with what is before."""
    return list(whole[len(before) :]) if list(whole[: len(before)]) == list(before) else None
