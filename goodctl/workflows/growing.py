"""An output that grows batch by batch, and of which the run knows every byte: what others did to it is noticed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from goodctl.errors import ConflictError, ExistsError, ServiceError
from goodctl.workflows.lines import append, cut_to_bytes

BLOCK = 2**20
EMPTY_SHA256 = hashlib.sha256().hexdigest()


@dataclass(frozen=True)
class Extent:
    """How far an output has come.

    Attributes:
        prompts: Lines.
        bytes: The same in bytes.
        sha256: Of these bytes.
    """

    prompts: int = 0
    bytes: int = 0
    sha256: str = EMPTY_SHA256


@dataclass
class Growing:
    """An output up to where it is known.

    Attributes:
        path: The file.
        extent: What is known of it.
    """

    path: Path
    extent: Extent = field(default_factory=Extent)
    _hash: Any = field(default_factory=hashlib.sha256)

    def begin(self, extent: Extent) -> None:
        """Keep the beginning of the file, cut off what is behind it, and add to that.

        Raises:
            ServiceError: The file cannot be cut.
        """
        self.extent, self._hash = extent, _hashed(self.path, extent.bytes)
        cut_to_bytes(self.path, extent.bytes)

    def append(self, values: Iterable[dict[str, Any]]) -> Extent:
        """Add lines, which have reached the disk when this returns.

        Raises:
            ConflictError: Somebody else has changed the file's length.
            ServiceError: The disk does not take them.
        """
        size = self.path.stat().st_size if self.path.exists() else 0
        if size != self.extent.bytes:
            raise ConflictError(
                f"Something else has changed {self.path}: it has {size:,} bytes, and this run wrote "
                f"{self.extent.bytes:,}.",
                hint="Stop what writes it, and begin anew: --overwrite",
            )
        values = list(values)
        written = append(self.path, values)
        self._hash.update(written)
        self.extent = Extent(
            self.extent.prompts + len(values), self.extent.bytes + len(written), self._hash.hexdigest()
        )
        return self.extent


def found_extent(path: Path, known: Extent, *, finished: bool, belongs: Callable[[int, bytes], bool]) -> Extent:
    """How much of an earlier run's output is there, in whole batches; changes nothing.

    What is behind the known extent is of a batch that was interrupted, and counts for nothing.

    Args:
        path: The output.
        known: What the manifest says of it.
        finished: Whether it says that nothing is missing.
        belongs: Whether a line, by its number from 0, may be one that the run has written there.

    Returns:
        The known extent; an empty one where the file is gone.

    Raises:
        ExistsError: The file is not what the run wrote.
        ServiceError: It cannot be read.
    """
    if not path.exists():
        return Extent()
    try:
        changed = _hashed(path, known.bytes).hexdigest() != known.sha256 or not all(
            not finished and (belongs(number, line) or not line.endswith(b"\n"))
            for number, line in _lines_behind(path, known)
        )
    except OSError as error:
        raise ServiceError(f"{path} cannot be read: {error.strerror}.", hint="Choose another --out.") from error
    if changed:
        raise ExistsError(
            f"{path} is not what the run wrote that its manifest tells of: somebody has changed it.",
            hint="Choose another --out, or discard it: --overwrite",
        )
    return known


def _lines_behind(path: Path, known: Extent) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        file.seek(known.bytes)
        yield from enumerate(file, start=known.prompts)


def _hashed(path: Path, size: int) -> Any:
    digest = hashlib.sha256()
    if size:
        with path.open("rb") as file:
            while size and (block := file.read(min(size, BLOCK))):
                digest.update(block)
                size -= len(block)
    return digest
