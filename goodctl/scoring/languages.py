"""Finding what a table of languages says about a language tag."""

from __future__ import annotations

from collections.abc import Collection

OTHERS = "*"
"""The entry for languages that have none of their own."""
UNKNOWN = "und"
_SCRIPT_LETTERS = 4


def entry_for(language: str | None, table: Collection[str]) -> str | None:
    """The entry that serves a language, or None.

    That is the tag itself in any case, else what is left of it without regions and variants (``pt-BR``: ``pt``), else
    ``*``. A script is never taken off: whoever reads ``hi`` need not read ``hi-Latn``.

    Args:
        language: A tag; None, the unknown language, is looked up as ``und``.
        table: The tags that have an entry.
    """
    known = {entry.lower(): entry for entry in table}
    parts = (language or UNKNOWN).lower().replace("_", "-").split("-")
    while parts:
        found = known.get("-".join(parts))
        if found is not None:
            return found
        if len(parts[-1]) == _SCRIPT_LETTERS and parts[-1].isalpha():
            break
        parts.pop()
    return known.get(OTHERS)
