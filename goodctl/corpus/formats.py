"""Which format a file has: decided by its name alone, never by its content."""

from __future__ import annotations

from pathlib import PurePath
from typing import NamedTuple

from goodctl.errors import UsageError

_FORMATS = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "txt",
    ".text": "txt",
    ".parquet": "parquet",
}
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}

SUPPORTED = f"{', '.join(_FORMATS)}; all but .parquet also with {' or '.join(_COMPRESSIONS)} appended"
"""The suffixes that are read, for messages."""


class Format(NamedTuple):
    """How the bytes of a file are to be read.

    Attributes:
        name: ``json``, ``jsonl``, ``csv``, ``tsv``, ``txt`` or ``parquet``.
        compression: ``gzip``, ``zstd`` or None.
    """

    name: str
    compression: str | None


def recognise(path: PurePath) -> Format | None:
    """The format of a file by its suffixes (in any case), or None if it is none that is read."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = _COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    if compression is not None:
        suffixes.pop()
    name = _FORMATS.get(suffixes[-1]) if suffixes else None
    if name is None or (name == "parquet" and compression is not None):
        return None
    return Format(name, compression)


def require_format(path: PurePath) -> Format:
    """The format of a file that the user named.

    Raises:
        UsageError: The suffix is none that is read.
    """
    found = recognise(path)
    if found is not None:
        return found
    if ".parquet" in [suffix.lower() for suffix in path.suffixes]:
        raise UsageError(
            f"{path.as_posix()}: Parquet inside another compression is not read",
            hint="Decompress the file first; Parquet compresses its own columns.",
        )
    raise UsageError(
        f"{path.as_posix()}: the suffix says none of the formats that are read",
        hint=f"Rename or convert the file. Supported suffixes: {SUPPORTED}.",
    )
