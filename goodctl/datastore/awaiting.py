"""Waiting for what the storage does asynchronously, also where the caller has an event loop of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def awaited(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end.

    In the caller's thread if that is free: another thread's memory is faulted in anew for each chunk of some megabytes,
    which makes copying much slower. A notebook's thread has a loop of its own.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
