"""The loop from blocks of documents to one new version of a store."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from goodctl.corpus import Corpus, Scan
from goodctl.datastore.segments import Rows
from goodctl.datastore.writer import Code, Writer, no_codes
from goodctl.encoding import Encoder, Tokens
from goodctl.errors import DamagedError, IncompatibleError, InputError, Interrupted
from goodctl.progress import Progress
from goodctl.workflows.blocks import Block, Position, blocks, expected_tokens
from goodctl.workflows.choices import Running
from goodctl.workflows.selection import Selection, chosen_documents


@dataclass(frozen=True)
class WriteResult:
    """What a build or an addition has done.

    Attributes:
        store: As the user named it.
        snapshot: Id of the new version.
        rows: Rows added by the command, resumed ones included.
        resumed_rows: Of these, rows that an interrupted run had written before.
        documents: Documents that gave rows.
        skipped: Documents that gave none: empty, or a single token.
        tokens: Tokens read.
        languages: Rows by language.
        seconds: From the first block to the commit, in this run.
        storing_seconds: Of these, spent on writing.
        rows_per_second: Rows of this run over ``seconds``.
        bytes_written: By which the repository has grown in this run.
        store_rows: Rows of the store now.
        store_documents: Documents of the store now.
        model: Name of the model.
        device: On which it ran.
        precision: In which it ran.
        batch_tokens: Token budget of a batch.
        index: Sentences on how the rows are searched, and why; empty where they are searched exactly.
    """

    store: str
    snapshot: str
    rows: int
    resumed_rows: int
    documents: int
    skipped: int
    tokens: int
    languages: dict[str, int]
    seconds: float
    storing_seconds: float
    rows_per_second: float
    bytes_written: int
    store_rows: int
    store_documents: int
    model: str
    device: str
    precision: str
    batch_tokens: int
    index: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


class _StopError(Exception):
    """Leaves the encoding of a block between two batches."""


@dataclass
class RowWriting:
    """One run of the loop.

    Attributes:
        writer: Takes the rows; knows where an earlier run stopped.
        encoder: Makes the rows.
        corpus: What to read.
        scan: What a first reading found in it.
        selection: Limits.
        chosen: Document numbers (m,) int64 that take part, or None for all.
        running: Checkpoint interval, progress, and who may ask to stop.
        code: Gives codes to the new segments.
        clock: Monotonic seconds.
    """

    writer: Writer
    encoder: Encoder
    corpus: Corpus
    scan: Scan
    selection: Selection
    chosen: npt.NDArray[np.int64] | None
    running: Running
    code: Code = no_codes
    clock: Callable[[], float] = time.monotonic

    def run(self) -> tuple[Position, str]:
        """Encode and write everything that is left, and finish.

        Returns:
            Where the corpus was left, and the new snapshot.

        Raises:
            Interrupted: Stopped on request; everything up to the last block is kept.
            InputError: No document gives a row.
            IncompatibleError: Keys do not fit their dtype; nothing is kept.
        """
        position = self._resume()
        with self.running.interruption.deferring():
            try:
                position = self._write_blocks(position)
                self._check_unchanged()
            except DamagedError:
                raise
            except (IncompatibleError, InputError):  # running again would end in the same way
                self.writer.discard()
                raise
            return position, self._finish(position)

    def _finish(self, position: Position) -> str:
        if not self.writer.rows:
            raise InputError(
                f"None of the {position.documents:,} documents gives a row: all are empty or a single token long.",
                hint="A row is a token with a token before it; check --text-field.",
            )
        done = position.tokens
        self.running.report(Progress(stage="encoding", done=done, total=done, unit="tokens", finished=True))
        languages = self.writer.languages()
        results = {"rows": self.writer.rows, "documents": position.documents - position.skipped, "languages": languages}
        return self.writer.finish(self._state(position), self._token_text, results, self.code)

    def _check_unchanged(self) -> None:
        """Read the text once more: rows must be of the text whose hash is recorded with them."""
        if self.corpus.scan().fingerprint != self.scan.fingerprint:
            raise _changed(self.scan.sources[0].name if len(self.scan.sources) == 1 else "The text")

    def _resume(self) -> Position:
        state = self.writer.state
        if state is None:
            return Position()
        self.encoder.batch_tokens, self.encoder.block_tokens = state["batch_tokens"], state["block_tokens"]
        position = Position(**state["position"])
        note = f"going on after {position.documents:,} documents and {self.writer.rows:,} rows of an interrupted run"
        self.running.report(Progress(stage="encoding", rows=self.writer.rows, note=note))
        return position

    def _state(self, position: Position) -> dict[str, Any]:
        return {
            "position": position.to_dict(),
            "batch_tokens": self.encoder.batch_tokens,
            "block_tokens": self.encoder.block_tokens,
        }

    def _write_blocks(self, position: Position) -> Position:
        last = self.clock()
        documents = chosen_documents(self.corpus, self.chosen)
        source_index = {source.name: number for number, source in enumerate(self.scan.sources)}
        limits = self.selection if self.chosen is None else Selection()
        try:
            for block in blocks(documents, limits, self.encoder, position):
                encoded = self.encoder.encode(block.tokens, self._observer(position, block))
                if unknown := {document.source for document in block.documents} - source_index.keys():
                    raise _changed(min(unknown))
                for language, rows in _by_language(block, encoded, source_index):
                    self.writer.append(language, rows)
                position = block.position
                if self.clock() - last >= self.running.checkpoint_every_s:
                    self.writer.checkpoint(self._state(position))
                    last = self.clock()
        except _StopError:
            self.writer.checkpoint(self._state(position))
            raise self._interrupted(position) from None
        return position

    def _interrupted(self, position: Position) -> Interrupted:
        if not self.writer.rows:
            return Interrupted("Stopped before anything was kept.", hint="Run the same command again.")
        return Interrupted(
            f"Stopped. {self.writer.rows:,} rows of {position.documents:,} documents are kept, unseen by readers.",
            hint="Run the same command again: it goes on from there.",
        )

    def _observer(self, before: Position, block: Block) -> Callable[[int], None]:
        total = expected_tokens(block.position, self.scan, self.selection, self.chosen)
        encoded = 0

        def observe(rows: int) -> None:
            nonlocal encoded
            encoded += rows
            done = before.tokens + encoded
            self.running.report(
                Progress(stage="encoding", done=done, total=total, unit="tokens", rows=self.writer.rows + encoded)
            )
            if self.running.interruption.requested:
                raise _StopError

        observe(0)
        return observe

    def _token_text(self, token: int) -> str:
        return str(self.encoder.model.tokenizer.decode([token]))


def _changed(what: str) -> InputError:
    return InputError(f"{what} has changed while it was read.", hint="Run the command again when it no longer changes.")


def _by_language(
    block: Block,
    encoded: tuple[npt.NDArray[np.floating[Any]], Tokens, npt.NDArray[np.int64]],
    source_index: dict[str, int],
) -> list[tuple[str, Rows]]:
    """The rows of a block, language by language in the order of first appearance, each in corpus order."""
    keys, values, lengths = encoded
    sources = np.array([source_index[document.source] for document in block.documents], dtype=np.int32)
    lines = np.array([document.line for document in block.documents], dtype=np.int64)
    languages = [document.language for document in block.documents]
    distinct = list(dict.fromkeys(languages))
    if len(distinct) == 1:
        return [(distinct[0], Rows(keys, values, lengths, sources, lines))]
    found = []
    for language in distinct:
        of_it = np.array([other == language for other in languages])
        rows = np.repeat(of_it, lengths)
        found.append((language, Rows(keys[rows], values[rows], lengths[of_it], sources[of_it], lines[of_it])))
    return found
