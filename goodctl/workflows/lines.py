"""An output of JSON Lines that grows batch by batch, and is cut back to whole batches when a run goes on.

One run at a time writes an output; what is written beside it is replaced as a whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

import filelock

from goodctl.cache_root import cache_root
from goodctl.errors import ConflictError, InputError, ServiceError


def complete_lines(path: Path) -> int:
    """How many lines a file has that end as lines do; 0 where it is missing."""
    if not path.exists():
        return 0
    count = 0
    with path.open("rb") as file:
        while block := file.read(2**20):
            count += block.count(b"\n")
    return count


def cut_to(path: Path, lines: int) -> None:
    """Keep the first lines of a file and nothing behind them.

    Raises:
        InputError: There are fewer.
    """
    if not path.exists():
        if lines:
            raise InputError(f"{path} is gone.", hint="Begin anew: --overwrite")
        return
    with path.open("r+b") as file:
        for _ in range(lines):
            if not file.readline().endswith(b"\n"):
                raise InputError(f"{path} has fewer than {lines:,} lines.", hint="Begin anew: --overwrite")
        file.truncate(file.tell())


def discard(*paths: Path) -> None:
    """Delete files, where they are there.

    Raises:
        ServiceError: One cannot be deleted.
    """
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(path, error) from error


def append(path: Path, values: Iterable[dict[str, Any]]) -> None:
    """Add lines, all of them in one write that has reached the disk when this returns.

    Raises:
        ServiceError: The disk does not take them; what was there stays, perhaps with a part of the new lines.
    """
    text = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)
    if not text:
        return
    try:
        with path.open("ab") as file:
            file.write(text.encode("utf-8", "surrogatepass"))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ServiceError(
            f"{path} cannot be written: {error.strerror}.", hint="Make room and run the same command again: it goes on."
        ) from error


def replace_text(path: Path, text: str) -> None:
    """Write a file in one go: whoever reads it finds the old one or the new one.

    Raises:
        ServiceError: The disk does not take it; the old one stays.
    """
    with replacing(path) as file:
        file.write(text)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """Write a file bit by bit: it takes its place when the block ends, and not at all where the block raises.

    Raises:
        ServiceError: The disk does not take it; the old one stays.
    """
    part = path.with_name(f".{path.name}.part")  # always the same, so that a killed run leaves no second one
    try:
        with part.open("w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise _unwritable(path, error) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def prepare_folder(path: Path) -> None:
    """Make the folder of a file where it is missing.

    Raises:
        ServiceError: It cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Be the only run on this machine that writes an output. The kernel frees the lock when its holder dies.

    Raises:
        ConflictError: Another run writes it.
    """
    name = hashlib.sha256(os.path.realpath(path).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    file = cache_root() / "locks" / f"{name}.lock"  # nothing is left beside the output
    prepare_folder(file)
    lock = filelock.FileLock(file, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise ConflictError(
            f"Another run is writing {path}.", hint="Wait until it has finished, or choose another --out."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _unwritable(path: Path, error: OSError) -> ServiceError:
    return ServiceError(
        f"{path} cannot be written: {error.strerror}.", hint="Choose another --out, or make room there."
    )
