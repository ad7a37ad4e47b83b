"""The corpus: sources and how to read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

from goodctl.corpus.document import Document, Scan, Source
from goodctl.corpus.fields import Fields
from goodctl.corpus.file_reading import FileReading
from goodctl.corpus.hub import HubLoad, HubReading, HubSplit, load_split
from goodctl.corpus.inputs import CorpusFile, resolve_inputs
from goodctl.corpus.parquet import ParquetReading
from goodctl.corpus.reading import Reading
from goodctl.errors import InputError, UsageError
from goodctl.progress import Progress, Report, silent

_REPORT_BYTES = 4 * 2**20
_STAGE = "reading"


@dataclass(frozen=True)
class Corpus:
    """Files and hub datasets that are read as documents.

    Attributes:
        inputs: Files, folders, globs and ``hf://`` ids, as the user typed them.
        text_field: The field of the text; ``a.b`` reaches into objects. Plain text has no fields and ignores it.
        language: Language of documents that have none of their own.
        language_field: The field of the language, if documents have one.
        load_hub: Gives the dataset of a hub id; tests put another one here.
    """

    inputs: tuple[str, ...]
    text_field: str = "text"
    language: str = "und"
    language_field: str | None = None
    load_hub: HubLoad = field(default=load_split, repr=False, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.inputs, str):
            raise UsageError(f"inputs is the string {self.inputs!r}.", hint="Pass a tuple of strings.")
        for option, value in (("text field", self.text_field), ("language", self.language)):
            if not value.strip():
                raise UsageError(f"The {option} is empty.", hint=f"Give a {option}, or leave the option out.")

    def files(self) -> list[CorpusFile | HubSplit]:
        """The sources behind the inputs, in the order in which they are read; one reached twice is listed once.

        Raises:
            UsageError: There is no input, or a named file has a suffix that is not read.
            NotFoundError: A file is missing, or a glob or a folder has nothing to read.
            InputError: A file or folder cannot be read.
        """
        return resolve_inputs(self.inputs)

    def documents(self) -> Iterator[Document]:
        """Every record as a document, in order, those with empty texts included.

        Raises:
            GoodctlError: As ``scan`` does; after what comes before the bad place.
        """
        fields = self._fields
        for source in self.files():
            name = source.name
            with closing(self._open(source, hashing=False)) as reading:
                for record in reading.records():
                    yield fields.document(name, record)

    def scan(self, report: Report = silent) -> Scan:
        """Reads everything once: counts, hashes and validates every record.

        Raises:
            InputError: A record or a file is wrong (the first one), or the corpus has no text at all.
            NotFoundError: A source is missing.
            UsageError: An input is not one that can be read.
            MissingDependency: A format needs a package that is not installed.
            ServiceError: A disk or the hub fails.
        """
        found = self.files()
        # What a hub dataset measures is known only once it is loaded.
        sizes = [source.size_bytes for source in found if isinstance(source, CorpusFile)]
        count = _Count(report, total=sum(sizes) if len(sizes) == len(found) else None)
        sources = tuple(self._scan_source(source, count) for source in found)
        if not count.characters:
            names = ", ".join(self.inputs)
            raise InputError(
                f"{names}: no text: {count.documents} documents, all empty" if count.documents else f"{names}: no text",
                hint="Check that these are the right files and, with --text-field NAME, the right field.",
            )
        note = None
        if self.language_field is not None and not count.has_language:
            note = f"No record has the language field {self.language_field!r}; every language is {self.language!r}."
        report(Progress(_STAGE, count.bytes_before, count.bytes_before, "bytes", note=note, finished=True))
        return Scan(sources, count.documents, count.characters, self._options(found))

    @property
    def _fields(self) -> Fields:
        return Fields(self.text_field, self.language, self.language_field)

    def _open(self, source: CorpusFile | HubSplit, *, hashing: bool) -> Reading:
        if isinstance(source, HubSplit):
            return HubReading(source, self._fields, self.load_hub)
        if source.format.name == "parquet":
            return ParquetReading(source, self._fields)
        return FileReading(source, self._fields, hashing=hashing)

    def _scan_source(self, source: CorpusFile | HubSplit, count: _Count) -> Source:
        fields, name = self._fields, source.name
        documents_before = count.documents
        with closing(self._open(source, hashing=True)) as reading:
            for record in reading.records():
                document = fields.document(name, record)
                count.documents += 1
                count.characters += len(document.text)
                count.has_language = count.has_language or fields.has_language(record)
                count.report_at(reading.bytes_done())
            sha256, size_bytes = reading.sha256(), reading.size_bytes()
        count.bytes_before += size_bytes
        return Source(name, sha256, size_bytes, count.documents - documents_before)

    def _options(self, found: list[CorpusFile | HubSplit]) -> str:
        # The formats belong here: the same bytes are other documents as .txt than as .jsonl.
        options = {
            "formats": [source.format.name if isinstance(source, CorpusFile) else "hub" for source in found],
            "language": self.language,
            "language_field": self.language_field,
            "text_field": self.text_field,
        }
        return json.dumps(options, sort_keys=True, separators=(",", ":"))


@dataclass
class _Count:
    """What a scan has seen so far."""

    report: Report
    total: int | None
    documents: int = 0
    characters: int = 0
    has_language: bool = False
    bytes_before: int = 0  # in the sources before the present one
    bytes_reported: int = 0

    def report_at(self, bytes_in_source: int) -> None:
        """Reports progress, if there is enough of it since the last time."""
        done = self.bytes_before + bytes_in_source
        if done - self.bytes_reported >= _REPORT_BYTES:
            self.bytes_reported = done
            self.report(Progress(_STAGE, done, self.total, "bytes"))
