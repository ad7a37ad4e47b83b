"""A scorer's answers as a journal keeps them: what they are found by, and the columns of a row."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from goodctl.scoring.identity import canonical
from goodctl.scoring.protocol import Failed, Identity, NotScored, Outcome, Scored

SCORED, NOT_SCORED, FAILED = "scored", "not_scored", "failed"

Columns = tuple[str, str | None, str | None, str | None, str | None]
"""State, scores, reason, message and the source's own answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a journal has about one text.

    Attributes:
        number: Of the answer, from 1; the same as long as the journal lives.
        outcome: What the scorer said last.
        tries: How often it was asked.
        with_raw: Whether the source's own answer was asked for.
    """

    number: int
    outcome: Outcome
    tries: int
    with_raw: bool = False


class Keys:
    """Names texts, so that equal texts of one language have one name.

    Args:
        identity: Of the scorer.
        attributes: Those that are asked for.
    """

    def __init__(self, identity: Identity, attributes: tuple[str, ...]) -> None:
        self._start = hashlib.sha256(f"{canonical(identity)}\n{json.dumps(sorted(attributes))}\n".encode())
        self._language = functools.lru_cache(self._begun)

    def of(self, text: str, language: str | None) -> bytes:
        """SHA-256 of scorer, attributes, language and text."""
        digest = self._language(language).copy()
        digest.update(text.encode())
        return digest.digest()

    def _begun(self, language: str | None) -> hashlib._Hash:
        digest = self._start.copy()
        digest.update(json.dumps(language).encode() + b"\n")
        return digest


def columns_of(outcome: Outcome) -> Columns:
    """An outcome as a row keeps it."""
    if isinstance(outcome, Scored):
        raw = None if outcome.raw is None else json.dumps(dict(outcome.raw))
        return SCORED, json.dumps(dict(outcome.scores), allow_nan=False), None, None, raw
    state = NOT_SCORED if isinstance(outcome, NotScored) else FAILED
    return state, None, outcome.reason, outcome.message.encode(errors="replace").decode(), None


def outcome_of(columns: Columns) -> Outcome:
    """What ``columns_of`` was given.

    Raises:
        ValueError: No outcome has such columns.
    """
    state, scores, reason, message, raw = columns
    if state == SCORED:
        values: Mapping[str, float] = json.loads(scores or "")
        return Scored(values, None if raw is None else json.loads(raw))
    return (NotScored if state == NOT_SCORED else Failed)(reason or "", message or "")
