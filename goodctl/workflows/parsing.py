"""Values that are a number or a word, as options and files of settings give them."""

from __future__ import annotations

from goodctl.errors import UsageError

AUTO = "auto"


def temperature(text: str) -> float | None:
    """``--temperature`` as a number, or None for ``auto``.

    Raises:
        UsageError: It is neither.
    """
    if text == AUTO:
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
    if text == AUTO:
        return None
    try:
        return int(text)
    except ValueError:
        raise UsageError(
            f"{option} {text}: it is neither a whole number nor auto.", hint="Leave it out for auto."
        ) from None


def share(text: str, option: str) -> float:
    """A share as an option gives it: ``1%`` or ``0.01``.

    Raises:
        UsageError: It is neither.
    """
    number, percent, rest = text.strip().partition("%")
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    value = value / 100 if percent else value
    if rest or not 0 <= value <= 1:
        raise UsageError(f"{option} {text}: it is no share.", hint="Write a share such as 1% or 0.01.")
    return value
