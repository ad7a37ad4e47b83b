"""Adding to a store with codes: whether a codec that is there fits new rows, or a new one must be trained on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from goodctl.datastore.codes import CodecInfo
from goodctl.datastore.description import SegmentCodes
from goodctl.errors import UsageError
from goodctl.index.codec import Errors
from goodctl.index.codec_choices import CODEC_CHOICES, NEW, REUSE

MOST_DRIFT = 1.5
"""How many times its own error a codec may have on new rows. English codecs have 2.2 to 2.8 times theirs on
other languages (docs/benchmarks.md)."""
LEAST_ROWS = 2_000
"""Fewer new rows than these are not worth a codec of their own: another codec costs every search."""


@dataclass(frozen=True)
class Fit:
    """A codec and how well it fits new rows.

    Attributes:
        info: The codec.
        errors: On a sample of the new rows.
    """

    info: CodecInfo
    errors: Errors

    @property
    def codes(self) -> SegmentCodes:
        """What is recorded with a segment for which the codec is reused."""
        errors, info = self.errors, self.info
        return SegmentCodes(info.id, "reused", errors.reconstruction, errors.coarse, info.error, info.coarse_error)

    @property
    def drift(self) -> float:
        """How many times larger the errors are than on the rows it was trained on, the worse of the two."""
        return self.codes.drift


@dataclass(frozen=True)
class Decision:
    """What encodes new rows.

    Attributes:
        fit: The codec that is reused; None where a new one is to be trained.
        reason: One phrase for people.
    """

    fit: Fit | None
    reason: str


def check_codec_choice(choice: str) -> None:
    """Check ``--codec``.

    Raises:
        UsageError: It is none of ``CODEC_CHOICES``.
    """
    if choice not in CODEC_CHOICES:
        raise UsageError(f"--codec {choice}: there is no such choice.", hint=f"Use {', '.join(CODEC_CHOICES)}.")


def decide(fits: Mapping[str, Fit], rows: int, choice: str) -> Decision:
    """Choose between the codecs that are there and a new one.

    Args:
        fits: Codecs of the store, at least one, with their errors on the new rows.
        rows: New rows.
        choice: ``auto``, ``reuse`` or ``new``.
    """
    best = min(fits.values(), key=lambda fit: (fit.drift, fit.info.id))
    drift = f"errors {best.drift:.2f} times those on its own rows"
    if choice == NEW:
        return Decision(None, "asked for")
    if choice == REUSE:
        return Decision(best, f"asked for; {drift}")
    if best.drift <= MOST_DRIFT:
        return Decision(best, drift)
    if rows < LEAST_ROWS:
        return Decision(best, f"{drift}, but {rows:,} rows are too few for a codec of their own")
    return Decision(None, f"{drift}, above {MOST_DRIFT}")
