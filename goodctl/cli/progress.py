"""Drawing progress: a bar on a terminal, one line per stage elsewhere."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

from rich.progress import (
    BarColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

from goodctl.cli.output import Output
from goodctl.cli.units import size
from goodctl.interruption import Interruption
from goodctl.progress import Progress, Report, silent


class _Rate(ProgressColumn):
    """Rows per second where rows are made, else units per second."""

    def render(self, task: Task) -> Text:
        if task.fields.get("detail"):
            return Text(task.fields["detail"], style="dim", no_wrap=True)
        rows = task.fields.get("rows")
        made = (rows - task.fields["first_rows"]) if rows is not None else task.completed
        elapsed = task.elapsed or 0.0
        if not made or elapsed < 0.2:
            return Text("")
        unit = "rows" if rows is not None else task.fields["unit"]
        if not unit:
            return Text("")
        speed = size(made / elapsed) if unit == "bytes" else f"{made / elapsed:,.0f} {unit}"
        return Text(f"{speed}/s", style="dim")


class _Count(ProgressColumn):
    """Units done, of how many where that is known."""

    def render(self, task: Task) -> Text:
        unit = task.fields["unit"]
        if not unit:
            return Text("")
        if unit == "bytes":
            return Text(f"{size(task.completed)} of {size(task.total)}" if task.total else size(task.completed))
        total = f"/{task.total:,.0f}" if task.total else ""
        return Text(f"{task.completed:,.0f}{total} {unit}")


class _Bars:
    """Draws events as bars."""

    def __init__(self, bars: Bars, out: Output) -> None:
        self._bars, self._out = bars, out
        self._tasks: dict[str, Any] = {}

    def __call__(self, event: Progress) -> None:
        if event.note:
            self._out.note(event.note)
        if event.is_remark:
            return
        if event.stage not in self._tasks:
            first = event.rows or 0
            self._tasks[event.stage] = self._bars.add_task(
                event.stage, total=None, unit="", rows=None, first_rows=first, detail=""
            )
        task = self._tasks[event.stage]
        done = event.total if event.finished and event.total else event.done
        if event.finished and not event.total:
            done = 1
        total = 1 if event.finished and not event.total else event.total
        fields: dict[str, Any] = {"unit": event.unit or self._unit(task)}
        if event.detail:
            fields["detail"] = event.detail
        if event.rows is not None:
            fields["rows"] = event.rows
        self._bars.update(task, completed=done, total=total, **fields)
        if event.finished:
            self._bars.stop_task(task)

    def _unit(self, task: Any) -> str:
        return str(self._bars.tasks[self._bars.task_ids.index(task)].fields["unit"])


class _Lines:
    """Prints one line when a stage begins and one when it ends, and one a minute in between."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._started: dict[str, float] = {}
        self._printed = 0.0

    def __call__(self, event: Progress) -> None:
        now = time.monotonic()
        if event.note:
            self._out.note(event.note)
        if event.is_remark:
            return
        if event.stage not in self._started:
            self._started[event.stage] = self._printed = now
            self._out.note(f"{event.stage}: done" if event.finished else f"{event.stage} ...")
        elif event.finished:
            self._out.note(f"{event.stage}: done in {now - self._started[event.stage]:.1f} s")
        elif now - self._printed >= 60:
            self._printed = now
            rows = f", {event.rows:,} rows" if event.rows is not None else ""
            detail = f", {event.detail}" if event.detail else ""
            self._out.note(f"{event.stage}: {event.done:,} of about {event.total or 0:,} {event.unit}{rows}{detail}")


@contextlib.contextmanager
def drawn(out: Output) -> Iterator[Report]:
    """A ``Report`` that draws on stderr while inside."""
    if out.quiet:
        yield silent
    elif not out.stderr.is_terminal:
        yield _Lines(out)
    else:
        columns = (
            SpinnerColumn(finished_text="[green]✓[/green]"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=max(8, min(24, out.stderr.width - 84))),
            _Count(),
            _Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Bars(*columns, console=out.stderr) as bars:
            yield _Bars(bars, out)


@contextlib.contextmanager
def interruptible(out: Output) -> Iterator[Interruption]:
    """Let Ctrl-C and SIGTERM ask the work to stop while it listens; otherwise, or the second time, stop it at once."""
    request = Interruption()

    def handle(number: int, _frame: FrameType | None) -> None:
        if not request.deferred or request.requested:
            raise KeyboardInterrupt
        request.requested = True
        out.note("stopping after this batch; once more to stop at once, which keeps only what the last checkpoint has")

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
