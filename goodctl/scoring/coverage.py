"""Whether a classifier covers a language, whatever form of tag names it."""

from __future__ import annotations

from collections.abc import Collection

# Languages usually written in another script: their romanised form is another thing to a classifier.
_NOT_LATIN = {"am", "ar", "bg", "fa", "he", "hi", "ja", "ko", "ru", "th", "uk", "ur", "zh"}
UNKNOWN = {"", "und"}


def covers(languages: Collection[str] | None, tag: str | None) -> bool:
    """Whether a language is among those covered.

    ``pt-BR`` is covered by ``pt``, and ``zh-Hant`` by ``zh``; ``hi-Latn`` only by ``hi-Latn``.

    Args:
        languages: Tags; None covers all.
        tag: A language tag; None and ``und`` are covered, since nobody knows better.
    """
    if languages is None or tag is None or tag.lower() in UNKNOWN:
        return True
    known = {each.lower() for each in languages}
    first, *others = tag.lower().replace("_", "-").split("-")
    if "latn" in others and first in _NOT_LATIN:
        return f"{first}-latn" in known
    return first in known or tag.lower() in known
