from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from goodctl.workflows.prompting import Prompting


class Bytes:
    """A tokenizer as SentencePiece with bytes: words carry their space, which is dropped at a text's beginning."""

    bos_token_id = None
    eos_token_id = None
    pieces = (b" a", b" bc", b"\xc3", b"\xa9", b"x")

    def batch_decode(self, sequences: list[list[int]], **_options: Any) -> list[str]:
        joined = (b"".join(self.pieces[token] for token in tokens) for tokens in sequences)
        return [text.decode("utf-8", "replace").removeprefix(" ") for text in joined]


def prompting() -> Prompting:
    model: Any = SimpleNamespace(tokenizer=Bytes(), window=None)
    return Prompting(model, 4)


def test_the_space_before_a_continuation_is_kept() -> None:
    assert prompting().texts([4], [[0, 1], [1], []]) == [" a bc", " bc", ""]


def test_one_continuation_does_not_change_another() -> None:
    """A prompt that ends within a character is completed by one continuation, and not by the other."""
    alone = prompting().texts([4, 2], [[1]])
    assert prompting().texts([4, 2], [[3], [1]])[1:] == alone == [" bc"]
