"""Writes the same records in every format that the corpus package reads."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow
import zstandard
from pyarrow import parquet

FORMATS = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".txt", ".text", ".parquet")
COMPRESSIONS = ("", ".gz", ".zst")
SUFFIXES = [one + other for one in FORMATS for other in COMPRESSIONS if not (one == ".parquet" and other)]


def compress(content: bytes, suffix: str) -> bytes:
    if suffix == ".gz":
        return gzip.compress(content)
    if suffix == ".zst":
        return zstandard.ZstdCompressor().compress(content)
    return content


def write_texts(folder: Path, suffix: str, texts: Sequence[str]) -> Path:
    path = folder / f"corpus{suffix}"
    kind = "." + suffix.split(".")[1]
    rows = [{"id": f"r{number}", "text": text} for number, text in enumerate(texts)]
    if kind == ".parquet":
        schema = pyarrow.schema([("id", pyarrow.string()), ("text", pyarrow.string())])
        parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), path)
        return path
    if kind == ".json":
        content = json.dumps(rows, indent=1, ensure_ascii=False)
    elif kind in {".jsonl", ".ndjson"}:
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    elif kind in {".csv", ".tsv"}:
        buffer = io.StringIO(newline="")
        writer = csv.DictWriter(buffer, ["id", "text"], delimiter="," if kind == ".csv" else "\t")
        writer.writeheader()
        writer.writerows(rows)
        content = buffer.getvalue()
    else:
        content = "".join(text + "\n" for text in texts)
    path.write_bytes(compress(content.encode(), suffix.removeprefix(kind)))
    return path
