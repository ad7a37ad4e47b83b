"""Results of ``generate`` for people, explained continuations included."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.markup import escape

from goodctl.cli.output import visible
from goodctl.cli.tables import facts, plain_table
from goodctl.cli.units import counted, duration

if TYPE_CHECKING:
    from goodctl.workflows.generate import GenerateResult

_MOST_BEFORE = 28
"""Characters of a neighbour's text that are shown before its token."""


def generated(result: GenerateResult) -> Iterator[RenderableType]:
    """What ``generate`` has done."""
    explained = _explained(result)
    if explained:
        yield from explained
    new = result.prompts - result.resumed
    if not new:
        yield f"[bold]{escape(result.out)}[/bold] is finished: {counted(result.prompts, 'prompt')}, nothing to do"
        return
    each = counted(result.continuations, "continuation")
    yield f"[bold]Wrote {escape(result.out)}[/bold]: {counted(result.prompts, 'prompt')}, {each} each"
    table = facts()
    if result.resumed:
        table.add_row("there before", counted(result.resumed, "prompt"))
    table.add_row(
        "speed",
        f"{result.tokens_per_second:,.0f} tokens/s; {counted(result.tokens, 'token')} in {duration(result.seconds)}",
    )
    if result.searched is not None:
        table.add_row("searched", f"for {result.searched:.0%} of the tokens; the others had no choice")
    if result.temperature is not None:
        table.add_row("temperature", f"{result.temperature:g}{_measured(result.measured)}")
    if result.truncated:
        table.add_row("too long", f"{counted(result.truncated, 'prompt')} cut at the beginning (prompt_tokens_dropped)")
    if result.failed:
        table.add_row("failed", f"{counted(result.failed, 'prompt')} without a token (error)")
    table.add_row("manifest", escape(result.manifest))
    if result.explanations:
        table.add_row("explained", escape(result.explanations))
    yield table


def _measured(spreads: Mapping[str, float]) -> str:
    if not spreads:
        return ""
    sides = ", ".join(f"{name} {value:.3g}" for name, value in spreads.items())
    return f" (auto; from the first to the k-th neighbour: {sides})"


def _explained(result: GenerateResult) -> list[RenderableType]:
    path = Path(result.explanations) if result.explanations else None
    if path is None or not path.exists():
        return []
    with path.open(encoding="utf-8") as file:
        found = [json.loads(line) for line in file]
    return [part for explanation in found for part in explained(explanation)]


def explained(explanation: Mapping[str, Any]) -> Iterator[RenderableType]:
    """One continuation, token by token."""
    yield f"[bold]{escape(_visible(explanation['prompt']))}[/bold]{escape(_visible(explanation['continuation']))}"
    sides = list(dict.fromkeys(side for token in explanation["tokens"] for side in token["sides"]))
    columns = ("token", "base", "steered", "unsteered choice", *(f"{side}: p, nearest" for side in sides))
    table = plain_table(None, columns, left={"token", "unsteered choice", *columns[4:]})
    for token in explanation["tokens"]:
        table.add_row(*_row(token, sides))
    yield table
    yield ""


def _row(token: Mapping[str, Any], sides: list[str]) -> Iterator[str]:
    yield _quoted(token["token"])
    yield f"{token['base']:.3f}"
    colour = "green" if token["steered"] > token["base"] else "red"
    yield f"[{colour}]{token['steered']:.3f}[/{colour}]" if token["sides"] else f"[dim]{token['steered']:.3f}[/dim]"
    yield f"[yellow]{_quoted(token['base_choice'])}[/yellow]" if token["changed"] else "[dim]the same[/dim]"
    for side in sides:
        vote = token["sides"].get(side)
        yield "[dim]no choice: not searched[/dim]" if vote is None else f"{vote['probability']:.3f}  {_voice(vote)}"


def _voice(vote: Mapping[str, Any]) -> str:
    if not vote["neighbors"]:
        return ""
    nearest = vote["neighbors"][0]
    before = _visible(nearest["before"])[-_MOST_BEFORE:]
    token = escape(_visible(nearest["token"]))
    return f"[dim]…{escape(before)}[/dim][bold]{token}[/bold] [dim]{escape(_visible(nearest['language']))}[/dim]"


def _quoted(text: str) -> str:
    return escape(repr(text))


def _visible(text: str) -> str:
    """Text on one line."""
    return visible(text.replace("\n", "↵"))
