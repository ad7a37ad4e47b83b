"""An event loop in a thread of its own, so that requests go on while the caller does something else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeVar

_Result = TypeVar("_Result")
Group = set["asyncio.Task[Any]"]
"""Tasks that end together. Only the loop's thread touches it."""


class Background:
    """A loop that runs from the first use until it is closed."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self, group: Group, function: Callable[..., Awaitable[_Result]], *arguments: Any) -> Future[_Result]:
        """Begin to call an asynchronous function."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="perspective", daemon=True)
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(_within(group, function, arguments), self._loop)

    def end(self, group: Group) -> None:
        """Cancel what a group still does, and wait until it has ended."""
        if self._loop is not None:
            # The tasks of the group have begun before this one does, since a loop keeps the order of its callers.
            asyncio.run_coroutine_threadsafe(_ended(group), self._loop).result()

    def close(self, last: Callable[[], Awaitable[None]]) -> None:
        """Do a last thing in the loop and stop it. Twice does no harm."""
        if self._loop is None or self._thread is None:
            return
        self.start(set(), last).result()
        asyncio.run_coroutine_threadsafe(_ended(None), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None


async def _within(group: Group, function: Callable[..., Awaitable[_Result]], arguments: tuple[Any, ...]) -> _Result:
    task = asyncio.current_task()
    assert task is not None  # this is a coroutine
    group.add(task)
    try:
        return await function(*arguments)
    finally:
        group.discard(task)


async def _ended(group: Group | None) -> None:
    """Cancel the tasks of a group, or all but this one, and wait for their end."""
    tasks = list(asyncio.all_tasks() - {asyncio.current_task()} if group is None else group)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
