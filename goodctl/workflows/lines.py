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
from goodctl.errors import ConflictError, ServiceError, UsageError

MOST_NAME_BYTES = 255 - len("..part")
"""Of a file's name on common file systems, less what the name of a part of it adds."""


def check_out(out: str, *beside: Path) -> None:
    """Check that files can have the names of an output and of what goes beside it.

    Raises:
        UsageError: They cannot.
    """
    try:
        no_file = not out or "\0" in out or Path(out).is_dir()
    except OSError as error:
        raise UsageError(f"--out {out}: {error.strerror}.", hint="Choose another --out.") from error
    if no_file:
        raise UsageError(f"--out {out!r} is no file.", hint="Name a file, such as --out steered.jsonl")
    longest = max(len(os.fsencode(path.name)) for path in beside)
    if longest > MOST_NAME_BYTES:
        raise UsageError(
            f"--out {out}: a file beside it would have a name of {longest} bytes; {MOST_NAME_BYTES} are possible.",
            hint="Choose a shorter --out.",
        )


def cut_to_bytes(path: Path, size: int) -> None:
    """Keep the beginning of a file, if it is there, and nothing behind it.

    Raises:
        ServiceError: It would have to be cut, and cannot be.
    """
    if not path.exists() or path.stat().st_size <= size:
        return  # a file that is only read is left alone
    try:
        with path.open("r+b") as file:
            file.truncate(size)
    except OSError as error:
        raise _unwritable(path, error) from error


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


def append(path: Path, values: Iterable[dict[str, Any]]) -> bytes:
    """Add lines, all of them in one write that has reached the disk when this returns.

    Returns:
        What was added.

    Raises:
        ServiceError: The disk does not take them; what was there stays, perhaps with a part of the new lines.
    """
    text = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)
    added = text.encode("utf-8", "surrogatepass")
    if not added:
        return b""
    try:
        with path.open("ab") as file:
            file.write(added)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ServiceError(
            f"{path} cannot be written: {error.strerror}.", hint="Make room and run the same command again: it goes on."
        ) from error
    return added


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
