"""Codes for the segments that a command writes: which codec, training, encoding, tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import zarr

from goodctl.datastore.codes import (
    CodecInfo,
    codec_infos,
    delete_codes,
    describe_codec,
    read_codec,
    write_codec,
    write_codes,
)
from goodctl.datastore.description import SegmentCodes, SegmentInfo
from goodctl.datastore.format import KEYS
from goodctl.datastore.store import Datastore
from goodctl.errors import Interrupted, UsageError
from goodctl.index.advise import EXACT_ROWS, Advice, advise
from goodctl.index.codec import Codec, lists_of, train
from goodctl.index.codec_choices import AUTO
from goodctl.index.growth import Fit, decide
from goodctl.index.kinds import (
    EXACT,
    FACTORY,
    NONE,
    ROW_BYTES,
    VALUE_BYTES,
    factory_for,
    training_rows,
)
from goodctl.index.library import built, is_installed
from goodctl.index.measure import sample_queries
from goodctl.index.sampling import sample_keys
from goodctl.index.search import Searcher
from goodctl.index.tune import Truth, tuned
from goodctl.interruption import Interruption
from goodctl.progress import Progress, Report, silent
from goodctl.workflows.index_choice import IndexChoice

STAGE = "indexing"
TUNING_QUERIES = 128
DRIFT_ROWS = 4_096
MOST_SAMPLE_BYTES = 2 * 2**30


@dataclass
class Coding:
    """Gives codes to segments in a session.

    Attributes:
        choice: What was asked for.
        device: Where matrix products run.
        store: The version that is built upon, or None in a new store.
        report: Gets progress.
        interruption: Who may ask to stop.
        kept: What a stop leaves.
        taken: Sentences on what was decided, for the command's result.
    """

    choice: IndexChoice
    device: torch.device
    store: Datastore | None = None
    report: Report = silent
    interruption: Interruption = field(default_factory=Interruption)
    kept: str = "All rows are kept, unseen by readers"
    taken: list[str] = field(default_factory=list)

    def add(self, version: Datastore) -> dict[str, SegmentCodes]:
        """Give codes to new segments.

        Args:
            version: The session's hierarchy, with the new segments alone.

        Returns:
            Segment id to what was decided; segments that are searched exactly are not in it.
        """
        if self.choice.kind in {EXACT, NONE}:
            return {}
        known = {name: info for name, info in self._current_codecs().items() if self._may_serve(info)}
        if not known:
            return self._first_codes(version)
        return self._grown(version, known)

    def retrain(self, version: Datastore, advice: Advice | None) -> dict[str, SegmentCodes]:
        """Give all segments codes of one new codec, or none where the advice is exact search."""
        if advice is not None and advice.kind == EXACT:
            for segment in version.segments:
                for part in version.parts(segment):
                    delete_codes(part.group)
            return {}
        kind, factory = (advice.kind, advice.factory) if advice else self._asked(version)
        return self.trained(version, kind, factory)

    def _current_codecs(self) -> dict[str, CodecInfo]:
        """The codecs of the store, in the order in which its segments came to use them."""
        if self.store is None:
            return {}
        used = dict.fromkeys(segment.codes.codec for segment in self.store.segments if segment.codes)
        infos = codec_infos(self.store.root, self.store.location)
        return {name: infos[name] for name in used if name in infos}

    def _may_serve(self, info: CodecInfo) -> bool:
        """Whether a codec is of the kind that was asked for."""
        kind = self.choice.kind
        return kind == AUTO or (kind == info.kind and (kind != FACTORY or info.factory == self.choice.index))

    def _first_codes(self, version: Datastore) -> dict[str, SegmentCodes]:
        """Codes for a store that had none: always where they were asked for, else where the new rows are many."""
        if self.choice.kind != AUTO:
            kind, factory = self._asked(version)
            return self.trained(version, kind, factory)
        header = version.header
        try:
            advice = advise(
                version.rows,
                header.dimension,
                np.dtype(header.key_dtype).itemsize,
                device=self.device,
                budget_bytes=self.choice.memory_budget_bytes,
                faiss_installed=is_installed(),
            )
        except UsageError as error:  # the rows are worth more than the index: keep them, and say so
            self.say(f"no index: {error.message}")
            return {}
        if advice.kind != EXACT:
            self.say(f"index: {advice.kind}, since {advice.reason}")
            return self.trained(version, advice.kind, advice.factory)
        if self.store is not None and self.store.rows + version.rows > EXACT_ROWS and self.device.type != "cuda":
            rows = self.store.rows + version.rows
            self.say(f"note: {rows:,} rows are searched exactly; faster: goodctl datastore index {version.location}")
        return {}

    def _asked(self, version: Datastore) -> tuple[str, str]:
        kind = self.choice.kind
        name = self.choice.index if kind == FACTORY else kind
        budget, code_bytes = self.choice.memory_budget_bytes, None
        if budget is not None:
            code_bytes = max(1, budget // max(version.rows, 1) - 10)
        factory = factory_for(name, version.rows, version.header.dimension, code_bytes)
        row_bytes = int(built(factory, version.header.dimension).sa_code_size()) + ROW_BYTES + VALUE_BYTES
        if budget is not None and version.rows * row_bytes > budget:
            raise UsageError(
                f"{factory} over {version.rows:,} rows needs {version.rows * row_bytes / 1e6:,.1f} MB; "
                f"the memory budget is {budget / 1e6:,.1f} MB.",
                hint="Choose --index auto, which finds a kind that fits, or raise --memory-budget.",
            )
        return kind, factory

    def _grown(self, version: Datastore, known: Mapping[str, CodecInfo]) -> dict[str, SegmentCodes]:
        """Codes for segments that join others with codes: of a codec that fits, or of a new one for all the rest."""
        assert self.store is not None
        codecs = {
            name: Codec.load(info, read_codec(self.store.root, name, self.store.location))
            for name, info in known.items()
        }
        result, left = {}, []
        for segment in version.segments:
            sample = sample_keys(version, [segment], DRIFT_ROWS, self.choice.seed)
            fits = {name: Fit(codec.info, codec.errors(sample, self.device)) for name, codec in codecs.items()}
            decision = decide(fits, segment.rows, self.choice.codec)
            if decision.fit is None:
                self.say(f"index: a new codec for {segment.language}: {decision.reason}")
                left.append(segment)
                continue
            self.say(f"index: codec {decision.fit.info.id[:8]} reused for {segment.language}: {decision.reason}")
            self.encode(version, [segment], codecs[decision.fit.info.id])
            result[segment.id] = decision.fit.codes
        if left:
            rest = replace(version, segments=tuple(left))
            result |= self.trained_like(rest, codecs[list(known)[-1]])
        return result

    def trained_like(self, version: Datastore, codec: Codec) -> dict[str, SegmentCodes]:
        """Train a codec on all rows of a version: of the kind that was asked for, else of the same kind as another."""
        kind = self.choice.kind if self.choice.kind != AUTO else codec.info.kind
        if kind == FACTORY:
            factory = self.choice.index if self.choice.kind == FACTORY else codec.info.factory
        else:
            factory = factory_for(kind, version.rows, version.header.dimension, _code_bytes(codec))
        return self.trained(version, kind, factory)

    def trained(self, version: Datastore, kind: str, factory: str) -> dict[str, SegmentCodes]:
        """Train a codec on all rows of a version, encode them, and find its settings."""
        rows = version.rows
        most = MOST_SAMPLE_BYTES // (4 * version.header.dimension)
        self.report(Progress(stage="training", total=None))
        lists = lists_of(factory, version.header.dimension)
        sample = sample_keys(version, version.segments, min(training_rows(lists), most), self.choice.seed)
        codec = train(sample, rows, kind, factory, self.device, seed=self.choice.seed)
        self.report(Progress(stage="training", finished=True))
        self.check_interrupted()
        write_codec(version.root, codec.info, codec.trained)
        self.encode(version, version.segments, codec)
        result = {}
        for segment in version.segments:
            errors = codec.errors(sample_keys(version, [segment], DRIFT_ROWS, self.choice.seed), self.device)
            result[segment.id] = SegmentCodes(
                codec.info.id,
                "trained",
                errors.reconstruction,
                errors.coarse,
                codec.info.error,
                codec.info.coarse_error,
            )
        self._tune(version, codec, result)
        return result

    def encode(self, version: Datastore, segments: Sequence[SegmentInfo], codec: Codec) -> None:
        """Write codes of a codec that the version has, in place of other ones."""
        total, done = sum(segment.rows for segment in segments), 0
        self.report(Progress(stage=STAGE, done=0, total=total, unit="rows"))
        for segment in segments:
            for part in version.parts(segment):
                self.check_interrupted()
                codes = codec.encode(part.read(KEYS), self.device)
                delete_codes(part.group)
                write_codes(part.group, codec.info.id, codes)
                done += part.rows
                self.report(Progress(stage=STAGE, done=done, total=total, unit="rows"))
        self.report(Progress(stage=STAGE, done=done, total=total, unit="rows", finished=True))

    def _tune(self, version: Datastore, codec: Codec, codes: Mapping[str, SegmentCodes]) -> None:
        """Find nprobe and re-rank depth on rows of the version, and keep them with the codec."""
        segments = tuple(replace(segment, codes=codes[segment.id]) for segment in version.segments)
        coded = replace(version, segments=segments)
        searcher = Searcher.of([coded], device=torch.device("cpu"))
        each = max(1, -(-TUNING_QUERIES // len(searcher.segments)))
        queries = sample_queries(searcher.segments, searcher.first_rows, [each] * len(segments), self.choice.seed + 1)
        if searcher.rows <= queries.excluded:
            self.say("note: the index is not tuned: without a query's own document no rows are left")
            return
        self.report(Progress(stage="tuning"))
        truth = Truth.of(searcher, queries, self.choice.k, self.choice.temperature, self.device)
        tried = 0

        def step(what: str) -> None:
            nonlocal tried
            tried += 1
            self.check_interrupted()
            self.report(Progress(stage="tuning", done=tried, unit="settings"))

        settings = tuned(searcher, codec.info.id, truth, target_recall=self.choice.target_recall, on_step=step)
        self.report(Progress(stage="tuning", finished=True))
        describe_codec(version.root, replace(codec.info, settings=settings))
        high = settings["high"]
        if not high["reached"]:
            self.say(
                f"note: codec {codec.info.id[:8]} reaches a total variation of {high['tv']:.3f} and a recall of "
                f"{high['recall']:.3f}; aimed at are 0.02 and {self.choice.target_recall}"
            )

    def check_interrupted(self) -> None:
        """Stop here if somebody has asked for it.

        Raises:
            Interrupted: Says what was kept.
        """
        if self.interruption.requested:
            raise Interrupted(f"Stopped while the index was made. {self.kept}.", hint="Run the same command again.")

    def say(self, sentence: str) -> None:
        """Keep a sentence on what was decided, and show it."""
        self.taken.append(sentence)
        self.report(Progress("", note=sentence))


def _code_bytes(codec: Codec) -> int | None:
    """Bytes of a product quantiser's code, so that a new one is as small; None for longer codes."""
    return codec.bare_code_size if codec.bare_code_size < codec.info.dimension else None


def session_version(store: Datastore, root: zarr.Group, segments: Sequence[SegmentInfo]) -> Datastore:
    """A version that is being written, as if it were there already."""
    return replace(store, root=root, segments=tuple(segments))
