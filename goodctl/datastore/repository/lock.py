"""The writers' lock of a store in a local folder."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import filelock

from goodctl.datastore.repository.faults import translated_errors
from goodctl.datastore.repository.place import HOLDER, LOCK
from goodctl.errors import ConflictError


@contextlib.contextmanager
def writer_lock(location: str, command: str) -> Iterator[None]:
    """Hold the store's lock: writers exclude one another, readers never ask for it.

    The kernel frees the lock when its holder dies, however it dies.

    Args:
        location: The store; its folder is made when it is not there.
        command: What the holder is doing, shown to those who are refused.

    Raises:
        ConflictError: Another process holds it; says which and since when.
    """
    folder = Path(location)
    with translated_errors(location, "write to"):
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / LOCK, timeout=0, mode=0o666)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise _refusal(location) from None
    try:
        with contextlib.suppress(OSError):  # only a courtesy to those who are refused
            text = {"pid": os.getpid(), "host": socket.gethostname(), "command": command, "since": time.time()}
            (folder / HOLDER).write_text(json.dumps(text), encoding="utf-8")
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


def _refusal(location: str) -> ConflictError:
    try:
        holder = json.loads((Path(location) / HOLDER).read_text(encoding="utf-8"))
        since = time.strftime("%H:%M:%S", time.localtime(holder["since"]))
        who = f"process {holder['pid']} on {holder['host']} ({holder['command']}, since {since})"
    except (OSError, ValueError, KeyError, TypeError):
        who = "another process"
    return ConflictError(
        f"{location} is being written by {who}.",
        hint="Wait until it has finished, then run the same command again. Reading is possible meanwhile.",
    )
