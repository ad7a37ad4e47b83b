"""All printing: results to stdout, as a table or as one JSON object; notes, hints and errors to stderr."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.markup import escape

from goodctl.errors import GoodctlError


def _width(stream: TextIO) -> int | None:
    """The terminal's own width; in a pipe enough for whole lines, unless the user asks for another."""
    return None if stream.isatty() or "COLUMNS" in os.environ else 200


def visible(text: str) -> str:
    """Text without characters that would move the terminal's cursor or do worse; names in files may hold any."""
    return "".join(each if each.isprintable() or each == "\n" else "\N{REPLACEMENT CHARACTER}" for each in text)


def _as_json(values: Mapping[str, Any]) -> str:
    """One object as a whole, before any of it is printed; escaped where the terminal's encoding lacks a character.

    NaN and infinity, which JSON lacks, become null.
    """
    values = _finite(values)
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, indent=2)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(values, allow_nan=False, indent=2)
    return f"{text}\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


class Output:
    """Where a command prints.

    Args:
        as_json: One JSON object on stdout instead of text.
        quiet: No progress, notes or hints; results only.
    """

    current: Output

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.stdout = Console(highlight=False, soft_wrap=True, width=_width(sys.stdout))
        self.stderr = Console(stderr=True, highlight=False, soft_wrap=True, width=_width(sys.stderr))
        Output.current = self  # so that the error boundary prints in the form that the command was asked for

    def result(self, values: Mapping[str, Any], *rendered: RenderableType) -> None:
        """Print a command's result.

        Args:
            values: Everything, with stable names, for ``--json``.
            rendered: The same for people, printed one after another.
        """
        if self.as_json:
            sys.stdout.write(_as_json(values))
            return
        for part in rendered:
            self.stdout.print(part)

    def show(self, *rendered: RenderableType) -> None:
        """Print what is worth reading on the way to a result; nothing where only the result is wanted."""
        if not self.quiet and not self.as_json:
            for part in rendered:
                self.stdout.print(part)

    def note(self, text: str) -> None:
        """Print a remark about what is going on."""
        if not self.quiet:
            self.stderr.print(f"[dim]{escape(visible(text))}[/dim]")

    def next(self, text: str) -> None:
        """Print the next command to try."""
        if not self.quiet and not self.as_json:
            self.stderr.print(f"[dim]Next:[/dim] {escape(text)}")

    def error(self, error: GoodctlError) -> None:
        """Print an error and its hint; with ``--json`` also as an object on stdout."""
        if self.as_json:
            self.result(error.to_dict())
        self.failure(error)

    def failure(self, error: GoodctlError) -> None:
        """Print an error to stderr alone: of a command that has a result all the same, which says it too."""
        self.stderr.print(f"[bold red]Error:[/bold red] {escape(visible(error.message))}")
        if error.hint:
            self.stderr.print(f"[dim]Hint:[/dim]  {escape(visible(error.hint))}")


Output.current = Output()
