"""Which attributes Perspective scores in which languages, and what the language tags of users mean to it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from goodctl.errors import UsageError

LANGUAGES = (
    "ar", "zh", "cs", "nl", "en", "fr", "de", "hi", "hi-Latn", "id", "it", "ja", "ko", "pl", "pt", "ru", "es", "sv",
)  # fmt: skip
"""The languages that Perspective knows, as it writes them."""

IN_ALL_LANGUAGES = ("toxicity", "severe_toxicity", "identity_attack", "insult", "profanity", "threat")
"""Attributes that every language has."""

IN_ENGLISH = (
    "sexually_explicit",
    "flirtation",
    *(f"{name}_experimental" for name in IN_ALL_LANGUAGES),
)
"""Attributes that only English has."""

ATTRIBUTES = IN_ALL_LANGUAGES + IN_ENGLISH
"""All attributes, in lower case; the service writes them in upper case."""

UNKNOWN_TAGS = frozenset({"", "und"})
"""Tags by which users say that they do not know the language."""

_WRITTEN_IN = {
    "ar": {"arab"}, "hi": {"deva"}, "ja": {"jpan"}, "ko": {"kore", "hang"}, "ru": {"cyrl"}, "zh": {"hans", "hant"},
}  # fmt: skip
"""Scripts that need no mention; the other languages are written in Latin."""


def checked(attributes: Iterable[str]) -> tuple[str, ...]:
    """The attributes in lower case, each once.

    Raises:
        UsageError: Perspective has no such attribute, or none is asked for.
    """
    wanted = tuple(dict.fromkeys(name.strip().lower() for name in attributes))
    for name in wanted:
        if name not in ATTRIBUTES:
            near = difflib.get_close_matches(name, ATTRIBUTES, n=3, cutoff=0.5)
            listed = ", ".join(each.upper() for each in near or ATTRIBUTES)
            raise UsageError(
                f"Perspective has no attribute {name.upper()!r}.",
                hint=f"{'Did you mean' if near else 'It has'}: {listed}",
            )
    if not wanted:
        raise UsageError("No attribute is asked for.", hint="Leave --attributes out to get TOXICITY.")
    return wanted


def language_of(tag: str | None) -> str | None:
    """A user's tag as Perspective writes the language; None where the user does not know it.

    A region does not matter (``pt-BR``); a script does, since Hindi in Latin letters is a language of its own here.

    Raises:
        KeyError: Perspective does not know the language.
    """
    if tag is None or tag.strip().lower() in UNKNOWN_TAGS:
        return None
    primary, *others = tag.strip().lower().replace("_", "-").split("-")
    script = next((part for part in others if len(part) == 4 and part.isalpha()), None)
    if script is not None and script not in _WRITTEN_IN.get(primary, {"latn"}):
        primary = f"{primary}-{script}"
    for known in LANGUAGES:
        if known.lower() == primary:
            return known
    raise KeyError(tag)


def available(wanted: Iterable[str], language: str | None) -> tuple[str, ...]:
    """Those of the wanted attributes that a language has.

    Args:
        wanted: Attributes in lower case.
        language: As ``language_of`` gives it; without one all are there, since the service finds out the language.
    """
    return tuple(name for name in wanted if language in {None, "en"} or name in IN_ALL_LANGUAGES)
