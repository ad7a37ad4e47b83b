"""Codes of segments that come from several stores: which are kept, which are made anew from the keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from goodctl.datastore.codes import CodecInfo, codec_infos, read_codec
from goodctl.datastore.description import SegmentCodes, SegmentInfo
from goodctl.datastore.store import Datastore
from goodctl.errors import UsageError
from goodctl.index.codec import Codec
from goodctl.index.codec_choices import AUTO, KEEP, MERGED_CODEC_CHOICES, REUSE
from goodctl.index.growth import MOST_DRIFT, Fit, decide
from goodctl.index.library import is_installed
from goodctl.index.sampling import sample_keys
from goodctl.workflows.coding import DRIFT_ROWS, Coding


def check_choice(choice: str) -> None:
    """Check ``--codec``.

    Raises:
        UsageError: It is none of ``MERGED_CODEC_CHOICES``.
    """
    if choice not in MERGED_CODEC_CHOICES:
        raise UsageError(f"--codec {choice}: there is no such choice.", hint=f"Use {', '.join(MERGED_CODEC_CHOICES)}.")


@dataclass
class Joining:
    """Decides on the codes of segments that are copied into one store.

    A segment keeps its codes where the store has their codec, or has none at all. Where it has others, the best of
    them is measured on the segment's keys: if it fits as well as it fits its own rows, the segment gets codes of it,
    and searching has one codec less to ask; if it does not, the segment's own codec comes along.

    Attributes:
        choice: ``auto`` as above, ``keep`` keeps every codec, ``reuse`` makes do with the codecs that were there first.
        coding: Writes codes.
        known: Codecs that the store has, in the order in which they came, with the version that has them.
        fits: New segments, by id, to the codec that they are to be encoded with.
        bare: New segments without codes that no codec fits.
    """

    choice: str
    coding: Coding
    known: dict[str, tuple[CodecInfo, Datastore]] = field(default_factory=dict)
    fits: dict[str, Fit] = field(default_factory=dict)
    bare: list[str] = field(default_factory=list)
    _loaded: dict[str, Codec] = field(default_factory=dict)

    def begin(self, store: Datastore) -> None:
        """Take the codecs that a store's segments use as those that are there."""
        infos = codec_infos(store.root, store.location)
        for segment in store.segments:
            if segment.codes and segment.codes.codec in infos:
                self.known.setdefault(segment.codes.codec, (infos[segment.codes.codec], store))

    def keeps_codes(self, source: Datastore, segment: SegmentInfo) -> bool:
        """Whether a segment brings its codes; if not, ``encode`` makes others. Call it in the segments' order."""
        if segment.codes is None:
            return False
        infos = codec_infos(source.root, source.location)
        if segment.codes.codec in self.known:
            return True
        fit = self._best(source, segment) if self.choice != KEEP else None
        if fit is not None and (self.choice == REUSE or fit.drift <= MOST_DRIFT):
            return False
        if segment.codes.codec not in infos:  # damaged: as if there were no codes
            return False
        if fit is not None:
            self.coding.say(
                f"index: the codec of {segment.language} comes along: "
                f"codec {fit.info.id[:8]} errs {fit.drift:.2f} times as much as on its own rows"
            )
        self.known[segment.codes.codec] = (infos[segment.codes.codec], source)
        return True

    def plan(self, source: Datastore, segment: SegmentInfo, new: SegmentInfo) -> None:
        """Find what encodes a segment that was copied without codes, once all that bring some are there."""
        if self.choice == KEEP and segment.codes is None:
            return
        fits = self._fits(source, segment)
        if not fits:
            if self.known and segment.rows:
                self.coding.say(f"note: {segment.language} is searched exactly: without faiss it gets no codes")
            return
        decision = decide(fits, segment.rows, REUSE if self.choice == REUSE or segment.codes else AUTO)
        if decision.fit is None:
            self.bare.append(new.id)
            return
        self.coding.say(f"index: codec {decision.fit.info.id[:8]} encodes {segment.language}: {decision.reason}")
        self.fits[new.id] = decision.fit

    def encode(self, version: Datastore) -> Mapping[str, SegmentCodes]:
        """Write the codes that were planned.

        Args:
            version: The session's hierarchy, with all new segments.

        Returns:
            Segment id to what was decided.
        """
        result = {}
        for segment in version.segments:
            if fit := self.fits.get(segment.id):
                self.coding.encode(version, [segment], self._codec(fit.info.id))
                result[segment.id] = fit.codes
        return result

    def _best(self, source: Datastore, segment: SegmentInfo) -> Fit | None:
        fits = self._fits(source, segment)
        return min(fits.values(), key=lambda fit: (fit.drift, fit.info.id)) if fits else None

    def _fits(self, source: Datastore, segment: SegmentInfo) -> dict[str, Fit]:
        """The codecs that are there, with their errors on a sample of a segment; none where faiss is not installed."""
        if not self.known or not segment.rows or not is_installed():
            return {}
        sample = sample_keys(source, [segment], DRIFT_ROWS, self.coding.choice.seed)
        errors = ((name, self._codec(name).errors(sample, self.coding.device)) for name in self.known)
        return {name: Fit(self.known[name][0], found) for name, found in errors}

    def newest(self) -> Codec:
        """The codec that came last."""
        return self._codec(list(self.known)[-1])

    def _codec(self, name: str) -> Codec:
        if name not in self._loaded:
            info, store = self.known[name]
            self._loaded[name] = Codec.load(info, read_codec(store.root, name, store.location))
        return self._loaded[name]
