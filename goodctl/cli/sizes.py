"""Sizes and temperatures as options give them."""

from __future__ import annotations

from goodctl.errors import UsageError


def budget(text: str | None) -> int | None:
    """``--memory-budget`` in bytes, or None."""
    from goodctl.index.cache import parse_bytes

    return None if text is None else parse_bytes(text, "--memory-budget")


def temperature(text: str) -> float | None:
    """``--temperature`` as a number, or None for ``auto``.

    Raises:
        UsageError: It is neither.
    """
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError:
        raise UsageError(
            f"--temperature {text}: it is neither a number nor auto.", hint="Write a number such as 24."
        ) from None


def count(text: str, option: str) -> int | None:
    """A number as an option gives it, or None for ``auto``.

    Raises:
        UsageError: It is neither.
    """
    if text == "auto":
        return None
    try:
        return int(text)
    except ValueError:
        raise UsageError(
            f"{option} {text}: it is neither a whole number nor auto.", hint="Leave it out for auto."
        ) from None
