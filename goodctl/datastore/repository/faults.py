"""The storage library's exceptions as ours."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

import icechunk

from goodctl.errors import ConflictError, DamagedError, GoodctlError, ServiceError

FAULTS = (icechunk.IcechunkError, icechunk.ConflictError)  # 1.x: the second is not a kind of the first
_FULL = ("no space left", "storagefull", "disk quota", "quotaexceeded")


@contextlib.contextmanager
def translated_errors(location: str, doing: str) -> Iterator[None]:
    """Turn the storage library's exceptions into ours, in one sentence each.

    Args:
        location: Name of the store.
        doing: What was tried (``"write to"``), for the message.

    Raises:
        ServiceError: The disk is full or refuses.
        ConflictError: Another writer was faster.
        DamagedError: Stored bytes are missing or unreadable.
    """
    try:
        yield
    except (*FAULTS, OSError) as error:
        raise translate(error, location, doing) from error


@contextlib.contextmanager
def damaged_metadata(where: str) -> Iterator[None]:
    """Report what zarr raises on descriptions of groups and arrays that it cannot read; only that is to be inside.

    Raises:
        DamagedError: They are not what was written.
    """
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedError(
            f"{where} has metadata that cannot be read ({type(error).__name__}: {error}).",
            hint=f"See what else is damaged: goodctl datastore verify {where}",
        ) from error


def translate(error: Exception, location: str, doing: str) -> GoodctlError:
    """One exception as ours; the arguments are those of ``translated_errors``."""
    text = str(error)
    first = next((line.strip(" x|") for line in text.splitlines() if line.strip(" x|")), type(error).__name__)
    full = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
    if full or any(word in text.lower() for word in _FULL):
        return ServiceError(
            f"The disk is full: cannot {doing} {location}.",
            hint="Free some space and run the same command again: it goes on from the last checkpoint.",
        )
    refused = any(words in text.lower() for words in ("permission denied", "read-only file system"))
    if refused or isinstance(error, PermissionError):
        return ServiceError(f"No permission to {doing} {location}: {first}.", hint=f"ls -ld {location}")
    if isinstance(error, icechunk.ConflictError) or "branch update conflict" in text:
        return ConflictError(f"{location} was changed by another writer meanwhile.", hint="Run the same command again.")
    if isinstance(error, OSError):
        hint = f"Check the path and who may write to it: ls -ld {location}"
        return ServiceError(f"Cannot {doing} {location}: {error.strerror or first}.", hint=hint)
    return DamagedError(
        f"Cannot {doing} {location}: {first}.", hint=f"Try an earlier version: goodctl datastore log {location}"
    )
