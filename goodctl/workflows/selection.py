"""Which documents of a corpus take part: the first ones, or a random subset that a seed fixes."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from goodctl.corpus import Corpus, Document, sample_documents
from goodctl.errors import UsageError

GROUP_DOCUMENTS = 256
GROUP_CHARACTERS = 1_000_000


@dataclass(frozen=True)
class Selection:
    """Limits on what is read.

    Attributes:
        max_documents: Most documents, or None.
        max_tokens: Documents are taken until their tokens reach this number, or None; the last one stays whole.
        seed: None takes the first documents; a number takes a random subset, the same for the same number.
    """

    max_documents: int | None = None
    max_tokens: int | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_documents", "max_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(
                    f"--{name.replace('_', '-')} {value}: it must be at least 1.", hint="Leave it out for no limit."
                )
        if self.seed is not None and self.seed < 0:
            raise UsageError(
                f"--seed {self.seed}: it must not be negative.", hint="Any whole number from 0 on will do."
            )
        if self.seed is not None and self.max_documents is None and self.max_tokens is None:
            raise UsageError(
                "--seed chooses a random subset, but nothing limits its size.",
                hint="Add --max-documents N or --max-tokens N.",
            )

    def choose(
        self, corpus: Corpus, documents: int, count_tokens: Callable[[Sequence[str]], list[int]]
    ) -> npt.NDArray[np.int64] | None:
        """Numbers of the documents that take part, where a seed chooses them.

        Args:
            corpus: To be read once where tokens must be counted.
            documents: How many documents the corpus has.
            count_tokens: Tokens of each of some texts.

        Returns:
            Sorted document numbers (m,) int64, or None where documents are taken from the beginning.
        """
        if self.seed is None:
            return None
        if self.max_tokens is None:
            return sample_documents(documents, self.max_documents or documents, self.seed)
        chosen = self._by_tokens(corpus, count_tokens, np.random.default_rng(self.seed), self.max_tokens)
        if self.max_documents is not None and len(chosen) > self.max_documents:
            chosen = np.sort(np.random.default_rng(self.seed).choice(chosen, self.max_documents, replace=False))
        return chosen

    def _by_tokens(
        self, corpus: Corpus, count_tokens: Callable[[Sequence[str]], list[int]], rng: np.random.Generator, limit: int
    ) -> npt.NDArray[np.int64]:
        """The shortest beginning of a random order of all documents whose tokens reach the limit.

        Only that beginning is kept in memory: a heap of the lowest random priorities so far.
        """
        heap: list[tuple[float, int, int]] = []  # (-priority, document number, tokens), highest priority first
        total, number = 0, 0
        for group in document_groups(corpus.documents()):
            for tokens in count_tokens([document.text for document in group]):
                heapq.heappush(heap, (-rng.random(), number, tokens))
                total += tokens
                number += 1
                while total - heap[0][2] >= limit:
                    total -= heapq.heappop(heap)[2]
        return np.sort(np.array([number for _, number, _ in heap], dtype=np.int64))


def chosen_documents(corpus: Corpus, chosen: npt.NDArray[np.int64] | None) -> Iterator[Document]:
    """The documents with the given sorted numbers, or all where None is given, in corpus order."""
    documents = corpus.documents()
    if chosen is None:
        yield from documents
        return
    wanted = iter(chosen.tolist())
    following = next(wanted, None)
    for number, document in enumerate(documents):
        if number == following:
            yield document
            following = next(wanted, None)
            if following is None:
                return


def document_groups(documents: Iterator[Document]) -> Iterator[list[Document]]:
    """Documents in groups that a tokenizer takes at once, bounded in number and characters."""
    while group := list(itertools.islice(documents, 1)):
        characters = len(group[0].text)
        while len(group) < GROUP_DOCUMENTS and characters < GROUP_CHARACTERS and (more := next(documents, None)):
            group.append(more)
            characters += len(more.text)
        yield group
