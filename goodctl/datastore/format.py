"""What is written where: names, dtypes, chunk shapes, and the header of a store.

The written specification is ``docs/reference/datastore-format.md``; this module and ``description`` are its only
implementation.
"""

from __future__ import annotations

import datetime
from dataclasses import asdict, dataclass, replace
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

    def difference(self, other: Header, *names: str) -> tuple[str, str, str] | None:
        """The first of some attributes in which another store differs: its name in words, own value, other value.

        Models are compared by their fingerprints: where they lie and what they are called does not matter.
        """
        for name in names:
            mine, others = getattr(self, name), getattr(other, name)
            if name == "model":
                if mine["fingerprint"] != others["fingerprint"]:
                    return name, _model_text(mine), _model_text(others)
            elif mine != others:
                return name.replace("_", " "), str(mine), str(others)
        return None

    def begun(self, program: str) -> Header:
        """The header of a new store for rows of this one.

        Args:
            program: Name and version of the program that makes it.
        """
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return replace(self, created_by=program, created_at=now)

    @property
    def row_bytes(self) -> int:
        """Bytes of one key and one value, uncompressed."""
        return self.dimension * np.dtype(self.key_dtype).itemsize + VALUE_DTYPE.itemsize


def _model_text(model: dict[str, Any]) -> str:
    digests = model["fingerprint"]
    return f"{model.get('name')} ({', '.join(f'{part} {str(digests[part])[:8]}' for part in sorted(digests))})"
