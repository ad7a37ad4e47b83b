"""Descriptions of segments, kept in their groups' attributes: rows, sources, codes, and where they come from."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from goodctl.errors import DamagedError


@dataclass(frozen=True)
class SourceInfo:
    """Where documents of a segment came from: one file or hub dataset, as it was when it was read.

    Attributes:
        index: What ``document_sources`` holds for its documents.
        name: Path as it was given or found, or the hub dataset's id.
        sha256: Of the file's bytes.
        size_bytes: Of the file.
        documents: Documents of it in this segment.
        rows: Rows of it in this segment.
    """

    index: int
    name: str
    sha256: str
    size_bytes: int
    documents: int = 0
    rows: int = 0

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> SourceInfo:
        """Read one entry of a segment's ``sources``; members of later versions are ignored.

        Raises:
            ValueError: A member is of another type.
        """
        source = cls(**{name: stored[name] for name in cls.__dataclass_fields__})
        _check_texts({"the name of a source": source.name, "the sha256 of a source": source.sha256})
        counts = {"index": source.index, "size_bytes": source.size_bytes}
        _check_counts({**counts, "documents": source.documents, "rows": source.rows})
        return source


NEGLIGIBLE_ERROR = 0.002
"""Reconstruction error of a codec that changes no neighbour's weight by much, however it compares."""


