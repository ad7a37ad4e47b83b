"""Sizes as options give them."""

from __future__ import annotations


def budget(text: str | None) -> int | None:
    """``--memory-budget`` in bytes, or None."""
    from goodctl.index.cache import parse_bytes

    return None if text is None else parse_bytes(text, "--memory-budget")
