"""Scorers by name: those of goodctl, then those that installed packages offer."""

from __future__ import annotations

import difflib
import importlib
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
        form = f"{kind}:{wanted}" if wanted else kind
        raise UsageError(f"{name!r} is no scorer.", hint=f"Write it as: --scorer {form}")
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
    listed = ", ".join(f"{known}:{_ARGUMENTS[known]}" if known in _ARGUMENTS else known for known in near or names)
    raise UsageError(f"There is no scorer {kind!r}.", hint=f"{'Did you mean' if near else 'There are'}: {listed}")


def _offered() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=ENTRY_POINTS))
