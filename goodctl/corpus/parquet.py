"""One pass over a Parquet file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from goodctl.corpus.arrow_schema import schema_paths
from goodctl.corpus.byte_stream import open_file
from goodctl.corpus.fields import Fields
from goodctl.corpus.inputs import CorpusFile
from goodctl.corpus.record import Record
from goodctl.errors import InputError, MissingDependency

# Few rows, as a text may be long; the library keeps the compressed pages of a row group besides.
_BATCH_ROWS = 256


class ParquetReading:
    """Reads the columns of a Parquet file that hold the text and the language.

    Args:
        file: The file.
        fields: Which columns those are.

    Raises:
        MissingDependency: pyarrow is not installed.
        NotFoundError: The file is gone.
        InputError: It cannot be opened, or is not Parquet.
    """

    def __init__(self, file: CorpusFile, fields: Fields) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError as error:
            raise MissingDependency(
                f"{file.name}: reading Parquet needs pyarrow", hint="pip install 'goodctl[parquet]'"
            ) from error
        self._name = file.name
        self._fields = fields
        self._size_bytes = file.size_bytes
        self._arrow_errors = (pyarrow.ArrowException, OSError)
        self._rows_done = 0
        self._file = open_file(file.path)
        try:
            self._table = parquet.ParquetFile(self._file, pre_buffer=False, page_checksum_verification=True)
        except self._arrow_errors as error:
            self._file.close()
            raise self._damaged(error) from error

    def records(self) -> Iterator[Record]:
        """Every row, with the columns that are needed.

        Raises:
            InputError: There is no such column, or the file is damaged.
        """
        schema = self._table.schema_arrow
        self._fields.check_columns(self._name, schema_paths(schema))
        columns = self._fields.needed_columns(schema.names)
        try:
            for batch in self._table.iter_batches(batch_size=_BATCH_ROWS, columns=columns, use_threads=False):
                for value in self._rows(batch):
                    self._rows_done += 1
                    yield Record(value, self._rows_done, None)
        except self._arrow_errors as error:
            raise self._damaged(error) from error

    def bytes_done(self) -> int:
        """The share of the rows that is read, in bytes of the file."""
        return self._size_bytes * self._rows_done // max(int(self._table.metadata.num_rows), 1)

    def sha256(self) -> str:
        """Hash of the bytes on disk, read a second time: the format is not read from start to end."""
        self._file.seek(0)
        digest = hashlib.file_digest(self._file, "sha256")
        self._size_bytes = self._file.tell()
        return digest.hexdigest()

    def size_bytes(self) -> int:
        """Bytes on disk."""
        return self._size_bytes

    def close(self) -> None:
        """Closes the file."""
        self._table.close()
        self._file.close()

    def _rows(self, batch: Any) -> list[dict[str, object]]:
        try:
            return batch.to_pylist()  # type: ignore[no-any-return]
        except UnicodeDecodeError:
            return [self._row(batch, index) for index in range(batch.num_rows)]

    def _row(self, batch: Any, index: int) -> dict[str, object]:
        try:
            return batch.slice(index, 1).to_pylist()[0]  # type: ignore[no-any-return]
        except UnicodeDecodeError as error:
            raise InputError(
                f"{self._name}, row {self._rows_done + index + 1}: not UTF-8: byte 0x{error.object[error.start]:02x} "
                f"at byte offset {error.start} of the string",
                hint="Write the file again with strings in UTF-8.",
            ) from error

    def _damaged(self, error: Exception) -> InputError:
        return InputError(
            f"{self._name}: the Parquet file is damaged or cut off, or is not Parquet: {error}",
            hint="Copy or download the file again.",
        )
