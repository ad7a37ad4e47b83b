"""What the commands that write have in common: how a run is shown and stopped."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from goodctl.cli.output import Output
from goodctl.cli.progress import drawn, interruptible
from goodctl.errors import Interrupted
from goodctl.interruption import Interruption
from goodctl.progress import Report

if TYPE_CHECKING:
    from goodctl.workflows.choices import Running


@contextlib.contextmanager
def running(
    out: Output, message: str | None, checkpoint_every_s: float, *, restart: bool = False, again: bool = False
) -> Iterator[Running]:
    """Draw progress and take Ctrl-C while inside."""
    from goodctl.workflows.choices import Running

    try:
        with interruptible(out) as interruption, drawn(out) as report:
            yield Running(message, restart, again, checkpoint_every_s, interruption, report)
    except KeyboardInterrupt:
        raise Interrupted(
            "Stopped at once. The store is what it was.",
            hint="Run the same command again: it goes on from the last checkpoint, if there is one.",
        ) from None


@contextlib.contextmanager
def at_once(out: Output) -> Iterator[Report]:
    """Draw the progress of a command that makes one commit at its end: Ctrl-C before it leaves everything as it was."""
    try:
        with drawn(out) as report:
            yield report
    except KeyboardInterrupt:
        raise Interrupted("Stopped. The store is what it was.", hint="Run the same command again.") from None


@contextlib.contextmanager
def resumable(out: Output) -> Iterator[tuple[Interruption, Report]]:
    """Draw the progress of a run that keeps what it has finished, and take Ctrl-C while inside."""
    try:
        with interruptible(out) as interruption, drawn(out) as report:
            yield interruption, report
    except KeyboardInterrupt:
        raise Interrupted(
            "Stopped at once. What was finished is kept.", hint="Run the same command again: it goes on."
        ) from None


def given(context: typer.Context) -> list[str]:
    """The parameters that stand in the command line, as the command's function calls them."""
    # By the enumeration's name: typer brings a click of its own, which is not for import.
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]


@contextlib.contextmanager
def measuring(out: Output) -> Iterator[Report]:
    """Draw the progress of a command that writes at its end, and remembers what took long; take Ctrl-C while inside."""
    try:
        with interruptible(out), drawn(out) as report:
            yield report
    except KeyboardInterrupt:
        raise Interrupted(
            "Stopped. Nothing was written.", hint="Run the same command again: what a model has measured is remembered."
        ) from None
