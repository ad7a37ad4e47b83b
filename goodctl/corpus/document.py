"""What a corpus consists of (documents), and what is remembered about it (sources and their scan)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """One text of a corpus.

    Attributes:
        text: The text; may be empty.
        language: Its language, ``"und"`` when unknown.
        source: The file as given or found (with forward slashes), or the ``hf://`` id.
        line: 1-based: the line (TXT, JSONL) or the number of the record (JSON array, CSV, Parquet, hub dataset).
    """

    text: str
    language: str
    source: str
    line: int


@dataclass(frozen=True)
class Source:
    """What one source was when it was scanned; stored as provenance.

    Attributes:
        name: The file as given or found, or the ``hf://`` id.
        sha256: Of the file's bytes as they lie on disk, still compressed if they are; of the fingerprint that the
            ``datasets`` library gives, for a hub dataset.
        size_bytes: Size on disk; of the columns in memory, for a hub dataset.
        documents: Records in it.
    """

    name: str
    sha256: str
    size_bytes: int
    documents: int


@dataclass(frozen=True)
class Scan:
    """The outcome of reading a whole corpus once.

    Attributes:
        sources: Every source, in the order in which it is read.
        documents: Records in all of them, empty texts included.
        characters: Code points of all texts.
        options: How the bytes were read, as canonical JSON: fields, default language, format of each source.
    """

    sources: tuple[Source, ...]
    documents: int
    characters: int
    options: str = ""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what determines the documents: the bytes, their order and the reading options, not the names."""
        digest = hashlib.sha256()
        for source in self.sources:
            digest.update(f"{source.sha256}\n".encode())
        digest.update(self.options.encode())
        return digest.hexdigest()
