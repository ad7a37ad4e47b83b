"""Figures and differences as text: the number, and below it its interval."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.markup import escape

if TYPE_CHECKING:
    from goodctl.evaluation.figure import Figure

NONE = "[dim]-[/dim]"


def figure_text(figure: Figure, digits: int = 3) -> str:
    """A figure, its interval below it."""
    if figure.low is None or figure.high is None:
        return value_text(figure, digits)
    bounds = " ".join(_short(f"{bound:,.{digits}f}") for bound in (figure.low, figure.high))
    return f"{value_text(figure, digits)}\n[dim]{escape(f'[{bounds}]')}[/dim]"


def value_text(figure: Figure, digits: int = 3) -> str:
    """A figure alone."""
    return NONE if figure.value is None else f"{figure.value:,.{digits}f}"


def change_text(figure: Figure, digits: int = 3, *, sure: bool = True) -> str:
    """A difference: green where it is surely below 0, red where it is surely above; no colour if nothing is sure."""
    if figure.value is None:
        return NONE
    if figure.low is None or figure.high is None:
        return f"{figure.value:+,.{digits}f}"
    bounds = " ".join(_short(f"{bound:+,.{digits}f}") for bound in (figure.low, figure.high))
    lines = (f"{figure.value:+,.{digits}f}", escape(f"[{bounds}]"))
    colour = "green" if figure.high < 0 else "red" if figure.low > 0 else None
    return "\n".join(f"[{colour}]{line}[/{colour}]" if colour and sure else line for line in lines)


def _short(number: str) -> str:
    """Without the zero in front of the point, but for 0.0, which is all that is left of it."""
    return re.sub(r"^([+-]?)0(\.\d{2,})$", r"\1\2", number)
