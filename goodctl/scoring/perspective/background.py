"""An event loop in a thread of its own, so that requests go on while the caller does something else."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

_Result = TypeVar("_Result")


@dataclass
class Group:
    """Tasks that end together: soon after an error in one of them. Only the loop's thread touches it.

    Attributes:
        patience_s: How long tasks that are under way may go on after an error.
        sleep: Waits for seconds.
        tasks: Those that have not ended.
        awaited: Those among them that wait for something that was paid for already.
        ending: Whether nothing new shall be begun.
    """

    patience_s: float = 0.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    awaited: set[asyncio.Task[Any]] = field(default_factory=set)
    ending: bool = False
    _timer: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def under_way(self) -> Iterator[None]:
        """Inside, the current task waits for what was paid for."""
        task = asyncio.current_task()
        assert task is not None
        self.awaited.add(task)
        try:
            yield
        finally:
            self.awaited.discard(task)

    def wind_down(self) -> None:
        """Cancel what is not under way at once, and the rest when patience ends."""
        if self.ending:
            return
        self.ending = True
        for task in self.tasks - self.awaited - {asyncio.current_task()}:
            task.cancel()
        self._timer = asyncio.get_running_loop().create_task(self._patient())

    def stop(self) -> None:
        """Cancel everything."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self.tasks:
            task.cancel()

    async def _patient(self) -> None:
        await self.sleep(self.patience_s)
        for task in self.tasks:
            task.cancel()


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

    def settle(self, group: Group) -> None:
        """Wait until a group has wound down."""
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(_settled(group), self._loop).result()

    def end(self, group: Group) -> None:
        """Cancel what a group still does, and wait until it has ended."""
        if self._loop is not None:
            # The tasks of the group have begun before this one does, since a loop keeps the order of its callers.
            asyncio.run_coroutine_threadsafe(_ended(group), self._loop).result()

    def close(self, last: Callable[[], Awaitable[None]]) -> None:
        """Do a last thing in the loop and stop it. Twice does no harm."""
        if self._loop is None or self._thread is None:
            return
        self.start(Group(), last).result()
        asyncio.run_coroutine_threadsafe(_all_ended(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None


async def _within(group: Group, function: Callable[..., Awaitable[_Result]], arguments: tuple[Any, ...]) -> _Result:
    task = asyncio.current_task()
    assert task is not None  # this is a coroutine
    if group.ending:
        raise asyncio.CancelledError
    group.tasks.add(task)
    try:
        return await function(*arguments)
    except Exception:
        group.wind_down()
        raise
    finally:
        group.tasks.discard(task)


async def _settled(group: Group) -> None:
    group.wind_down()
    await asyncio.gather(*group.tasks, return_exceptions=True)


async def _ended(group: Group) -> None:
    group.stop()
    await asyncio.gather(*group.tasks, return_exceptions=True)


async def _all_ended() -> None:
    """Cancel all tasks but this one, and wait for their end."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
