"""What is written where: names, dtypes, chunk shapes and the descriptions kept in group attributes.

The written specification is ``docs/reference/datastore-format.md``; this module is its only implementation.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from goodctl.errors import DamagedError, IncompatibleError

FORMAT = "goodctl-datastore"
FORMAT_VERSION = 1

KEYS = "keys"
VALUES = "values"
OFFSETS = "offsets"
DOCUMENT_SOURCES = "document_sources"
DOCUMENT_LINES = "document_lines"
ARRAYS = (KEYS, VALUES, OFFSETS, DOCUMENT_SOURCES, DOCUMENT_LINES)

KEY_DTYPES = ("float16", "float32")
VALUE_DTYPE = np.dtype("<i4")
OFFSET_DTYPE = np.dtype("<i8")
SOURCE_DTYPE = np.dtype("<i4")
LINE_DTYPE = np.dtype("<i8")

UNKNOWN_LANGUAGE = "und"

CHUNK_BYTES = 16 * 2**20
"""Size that a chunk of keys aims at: large enough for sequential reading, small enough to copy one at a time."""


def chunk_rows(rows: int, row_bytes: int, target_bytes: int = CHUNK_BYTES) -> int:
    """Rows per chunk such that the chunks of an array are of nearly equal size.

    Zarr pads the last chunk to full size, so a fixed chunk length would nearly double what an array just above one
    chunk takes. Dividing evenly wastes less than one row a chunk.

    Args:
        rows: Length of the array, at least 0.
        row_bytes: Bytes of one row.
        target_bytes: Upper bound for a chunk, unless a single row is larger.

    Returns:
        ceil(rows / ceil(rows / target)), at least 1.
    """
    target = max(1, target_bytes // row_bytes)
    chunks = max(1, -(-rows // target))
    return max(1, -(-rows // chunks))


@dataclass(frozen=True)
class Header:
    """What holds for a whole store, kept in the root group's attributes.

    Attributes:
        model: name, revision, architecture and fingerprint of the model whose hidden states the keys are.
        key_layer: Which hidden state: ``ffn-input``, ``ffn-output``, ``layer-output`` or ``last-hidden``.
        key_module: Dotted path of the module that was read, inside the model.
        key_dtype: ``float16`` or ``float32``.
        dimension: D, the length of a key.
        vocabulary: Number of token ids; every value is below it.
        window: Longest context in tokens with which the keys were computed.
        created_by: Name and version of the program that made the store.
        created_at: ISO 8601, UTC.
    """

    model: dict[str, Any]
    key_layer: str
    key_module: str
    key_dtype: str
    dimension: int
    vocabulary: int
    window: int
    created_by: str
    created_at: str

    def to_dict(self) -> dict[str, Any]:
        """The root group's attributes."""
        return {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(self)}

    @classmethod
    def from_dict(cls, attributes: dict[str, Any], where: str) -> Header:
        """Read a root group's attributes.

        Args:
            attributes: As stored.
            where: Name of the store, for messages.

        Raises:
            IncompatibleError: The attributes are of another format or of a newer version of this one.
            DamagedError: An attribute is missing.
        """
        if attributes.get("format") != FORMAT:
            raise IncompatibleError(
                f"{where} is no goodctl datastore: its format is {attributes.get('format')!r}, not {FORMAT!r}.",
                hint="Build a store: goodctl datastore build STORE TEXT --model MODEL",
            )
        version = attributes.get("format_version")
        if not isinstance(version, int) or version > FORMAT_VERSION:
            raise IncompatibleError(
                f"{where} has datastore format {version}; this goodctl reads up to format {FORMAT_VERSION}.",
                hint="Upgrade goodctl: pip install --upgrade goodctl",
            )
        names = cls.__dataclass_fields__
        missing = [name for name in names if name not in attributes]
        if missing:
            raise DamagedError(
                f"{where}: the root attributes lack {', '.join(missing)}.", hint=f"goodctl datastore log {where}"
            )
        return cls(**{name: attributes[name] for name in names})

    @property
    def row_bytes(self) -> int:
        """Bytes of one key and one value, uncompressed."""
        return self.dimension * np.dtype(self.key_dtype).itemsize + VALUE_DTYPE.itemsize


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
        """Read one entry of a segment's ``sources``; members of later versions are ignored."""
        return cls(**{name: stored[name] for name in cls.__dataclass_fields__})


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


_SHA256 = re.compile(r"[0-9a-f]{64}")


def _check_hashes(hashes: dict[str, str]) -> None:
    """Hashes name files: anything else in their place must not."""
    for name, value in hashes.items():
        if not isinstance(value, str) or not _SHA256.fullmatch(value):
            raise ValueError(f"sha256 of {name} is {value!r}")


def _check_counts(counts: dict[str, Any]) -> None:
    for name, value in counts.items():
        if not isinstance(value, int) or value < 0:
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
    """

    segment: str
    job: str
    rows: int
    documents: int
    added_at: str
    settings: dict[str, Any]

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Origin:
        """Read one entry of a segment's ``origins``; members of later versions are ignored."""
        return cls(**{name: stored[name] for name in cls.__dataclass_fields__})


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

    def all_origins(self) -> tuple[Origin, ...]:
        """Where its rows come from: its origins, or the segment itself."""
        own = Origin(self.id, self.job, self.rows, self.documents, self.added_at, self.settings)
        return self.origins or (own,)

    def to_dict(self) -> dict[str, Any]:
        """The segment group's attributes."""
        attributes = asdict(self)
        del attributes["id"]
        attributes["sources"], attributes["origins"] = list(attributes["sources"]), list(attributes["origins"])
        return attributes

    @classmethod
    def from_dict(cls, name: str, attributes: dict[str, Any], where: str) -> SegmentInfo:
        """Read a segment group's attributes.

        Raises:
            DamagedError: An attribute is missing or malformed.
        """
        try:
            plain = cls.__dataclass_fields__.keys() - {"sources", "codes", "origins"}
            known = {key: attributes[key] for key in plain if key in attributes}
            _check_hashes(known["sha256"])
            _check_counts({name: known[name] for name in ("order", "rows", "documents", "parts")})
            sources = tuple(SourceInfo.from_dict(source) for source in attributes["sources"])
            codes = SegmentCodes.from_dict(attributes["codes"]) if attributes.get("codes") else None
            origins = tuple(Origin.from_dict(origin) for origin in attributes.get("origins", []))
            return cls(id=name, sources=sources, codes=codes, origins=origins, **known)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DamagedError(
                f"{where}: segment {name} has an unreadable description ({error}).",
                hint=f"Read an earlier version: goodctl datastore log {where}",
            ) from error
