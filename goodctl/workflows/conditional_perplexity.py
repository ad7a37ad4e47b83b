"""The perplexity of all continuations of a file, block by block; what was measured once is remembered."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from goodctl.cache_root import cache_root
from goodctl.evaluation.fluency import Fluency
from goodctl.evaluation.results import PromptRow
from goodctl.models.device import choose_device, choose_precision
from goodctl.progress import Progress, Report, silent
from goodctl.workflows.conditional import Conditional
from goodctl.workflows.continuations import Splitter
from goodctl.workflows.model_choice import Identity

BLOCK_PROMPTS = 512
"""Prompts that are tokenized and sorted together, and remembered together."""
DEFINITION = 2
"""Rises when the same text would get another figure."""
STAGE = "perplexity"


@dataclass(frozen=True)
class _Block:
    """What is measured of some prompts.

    Attributes:
        nll: (S,) negative log probability of each continuation; nats.
        tokens: (S,) int64 number of its tokens; 0 for one without text.
        dropped: Prompts that were cut at their beginning.
    """

    nll: npt.NDArray[np.float64]
    tokens: npt.NDArray[np.int64]
    dropped: int


@dataclass
class PerplexityModel:
    """A model that measures continuations; its weights are loaded when something is not known yet.

    Attributes:
        identity: The model.
        report: Gets progress.
        dropped: Prompts so far that were cut at their beginning, since the model's window ends.
    """

    identity: Identity
    report: Report = silent
    dropped: int = 0
    _loaded: tuple[Splitter, Conditional] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        choice = self.identity.choice
        self._device = choose_device(choice.device)
        self._precision = choose_precision(choice.precision, self._device)

    def describe(self) -> dict[str, Any]:
        """What figures of this model are to be compared by."""
        source = self.identity.source
        return {
            "name": source.name,
            "revision": source.revision,
            "fingerprint": self.identity.fingerprint.short,
            "device": str(self._device),
            "precision": self._precision,
        }

    def measure(self, name: str, rows: Sequence[PromptRow]) -> Fluency:
        """Measure all continuations of a file.

        Args:
            name: Of the file, for messages.
            rows: Its prompts, at least one.

        Raises:
            InputError: A continuation is longer than the model's window; names the line.
            GoodctlError: The model gives logits that are no numbers.
            ServiceError: Memory does not suffice.
        """
        sizes = [len(row.texts) for row in rows]
        stage, total, done = f"{STAGE} of {name}", sum(sizes), 0
        blocks = []
        for start in range(0, len(rows), BLOCK_PROMPTS):
            block = rows[start : start + BLOCK_PROMPTS]

            def on_batch(count: int, before: int = done) -> None:
                self.report(Progress(stage, done=before + count, total=total, unit="continuations"))

            blocks.append(self._block(name, block, on_batch))
            done += sum(sizes[start : start + BLOCK_PROMPTS])
        self.report(Progress(stage, done=total, total=total, unit="continuations", finished=True))
        self.dropped += sum(block.dropped for block in blocks)
        return Fluency(
            np.concatenate([block.nll for block in blocks]),
            np.concatenate([block.tokens for block in blocks]),
            np.repeat(np.arange(len(rows)), sizes),
            len(rows),
        )

    def _block(self, name: str, rows: Sequence[PromptRow], on_batch: Callable[[int], None]) -> _Block:
        entry = self._entry(rows)
        known = _remembered(entry, sum(len(row.texts) for row in rows))
        if known is not None:
            return known
        splitter, conditional = self._models()
        split = splitter.split([(row.prompt, row.texts) for row in rows], [f"{name}:{row.line}" for row in rows])
        flat = [each for continuations in split for each in continuations]
        done = 0

        def count(finished: int) -> None:
            nonlocal done
            done += finished
            on_batch(done)

        found = _Block(
            conditional.nll(flat, count),
            np.array([len(each.tokens) for each in flat], dtype=np.int64),
            sum(any(each.dropped for each in continuations) for continuations in split),
        )
        _remember(entry, found)
        return found

    def _models(self) -> tuple[Splitter, Conditional]:
        if self._loaded is None:
            model = self.identity.load(self.report)
            self._loaded = Splitter(model), Conditional(model)
        return self._loaded

    def _entry(self, rows: Sequence[PromptRow]) -> Path:
        """Where the figures of some prompts are remembered: by their texts, and by all that decides the figures."""
        made_by = [DEFINITION, self.identity.fingerprint.to_dict(), self._device.type, self._precision]
        texts = [[row.prompt, row.texts] for row in rows]
        name = hashlib.sha256(json.dumps([made_by, texts]).encode()).hexdigest()
        return cache_root() / STAGE / f"{name}.npz"


def _remembered(entry: Path, continuations: int) -> _Block | None:
    """What was remembered; a damaged entry is no error, it is measured again."""
    try:
        with np.load(entry, allow_pickle=False) as stored:
            nll, tokens, dropped = stored["nll"], stored["tokens"], stored["dropped"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if nll.shape != (continuations,) or tokens.shape != (continuations,) or dropped.shape != ():
        return None
    return _Block(nll.astype(np.float64), tokens.astype(np.int64), int(dropped))


def _remember(entry: Path, block: _Block) -> None:
    part = entry.with_name(f".{entry.stem}.{os.getpid()}.npz")
    with contextlib.suppress(OSError):  # a full disk costs the time of another run, no more
        entry.parent.mkdir(parents=True, exist_ok=True)
        try:
            np.savez(part, nll=block.nll, tokens=block.tokens, dropped=np.array(block.dropped))
            part.replace(entry)
        finally:
            part.unlink(missing_ok=True)
