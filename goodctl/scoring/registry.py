"""Scorers by name: those of goodctl, then those that installed packages offer."""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from goodctl.errors import UsageError
from goodctl.scoring.protocol import Scorer, ScorerOptions

ENTRY_POINTS = "goodctl.scorers"
"""The group of entry points under which other packages offer scorers: name to ``module:open_scorer``."""

_BUILT_IN = {
    "perspective": "goodctl.scoring.perspective:open_scorer",
    "hf": "goodctl.scoring.classifier:open_scorer",
    "profanity": "goodctl.scoring.profanity:open_scorer",
    "route": "goodctl.scoring.route:open_scorer",
}
_ARGUMENTS = {"hf": "MODEL", "route": "FILE"}


@dataclass(frozen=True)
class Listed:
    """A scorer that can be asked for.

    Attributes:
        name: Before the colon.
        form: As it is written: ``profanity``, ``hf:MODEL``.
        target: ``module:open_scorer``.
        package: The package that offers it; None for those of goodctl.
        hidden: Whether another scorer of the same name goes before it.
    """

    name: str
    form: str
    target: str
    package: str | None = None
    hidden: bool = False


def listed_scorers() -> tuple[Listed, ...]:
    """All scorers, those of goodctl first, without importing any of them."""
    found = [Listed(name, _form(name), target) for name, target in _BUILT_IN.items()]
    taken = set(_BUILT_IN)
    for point in _offered():
        package = point.dist.name if point.dist is not None else "?"
        found.append(Listed(point.name, point.name, point.value, package, point.name in taken))
        taken.add(point.name)
    return tuple(found)


def scorer_names() -> tuple[str, ...]:
    """All names that can be asked for, those of other packages included."""
    return tuple(sorted({*_BUILT_IN, *(point.name for point in _offered())}))


def open_scorer(name: str, options: ScorerOptions) -> Scorer:
    """Opens the scorer of a name like ``profanity`` or ``hf:MODEL``.

    Raises:
        UsageError: There is no scorer of this name, or it needs an argument and got none, or takes none and got one;
            the message lists near matches.
        GoodctlError: What the scorer itself finds wrong.
    """
    kind, colon, argument = name.partition(":")
    opened = _find(kind)
    wanted = _ARGUMENTS.get(kind)
    if kind in _BUILT_IN and bool(wanted) != bool(argument):
        raise UsageError(f"{name!r} is no scorer.", hint=f"Write it as: --scorer {_form(kind)}")
    del colon
    scorer: Scorer = opened(argument, options)
    return scorer


def _find(kind: str) -> Any:
    target = _BUILT_IN.get(kind)
    if target is not None:
        module, _, function = target.partition(":")
        return getattr(importlib.import_module(module), function)
    for point in _offered():
        if point.name == kind:
            return point.load()
    names = scorer_names()
    near = difflib.get_close_matches(kind, names, n=3, cutoff=0.5)
    listed = ", ".join(_form(known) for known in near or names)
    raise UsageError(f"There is no scorer {kind!r}.", hint=f"{'Did you mean' if near else 'There are'}: {listed}")


def _form(name: str) -> str:
    return f"{name}:{_ARGUMENTS[name]}" if name in _ARGUMENTS else name


def _offered() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=ENTRY_POINTS))
