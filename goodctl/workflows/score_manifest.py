"""The manifest of scores: who scored what, when, and what has no score."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from goodctl.errors import DamagedError
from goodctl.scoring.identity import differences, from_dict
from goodctl.scoring.protocol import Identity
from goodctl.workflows.lines import replace_text
from goodctl.workflows.manifest import read_stored, versions

FORMAT = "goodctl-scores"
FORMAT_VERSION = 1
_COUNTS = ("texts", "distinct", "scored")
_REASONS = ("not_scored", "failed")


@dataclass(frozen=True)
class Counts:
    """What became of the texts of a file.

    Attributes:
        texts: All of them.
        distinct: Different ones; texts of different languages are different.
        scored: Texts with a score.
        not_scored: Reason to the number of texts that have none and will have none.
        failed: Reason to the number of texts whose request failed.
    """

    texts: int = 0
    distinct: int = 0
    scored: int = 0
    not_scored: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**vars(self), "not_scored": dict(self.not_scored), "failed": dict(self.failed)}


@dataclass(frozen=True)
class ScoreManifest:
    """What stands beside an output.

    Attributes:
        scorer: Who scored.
        attributes: What was scored.
        input: File, SHA-256 and number of records.
        settings: The options that decide the output.
        calibration: File, SHA-256 and scorers of the map that scores went through, or None.
        begun_at: ISO 8601, UTC.
        finished_at: The same, or None while no output of these settings was written.
        counts: What became of the texts.
        dropped_attributes: Language to the attributes that its texts do not get.
        versions: Of programs.
    """

    scorer: Identity
    attributes: tuple[str, ...]
    input: Mapping[str, Any]
    settings: Mapping[str, Any]
    calibration: Mapping[str, Any] | None
    begun_at: str
    finished_at: str | None = None
    counts: Counts = field(default_factory=Counts)
    dropped_attributes: Mapping[str, list[str]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=versions)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "scorer": self.scorer.to_dict(),
            "attributes": list(self.attributes),
            "date": {"begin": self.begun_at, "end": self.finished_at},
            "input": dict(self.input),
            "settings": dict(self.settings),
            "calibration": None if self.calibration is None else dict(self.calibration),
            **self.counts.to_dict(),
            "dropped_attributes": dict(self.dropped_attributes),
            "versions": dict(self.versions),
        }

    def write(self, path: Path) -> None:
        """Write it in place of an older one.

        Raises:
            ServiceError: The disk does not take it.
        """
        replace_text(path, json.dumps(self.to_dict(), ensure_ascii=False, indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> ScoreManifest:
        """Read a manifest; members of later versions are ignored.

        Raises:
            InputError: It is none, or one of another version.
            DamagedError: It cannot be read, or a member is missing or of another type.
        """
        stored = read_stored(path, FORMAT, FORMAT_VERSION, "scores")
        try:
            return _checked(stored)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DamagedError(f"{path} is damaged: {error}.", hint="Begin anew: --overwrite") from error

    def differences(self, other: ScoreManifest) -> list[str]:
        """What another run would do differently, as ``name: this → that``."""
        found = differences(self.scorer, other.scorer)
        mine, theirs = (
            {
                "attributes": ", ".join(each.attributes),
                "texts": each.input["sha256"][:12],
                **each.settings,
                "calibration": each.calibration["sha256"][:12] if each.calibration else None,
            }
            for each in (self, other)
        )
        names = dict.fromkeys([*mine, *theirs])
        changed = [name for name in names if mine.get(name) != theirs.get(name)]
        return found + [f"{name}: {_said(mine.get(name))} → {_said(theirs.get(name))}" for name in changed]

    def finished(self, at: str, counts: Counts) -> ScoreManifest:
        """The manifest of an output that was written."""
        return replace(self, finished_at=at, counts=counts)


def _checked(stored: Mapping[str, Any]) -> ScoreManifest:
    """The manifest, once every member is what a run writes."""
    counts = {name: stored[name] for name in (*_COUNTS, *_REASONS)}
    date, calibration = stored["date"], stored["calibration"]
    reasons = [each for name in _REASONS for each in counts[name].values()]
    good = (
        all(type(each) is int and each >= 0 for each in (*(counts[name] for name in _COUNTS), *reasons)),
        all(isinstance(each, str) for each in (*stored["attributes"], stored["input"]["sha256"], date["begin"])),
        date["end"] is None or isinstance(date["end"], str),
        all(isinstance(stored[name], dict) for name in ("settings", "dropped_attributes", "versions")),
        calibration is None or isinstance(calibration["sha256"], str),
    )
    if not all(good):
        raise ValueError("a member has a value that no run writes")
    return ScoreManifest(
        scorer=from_dict(stored["scorer"]),
        attributes=tuple(stored["attributes"]),
        input=stored["input"],
        settings=stored["settings"],
        calibration=calibration,
        begun_at=date["begin"],
        finished_at=date["end"],
        counts=Counts(**counts),
        dropped_attributes=stored["dropped_attributes"],
        versions=stored["versions"],
    )


def _said(value: object) -> str:
    return "none" if value is None else str(value)
