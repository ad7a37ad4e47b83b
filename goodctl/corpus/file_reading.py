"""One pass over a file of text: JSON, JSON Lines, CSV, TSV, TXT, compressed or not."""

from __future__ import annotations

from collections.abc import Iterator

from goodctl.corpus.byte_stream import HashingFile, decompressed
from goodctl.corpus.delimited import read_delimited
from goodctl.corpus.fields import Fields
from goodctl.corpus.inputs import CorpusFile
from goodctl.corpus.json_array import read_json_array
from goodctl.corpus.json_lines import read_json_lines
from goodctl.corpus.plain_text import read_plain_text
from goodctl.corpus.record import Record


class FileReading:
    """Reads a file once: hashed and parsed in the same pass.

    Args:
        file: The file.
        fields: Where the text is; a CSV file without that column is refused at its header.
        hashing: Whether ``sha256`` will be asked for.

    Raises:
        NotFoundError: The file is gone.
        InputError: It cannot be opened.
    """

    def __init__(self, file: CorpusFile, fields: Fields, *, hashing: bool) -> None:
        self._source = file
        self._fields = fields
        self._file = HashingFile(file.path, hashing=hashing)
        # Kept, because a buffer that is forgotten closes the file below it, which is still to be hashed to its end.
        self._stream = decompressed(self._file, file.name, file.format.compression)

    def records(self) -> Iterator[Record]:
        """Every record of the file."""
        name = self._source.name
        stream = self._stream
        match self._source.format.name:
            case "json":
                return read_json_array(stream, name)
            case "jsonl":
                return read_json_lines(stream, name)
            case "csv":
                return read_delimited(stream, name, delimiter=",", fields=self._fields)
            case "tsv":
                return read_delimited(stream, name, delimiter="\t", fields=self._fields)
            case "txt":
                return read_plain_text(stream, name)
            case other:
                raise ValueError(f"no reader for the format {other!r}")

    def bytes_done(self) -> int:
        """Bytes read from disk so far."""
        return self._file.count

    def sha256(self) -> str:
        """Hash of the bytes on disk."""
        return self._file.sha256()

    def size_bytes(self) -> int:
        """Bytes on disk, as counted while reading."""
        return self._file.count

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
