"""What is sent for a text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import regex

from goodctl.scoring.perspective.attributes import IN_ENGLISH

MOST_BYTES = 20_480
"""What Perspective takes of a text, in bytes of UTF-8."""

_LONGEST_CLUSTER = 256
"""Bytes of UTF-8 of what is still taken for one character with its marks; no writing needs as many."""
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")


def sendable(text: str, most_bytes: int = MOST_BYTES) -> str:
    """The beginning of a text that the service takes.

    It ends where a character as readers see it ends (a grapheme cluster), or at a code point in text whose clusters
    are absurdly long. Lone surrogates, which no UTF-8 has, become replacement characters.
    """
    # A character has at least a byte, so that nothing behind the next one matters, however long the text is.
    beginning = _LONE_SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text[: most_bytes + 1])
    encoded = beginning.encode()
    if len(encoded) <= most_bytes:
        return beginning
    by_code_point = encoded[:most_bytes].decode(errors="ignore")
    # The character behind the cut decides whether the last cluster ends there.
    clusters = regex.finditer(r"\X", beginning[: len(by_code_point) + 1])
    end = max((found.end() for found in clusters if found.end() <= len(by_code_point)), default=0)
    lost = len(by_code_point[end:].encode())
    return by_code_point if lost > _LONGEST_CLUSTER else by_code_point[:end]


def body(text: str, attributes: Iterable[str], language: str | None) -> dict[str, Any]:
    """The body of a request.

    Args:
        text: As ``sendable`` gives it.
        attributes: In lower case, those that the language has.
        language: As the service writes it; None lets the service find it out.
    """
    wanted = tuple(attributes)
    made: dict[str, Any] = {
        "comment": {"text": text},
        "requestedAttributes": {name.upper(): {} for name in wanted},
        "doNotStore": True,
        "spanAnnotations": False,
    }
    if language is not None:
        made["languages"] = [language]
    elif any(name in IN_ENGLISH for name in wanted):
        # The service may find a language that lacks them: the others are wanted all the same.
        made["dropUnsupportedAttributes"] = True
    return made
