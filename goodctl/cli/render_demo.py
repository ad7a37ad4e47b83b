"""The demo for people: what is done, what came of it, what to try next."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.markup import escape
from rich.rule import Rule

from goodctl.cli import render, render_history, render_run
from goodctl.cli.output import visible
from goodctl.cli.tables import facts
from goodctl.cli.units import counted, duration
from goodctl.models.names import PACKAGED

if TYPE_CHECKING:
    from goodctl.workflows.demo import Demo, Step
    from goodctl.workflows.demo_results import Built, Continued, Looked
    from goodctl.workflows.run import RunResult

_MOST_NEIGHBORS = 2
_MOST_BEFORE = 36
"""Characters of a neighbour's text that are shown before its token."""


def beginning(show: Demo, keep: str | None, report: str) -> Iterator[RenderableType]:
    """What will happen."""
    yield "[bold]goodctl demo[/bold]: steer a small language model away from rude words, and measure what it does."
    yield (
        "It runs on this machine alone, in some minutes. The texts are everyday insults and their kind counterparts, "
        "written for this purpose; they are no research data."
    )
    kept = f"Everything is kept in {keep}." if keep else f"Only the report is kept: {report}, in this folder."
    packed = f" The first time, {PACKAGED} is unpacked into the cache." if show.model == PACKAGED else ""
    yield f"[dim]{_shown(kept)}{packed}[/dim]"


def announced(number: int, step: Step) -> Iterator[RenderableType]:
    """What is done now, and the commands that do the same."""
    yield ""
    yield Rule(f"[bold]{number}. {_shown(step.title)}[/bold]", align="left", style="dim")
    for command in step.commands:
        yield f"[cyan]$ {_shown(command)}[/cyan]"


def done(name: str, result: Any) -> Iterator[RenderableType]:
    """What a step has led to."""
    shown: dict[str, Callable[[Any], Iterator[RenderableType]]]
    shown = {"model": _model, "build": _built, "run": _ran, "add": _built, "look": _looked, "continue": _continued}
    yield from shown[name](result)


def end(results: Mapping[str, Any], keep: str | None, report: str) -> Iterator[RenderableType]:
    """The figures, and what to try next."""
    ran: RunResult = results["run"]
    yield ""
    yield Rule("[bold]What steering did to the English prompts[/bold]", align="left", style="dim")
    if ran.evaluation is not None:
        yield from render_run.side_by_side(ran.evaluation)
        yield ""
        yield from map(escape, render_run.meaning(ran.evaluation))
        yield "A dozen prompts and stores of some thousand rows show how it works; research takes thousands of prompts."
    yield ""
    table = facts()
    table.add_row("report", f"[bold]{_shown(report)}[/bold] (open it in a browser)")
    if keep is not None:
        table.add_row("folder", _shown(keep))
    yield table
    yield ""
    yield "Next:"
    yield from (f"  [cyan]{_shown(command)}[/cyan]  [dim]{why}[/dim]" for command, why in _next(keep))


def _next(keep: str | None) -> Iterator[tuple[str, str]]:
    if keep is None:
        yield "goodctl demo --keep demo", "the same, and keep the stores for playing on"
    else:
        folder = Path(keep)
        toxic, nontoxic = (shlex.quote(str(folder / side)) for side in ("toxic", "nontoxic"))
        yield f'goodctl datastore neighbors {toxic} "You are such a" -k 5', "what a store says after a prompt"
        yield (
            f"goodctl run --from {shlex.quote(str(folder / 'run' / 'manifest.json'))} --alpha 1 "
            f"--out {shlex.quote(str(folder / 'weaker'))}",
            "steer less",
        )
        yield f"goodctl datastore add {nontoxic} MY_TEXTS.txt --language en", "add your own texts"
    yield "goodctl run --help", "prompts to figures, with your stores"
    yield "goodctl doctor", "what this installation can do"


def _model(place: str) -> Iterator[RenderableType]:
    home = str(Path.home())
    shown = f"~{place.removeprefix(home)}" if place.startswith(f"{home}/") else place
    yield f"[dim]{_shown(shown)}[/dim]"


def _built(result: Built) -> Iterator[RenderableType]:
    table = facts()
    for side, rows in result.rows.items():
        new = result.written.get(side, ())
        added = sum(each.rows for each in new)
        seconds = sum(each.seconds for each in new)
        how = f"{counted(added, 'row')} in {duration(seconds)}" if new else "was there already"
        table.add_row(side, how if added == rows else f"{how}; {counted(rows, 'row')} in all")
    yield table
    yield "[dim]A row is a token of the text: the hidden state that predicts it, and the token.[/dim]"


def _ran(result: RunResult) -> Iterator[RenderableType]:
    if result.finished_before:
        yield "[dim]was there already[/dim]"
    yield from _most_changed(result)


def _most_changed(result: RunResult) -> Iterator[str]:
    """The prompt whose worst continuation differs most: an example is a better start than a table."""
    evaluation = result.evaluation
    if evaluation is None or not evaluation.comparisons or not evaluation.comparisons[0].changed:
        return
    changed = evaluation.comparisons[0].changed[0]
    yield "The worst continuation of the prompt that changed most:"
    for name, row in (
        ("unsteered", evaluation.files[0].rows[changed.first_row]),
        ("steered", evaluation.files[1].rows[changed.second_row]),
    ):
        scores = [-1.0 if score is None else score for score in row.scores]
        worst = max(range(len(scores)), key=scores.__getitem__)
        text = f"[bold]{_shown(row.prompt)}[/bold]{_shown(row.texts[worst])}"
        yield f"  [dim]{name:<10} {scores[worst]:.2f}[/dim]  {text}"


def _looked(result: Looked) -> Iterator[RenderableType]:
    yield from render_history.logged(result.entries)
    yield ""
    yield from render.inspected({**result.described, "frequent_tokens": []})


def _continued(result: Sequence[Continued]) -> Iterator[RenderableType]:
    for each in result:
        prompt, steered = each.explanation["prompt"], each.explanation["continuation"]
        yield f"[bold]{escape(each.language)}[/bold]"
        yield f"  [dim]unsteered[/dim]  [bold]{_shown(prompt)}[/bold]{_shown(each.base)}"
        yield f"  [dim]steered  [/dim]  [bold]{_shown(prompt)}[/bold]{_shown(steered)}"
        yield from _told(each.explanation["tokens"])


def _told(tokens: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The token that steering moved most, and the neighbours that did it."""
    searched = [token for token in tokens if token["sides"]]
    if not searched:
        return
    token = max(searched, key=_moved)
    yield (
        f"  [dim]most moved[/dim] {_quoted(token['token'])}: {token['base']:.3f} unsteered, {token['steered']:.3f} "
        "steered. The nearest rows:"
    )
    for side, vote in token["sides"].items():
        for neighbor in vote["neighbors"][:_MOST_NEIGHBORS]:
            before = _shown(neighbor["before"])[-_MOST_BEFORE:]
            said = f"[dim]…{before}[/dim][bold]{_shown(neighbor['token'])}[/bold]"
            yield f"    {side:<9} {said} [dim]{escape(neighbor['language'])}[/dim]"


def _moved(token: Mapping[str, Any]) -> float:
    """How far a token's probability moved, in nats."""
    return abs(math.log(max(token["steered"], 1e-9)) - math.log(max(token["base"], 1e-9)))


def _quoted(text: str) -> str:
    return escape(repr(visible(text)))


def _shown(text: str) -> str:
    return escape(visible(text.replace("\n", "↵")))
