"""A diagnosis as sections for people, and what to do next."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from goodctl.cli.output import visible
from goodctl.workflows.doctor_findings import Diagnosis, Section, State

_MARKS = {
    State.OK: "[green]ok[/green]",
    State.INFO: "",
    State.MISSING: "[yellow]missing[/yellow]",
    State.WARNING: "[bold yellow]warning[/bold yellow]",
    State.BROKEN: "[bold red]broken[/bold red]",
}
_MARK, _NAME, _TEXT = 7, 21, 48  # with two blanks between them 80 columns
_STEPS = (
    (State.BROKEN, "To mend first"),
    (State.WARNING, "To look at"),
    (State.MISSING, "Can be added, where it is needed"),
)


def diagnosed(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    """Whether it works, what was found, what to do next."""
    broken = diagnosis.of(State.BROKEN)
    if diagnosis.works:
        yield "[bold green]goodctl works here.[/bold green]"
    else:
        names = escape(visible(", ".join(each.name for each in broken)))
        yield f"[bold red]goodctl does not work here.[/bold red] Broken, and essential: {names}."
    for section in diagnosis.sections:
        yield ""
        yield f"[bold]{section.title}[/bold]"
        yield _table(section)
    yield ""
    yield from _steps(diagnosis)


def _table(section: Section) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0), collapse_padding=True, pad_edge=False)
    for width in (_MARK, _NAME):
        table.add_column(width=width, overflow="fold")
    table.add_column(max_width=_TEXT, overflow="fold")
    for each in section.findings:
        table.add_row(_MARKS[each.state], escape(visible(each.name)), escape(visible(each.text)))
        if each.next and each.state in {State.OK, State.INFO}:
            table.add_row("", "", f"[dim]{escape(visible(each.next))}[/dim]")
    return table


def _steps(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    """What to do, the most urgent first. A line to copy stands whole, however long it is."""
    yield "[bold]Next[/bold]"
    if not any(diagnosis.of(state) for state, _ in _STEPS):
        yield "Nothing is missing. What there is to do: goodctl --help"
    for state, title in _STEPS:
        wanted: dict[str, list[str]] = {}
        for each in diagnosis.of(state):
            wanted.setdefault(each.next or each.text, []).append(each.name)
        if wanted:
            yield f"{title}:"
        for step, names in wanted.items():
            yield f"  [dim]# {escape(visible(', '.join(names)))}[/dim]"
            lines = textwrap.wrap(step, 78) if step.endswith(".") else [step]
            yield from (f"  {escape(visible(line))}" for line in lines)
