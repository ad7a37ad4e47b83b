"""Whether two scorers are the same, whatever their folders are called."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from goodctl.scoring.protocol import Identity

_SHOWN_CHARACTERS = 60


def kind(identity: Identity) -> str:
    """The scorer's name without what stands behind its colon, which may be a folder."""
    return identity.scorer.partition(":")[0]


def compared(identity: Identity) -> dict[str, Any]:
    """All that makes two scorers the same: kind, version and details."""
    return {"scorer": kind(identity), "version": identity.version, "details": dict(identity.details)}


def canonical(identity: Identity) -> str:
    """The same as text, equal for equal scorers."""
    return json.dumps(compared(identity), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def differences(mine: Identity, theirs: Identity) -> list[str]:
    """What differs between two scorers, as ``name: this → that``; empty where they are the same."""
    return list(_differences("", compared(mine), compared(theirs)))


def from_dict(value: object) -> Identity:
    """The identity that ``Identity.to_dict`` wrote.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(value, dict):
        raise ValueError("the scorer is no object")
    scorer, version, details = (value.get(name) for name in ("scorer", "version", "details"))
    if not isinstance(scorer, str) or not isinstance(version, str) or not isinstance(details, dict):
        raise ValueError("the scorer lacks its name, its version or its details")
    return Identity(scorer, version, details)


def _differences(name: str, mine: Any, theirs: Any) -> Iterator[str]:
    if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        for key in dict.fromkeys([*mine, *theirs]):
            yield from _differences(f"{name}.{key}" if name else str(key), mine.get(key), theirs.get(key))
    elif mine != theirs:
        yield f"{name.removeprefix('details.')}: {_short(mine)} → {_short(theirs)}"


def _short(value: Any) -> str:
    text = "none" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) == 64 and " " not in text:  # a hash
        return text[:12]
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
