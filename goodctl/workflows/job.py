"""One writing job: the model, the text and the settings together, and the run that turns them into a version."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import zarr

from goodctl.corpus import Scan
from goodctl.datastore.description import SegmentInfo, SourceInfo
from goodctl.datastore.format import Header
from goodctl.datastore.reference import MAIN
from goodctl.datastore.repository import Repository
from goodctl.datastore.store import Datastore
from goodctl.datastore.writer import Addition, Coded, Writer
from goodctl.encoding import Encoder, default_batch_tokens
from goodctl.models.key_layer import KeyLayer
from goodctl.models.load import LoadedModel
from goodctl.workflows.choices import Running, Text
from goodctl.workflows.coding import Coding
from goodctl.workflows.index_choice import IndexChoice
from goodctl.workflows.measuring import measured
from goodctl.workflows.writing import RowWriting, WriteResult


def text_fingerprint(text: Text, scan: Scan) -> str:
    """Fingerprint of a text, of how it is read, and of the limits: 24 hexadecimal digits."""
    parts = [scan.fingerprint, asdict(text.selection)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Job:
    """Everything that decides the rows of one command.

    Attributes:
        command: ``build`` or ``add``.
        header: Of the store.
        model: Loaded.
        key_layer: Found in the model.
        text: What to read.
        scan: What a first reading found in it.
        batch_tokens: As asked for, or None for the device's default.
        index: How the rows are to be searched; changes no row.
        current: The version that is added to, or None in a new store.
        salt: How often the store has this text already: makes adding it again another job.
        branch: Which is moved to the result.
    """

    command: str
    header: Header
    model: LoadedModel
    key_layer: KeyLayer
    text: Text
    scan: Scan
    batch_tokens: int | None
    index: IndexChoice
    current: Datastore | None = None
    salt: int = 0
    branch: str = MAIN

    @property
    def text_fingerprint(self) -> str:
        """The same for the same text read and limited in the same way, whatever encodes it."""
        return text_fingerprint(self.text, self.scan)

    @property
    def fingerprint(self) -> str:
        """The same for the same command on the same text: 24 hexadecimal digits."""
        header = self.header
        parts: dict[str, Any] = {
            "text": self.text_fingerprint,
            "label": self.text.label,
            "model": header.model["fingerprint"],
            "encoding": [header.key_layer, header.key_dtype, header.window, self.model.precision, self.batch_tokens],
            "salt": self.salt,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]

    def run(self, repository: Repository, running: Running) -> WriteResult:
        """Write the rows and finish with a new version; call it with the writers' lock held."""
        encoder = self._encoder()
        addition = self._addition(running.message, encoder.batch_tokens)
        writer = Writer(repository, self.header, addition, branch=self.branch)
        resumed, before, started = writer.rows, repository.disk_bytes(), time.monotonic()
        corpus, selection = self.text.corpus, self.text.selection
        chosen = selection.choose(
            corpus, self.scan.documents, lambda texts: [len(tokens) for tokens in encoder.tokenize(texts)]
        )
        coding = Coding(self.index, self.model.device, self.current, running.report, running.interruption)

        def code(root: zarr.Group, segments: Sequence[SegmentInfo]) -> Coded:
            version = next(iter(repository.ancestry(repository.tip(self.branch))))
            new = Datastore(repository.location, version, self.header, tuple(segments), repository, root)
            codes = coding.add(new)
            return Coded(codes, measured(coding, new, codes))

        writing = RowWriting(writer, encoder, corpus, self.scan, selection, chosen, running, code)
        position, snapshot = writing.run()
        seconds = time.monotonic() - started
        now = Datastore.from_repository(repository, self.branch)
        return WriteResult(
            store=repository.location,
            snapshot=snapshot,
            rows=writer.rows,
            resumed_rows=resumed,
            documents=position.documents - position.skipped,
            skipped=position.skipped,
            tokens=position.tokens,
            languages=writer.languages(),
            seconds=seconds,
            storing_seconds=writer.seconds,
            rows_per_second=(writer.rows - resumed) / max(seconds, 1e-9),
            bytes_written=repository.disk_bytes() - before,
            store_rows=now.rows,
            store_documents=now.documents,
            model=self.model.name,
            device=str(self.model.device),
            precision=self.model.precision,
            batch_tokens=encoder.batch_tokens,
            index=tuple(coding.taken),
        )

    def _encoder(self) -> Encoder:
        batch_tokens = self.batch_tokens or default_batch_tokens(self.model.device)
        return Encoder(
            self.model,
            self.key_layer,
            window=self.header.window,
            batch_tokens=batch_tokens,
            block_tokens=Encoder.block_size(batch_tokens, self.header.row_bytes),
            key_dtype=np.dtype(self.header.key_dtype),
        )

    def _addition(self, message: str | None, batch_tokens: int) -> Addition:
        sources, corpus = self.scan.sources, self.text.corpus
        names = ", ".join(source.name for source in sources[:3]) + (", ..." if len(sources) > 3 else "")
        return Addition(
            command=self.command,
            message=message or f"{self.command} from {names}",
            job=self.fingerprint,
            label=self.text.label,
            precision=self.model.precision,
            settings={
                "text_field": corpus.text_field,
                "language_field": corpus.language_field,
                **asdict(self.text.selection),
                "batch_tokens": batch_tokens,
                "text": self.text_fingerprint,
            },
            sources=tuple(
                SourceInfo(number, source.name, source.sha256, source.size_bytes)
                for number, source in enumerate(sources)
            ),
        )