@dataclass(frozen=True)
class SegmentCodes:
    """Which codec encodes a segment's rows, and how well it fits them.

    Attributes:
        codec: Fingerprint of the codec.
        decision: ``trained`` where the codec was trained on rows of the same command, ``reused`` where it was there.
        error: Reconstruction error on a sample of the segment, as a share of the variance of its keys.
        coarse_error: The same for the centres of the inverted lists; None without lists.
        codec_error: ``error`` of the codec on rows like those it was trained on.
        codec_coarse_error: The same for ``coarse_error``.
    """

    codec: str
    decision: str
    error: float
    coarse_error: float | None
    codec_error: float
    codec_coarse_error: float | None

    @property
    def drift(self) -> float:
        """How many times larger the errors are than on rows like those the codec was trained on, the worse of both."""
        ratios = [0.0]
        if self.error > NEGLIGIBLE_ERROR:
            ratios.append(self.error / max(self.codec_error, NEGLIGIBLE_ERROR))
        if self.coarse_error is not None and self.codec_coarse_error:
            ratios.append(self.coarse_error / self.codec_coarse_error)
        return max(ratios)

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> SegmentCodes:
        """Read a segment's ``codes``; members of later versions are ignored."""
        return cls(**{name: stored[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Distances:
    """The distances that queries meet in a version: rows of it, each asked for as if its document was not there.

    Attributes:
        rows: Rows of the version that was searched.
        queries: How many rows were asked for.
        firsts: Mean distance of the nearest row, squared L2.
        spreads: For some k, in ascending order, the median of the k-th distance less the first one, squared L2.
    """

    rows: int
    queries: int
    firsts: float
    spreads: dict[int, float]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; the names of an object's members are strings."""
        return {**asdict(self), "spreads": {str(k): value for k, value in self.spreads.items()}}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Distances:
        """Read a segment's ``distances``; members of later versions are ignored.

        Raises:
            ValueError: A member is of another type, or no distance.
        """
        rows, queries, firsts = (stored[name] for name in ("rows", "queries", "firsts"))
        spreads = {int(k): value for k, value in stored["spreads"].items()}
        _check_counts({"rows of distances": rows, "queries of distances": queries})
        _check_distances({"firsts": firsts, **{f"the spread of k {k}": value for k, value in spreads.items()}})
        if not queries or not spreads or min(spreads) < 1 or max(spreads) > rows:
            raise ValueError(f"{queries} queries over {rows} rows cannot have spreads for k {sorted(spreads)[:20]}")
        return cls(rows, queries, float(firsts), {k: float(spreads[k]) for k in sorted(spreads)})


MOST_GROWTH = 1.25
"""A store that has this many times the rows that it was measured with, or has lost as many, is another one."""


def distances_in_force(segments: Sequence[SegmentInfo]) -> Distances | None:
    """What the last segment that has any says of distances; None where the rows are too many or few by now.

    ``merge``, ``shard`` and ``remove`` copy descriptions, and what was measured need not hold for their result.
    """
    rows = sum(segment.rows for segment in segments)
    found = next((segment.distances for segment in reversed(segments) if segment.distances), None)
    return found if found and rows <= MOST_GROWTH * found.rows and found.rows <= MOST_GROWTH * rows else None


_SHA256 = re.compile(r"[0-9a-f]{64}")


def _check_hashes(hashes: dict[str, str]) -> None:
    """Hashes name files: anything else in their place must not."""
    for name, value in hashes.items():
        if not isinstance(value, str) or not _SHA256.fullmatch(value):
            raise ValueError(f"sha256 of {name} is {value!r}")


def _check_texts(texts: dict[str, Any]) -> None:
    for name, value in texts.items():
        if not isinstance(value, str):
            raise ValueError(f"{name} is {value!r}")


def _check_counts(counts: dict[str, Any]) -> None:
    for name, value in counts.items():
        if not isinstance(value, int) or value < 0:
            raise ValueError(f"{name} is {value!r}")


def _check_distances(distances: dict[str, Any]) -> None:
    for name, value in distances.items():
        if not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise ValueError(f"{name} is {value!r}")


@dataclass(frozen=True)
class Origin:
    """One of the segments whose rows a segment took over, as it was when its text was read.

    Attributes:
        segment: Its id.
        job: As in ``SegmentInfo``.
        rows: Rows that it had.
        documents: Documents that it had.
        added_at: ISO 8601, UTC.
        settings: As in ``SegmentInfo``.
        sources: SHA-256 of each of its sources.
    """

    segment: str
    job: str
    rows: int
    documents: int
    added_at: str
    settings: dict[str, Any]
    sources: tuple[str, ...]

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Origin:
        """Read one entry of a segment's ``origins``; members of later versions are ignored."""
        members = {name: stored[name] for name in cls.__dataclass_fields__}
        return cls(**{**members, "sources": tuple(members["sources"])})


@dataclass(frozen=True)
class SegmentInfo:
    """Description of one segment, kept in its group's attributes once it is complete.

    Attributes:
        id: Name of the segment's group.
        order: Position among the segments; row numbers of a store follow from it.
        rows: Rows in all parts.
        documents: Documents in all parts.
        parts: Number of parts.
        language: Language of all its documents.
        label: What the user calls the text (``toxic``), or None.
        sources: Files that the documents came from.
        sha256: Per array name, the hash of that array over all parts (see ``content.ContentHash``).
        added_at: ISO 8601, UTC.
        precision: In which the model ran: ``fp32``, ``bf16`` or ``fp16``.
        job: Fingerprint of text, model and settings, the same for the same command on the same text.
        settings: What selected the text and shaped the encoding (text field, limits, seed, token budget).
        tokens: Text of the most frequent next tokens, by id, so that a store can be read without its tokenizer.
        codes: Which codec encodes its rows; None where it has no codes and is searched exactly.
        origins: The segments that it was put together or cut out of; empty where it is as its text was read.
        distances: Those that queries met in the version that a command made, kept with the last of its segments; None
            with others, and where they were not measured.
    """

    id: str
    order: int
    rows: int
    documents: int
    parts: int
    language: str
    label: str | None
    sources: tuple[SourceInfo, ...]
    sha256: dict[str, str]
    added_at: str
    precision: str
    job: str
    settings: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    codes: SegmentCodes | None = None
    origins: tuple[Origin, ...] = ()
    distances: Distances | None = None

    def all_origins(self) -> tuple[Origin, ...]:
        """Where its rows come from: its origins, or the segment itself."""
        sources = tuple(source.sha256 for source in self.sources)
        own = Origin(self.id, self.job, self.rows, self.documents, self.added_at, self.settings, sources)
        return self.origins or (own,)

    def to_dict(self) -> dict[str, Any]:
        """The segment group's attributes."""
        attributes = asdict(self)
        del attributes["id"]
        attributes["sources"], attributes["origins"] = list(attributes["sources"]), list(attributes["origins"])
        attributes["distances"] = self.distances.to_dict() if self.distances else None
        return attributes

    @classmethod
    def from_dict(cls, name: str, attributes: dict[str, Any], where: str) -> SegmentInfo:
        """Read a segment group's attributes.

        Raises:
            DamagedError: An attribute is missing or malformed.
        """
        try:
            plain = cls.__dataclass_fields__.keys() - {"sources", "codes", "origins", "distances"}
            known = {key: attributes[key] for key in plain if key in attributes}
            _check_hashes(known["sha256"])
            _check_counts({name: known[name] for name in ("order", "rows", "documents", "parts")})
            _check_texts({name: known[name] for name in ("language", "added_at", "precision", "job")})
            _check_texts({"label": known["label"] or "", **known.get("tokens", {})})
            sources = tuple(SourceInfo.from_dict(source) for source in attributes["sources"])
            codes = SegmentCodes.from_dict(attributes["codes"]) if attributes.get("codes") else None
            origins = tuple(Origin.from_dict(origin) for origin in attributes.get("origins", []))
            distances = Distances.from_dict(attributes["distances"]) if attributes.get("distances") else None
            return cls(id=name, sources=sources, codes=codes, origins=origins, distances=distances, **known)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DamagedError(
                f"{where}: segment {name} has an unreadable description ({error}).",
                hint=f"Read an earlier version: goodctl datastore log {where}",
            ) from error
