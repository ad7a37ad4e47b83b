"""The commands of the command line, and the examples that end their help."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer

from goodctl.cli.app import app

BEGIN = "Example: goodctl "


@dataclass(frozen=True)
class Command:
    """A command or a group of commands.

    Attributes:
        path: Its words, such as ``("datastore", "build")``; none for ``goodctl`` itself.
        command: Click's object.
    """

    path: tuple[str, ...]
    command: Any

    @property
    def name(self) -> str:
        """For messages."""
        return " ".join(("goodctl", *self.path))

    @property
    def is_group(self) -> bool:
        """Whether it only holds others."""
        return bool(getattr(self.command, "commands", None))

    @property
    def example(self) -> list[str]:
        """The words of the example behind ``goodctl``; none where there is no example."""
        text = str(self.command.epilog or "")
        return shlex.split(text.removeprefix(BEGIN)) if text.startswith(BEGIN) else []


def commands() -> list[Command]:
    """All of them, as typer makes them from the application."""
    return list(_walk((), typer.main.get_command(app)))


def _walk(path: tuple[str, ...], command: Any) -> Iterator[Command]:
    yield Command(path, command)
    for name, child in (getattr(command, "commands", None) or {}).items():
        yield from _walk((*path, name), child)


def parsed(arguments: list[str]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """What the commands' own parsers make of arguments: the command's path and its parameters."""
    command: Any = typer.main.get_command(app)
    path: list[str] = []
    context = command.make_context("goodctl", list(arguments))
    while getattr(command, "commands", None):
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)
        path.append(name)
        context = command.make_context(name, rest, parent=context)
    return tuple(path), context.params
