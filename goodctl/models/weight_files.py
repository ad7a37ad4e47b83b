"""Which files of a model folder hold the weights that transformers loads, and the hash of what is in them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from goodctl.errors import DamagedError, NotFoundError
from goodctl.progress import Progress, Report, silent

_BLOCK = 8 << 20
# In the order in which transformers looks for them; an index names the shards.
_CANDIDATES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


def weight_files(folder: Path) -> list[Path]:
    """The weight files of a model folder, sorted by name.

    Raises:
        NotFoundError: There are none.
        DamagedError: A shard that the index names is missing, or the index cannot be read.
    """
    for name in _CANDIDATES:
        path = folder / name
        if not path.is_file():
            continue
        if path.suffix != ".json":
            return [path]
        try:
            shards = sorted(set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError) as error:
            raise DamagedError(f"{path} cannot be read: {error}.", hint="Fetch the model again.") from error
        if missing := [shard for shard in shards if not (folder / shard).is_file()]:
            raise DamagedError(f"{folder} lacks {missing[0]}, which {name} names.", hint="Fetch the model again.")
        return [folder / shard for shard in shards]
    raise NotFoundError(
        f"{folder} has no weights: neither model.safetensors nor pytorch_model.bin.",
        hint="Save the model there with save_pretrained.",
    )


def hash_weights(files: list[Path], report: Report = silent) -> str:
    """SHA-256 over the weights; of safetensors independent of how the tensors are spread over files.

    Args:
        files: As ``weight_files`` gives them, all of one kind.
        report: Told of the bytes read.

    Returns:
        64 hexadecimal digits.

    Raises:
        DamagedError: A file is not what safetensors writes.
    """
    total = sum(file.stat().st_size for file in files)
    done = 0
    lines: list[tuple[str, ...]] = []
    for file in files:
        found = _safetensors(file) if file.suffix == ".safetensors" else _whole(file)
        for line, size in found:
            lines.append(line)
            done += size
            report(Progress("fingerprinting", done=done, total=total, unit="bytes"))
    report(Progress("fingerprinting", done=total, total=total, unit="bytes", finished=True))
    return hashlib.sha256(json.dumps(sorted(lines)).encode()).hexdigest()


def _whole(file: Path) -> Iterator[tuple[tuple[str, ...], int]]:
    """A pickled file as one piece: its tensors cannot be told apart without running the pickle."""
    with file.open("rb") as stream:
        yield (file.name, hashlib.file_digest(stream, "sha256").hexdigest()), file.stat().st_size


def _safetensors(file: Path) -> Iterator[tuple[tuple[str, ...], int]]:
    """Name, dtype, shape and SHA-256 of each tensor, in the order of the file."""
    damaged = DamagedError(f"{file} is no whole safetensors file.", hint="Fetch the model again.")
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > size - 8:
            raise damaged
        try:
            header = json.loads(stream.read(length))
            header.pop("__metadata__", None)
            tensors = sorted((tuple(entry["data_offsets"]), name, entry) for name, entry in header.items())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise damaged from error
        for (begin, end), name, entry in tensors:
            if not 0 <= begin <= end <= size - 8 - length:
                raise damaged
            stream.seek(8 + length + begin)
            digest = _hash_range(stream, end - begin)
            yield (name, entry["dtype"], json.dumps(entry["shape"]), digest), end - begin


def _hash_range(stream: BinaryIO, size: int) -> str:
    digest = hashlib.sha256()
    while size > 0:
        block = stream.read(min(size, _BLOCK))
        digest.update(block)
        size -= len(block)
    return digest.hexdigest()
