"""The attributes that are asked for: how they are written, and what is said of one that a scorer does not have."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable

from goodctl.errors import UsageError
from goodctl.scoring.protocol import TOXICITY

_WRITTEN = re.compile(r"[a-z][a-z0-9_]*")
_TAKEN = ("text", "reason")
"""Members beside the scores in an output."""


def parse_attributes(written: str | Iterable[str]) -> tuple[str, ...]:
    """Attributes as scorers take them, from ``TOXICITY,insult`` or its parts: in lower case, each once.

    Raises:
        UsageError: There is none, or one is no name.
    """
    parts = written.split(",") if isinstance(written, str) else list(written)
    names = tuple(dict.fromkeys(part.strip().lower() for part in parts if part.strip()))
    if not names:
        raise UsageError("No attribute is named.", hint="Name at least one: --attributes TOXICITY")
    for name in names:
        if not _WRITTEN.fullmatch(name) or name in _TAKEN or name.endswith("_uncalibrated"):
            raise UsageError(
                f"--attributes: {name!r} is no attribute.", hint="Write names with commas: --attributes TOXICITY,INSULT"
            )
    return names


def refuse_unknown(wanted: Iterable[str], existing: Collection[str], scorer: str) -> None:
    """Refuse attributes that a scorer does not have.

    Raises:
        UsageError: There is one; the hint lists near ones, or all that exist.
    """
    for name in wanted:
        if name in existing:
            continue
        near = difflib.get_close_matches(name, existing, n=3, cutoff=0.6)
        listed = ", ".join(near or existing)
        raise UsageError(
            f"{scorer} has no attribute {name!r}.", hint=f"{'Did you mean' if near else 'It has'}: {listed}"
        )


def first(attributes: tuple[str, ...]) -> str:
    """The attribute without which a text counts as not scored: toxicity, where it is asked for."""
    return TOXICITY if TOXICITY in attributes else attributes[0]
