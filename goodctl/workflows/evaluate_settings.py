"""What the manifests beside a file of scored generations say of how it came to be."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from goodctl.scoring.protocol import TOXICITY
from goodctl.workflows.manifest import FORMAT

SCORES_FORMAT = "goodctl-scores"
MOST_BYTES = 2**20
"""A longer manifest is none."""
_SCORING = ("scorer", "attributes", "date", "input", "calibration")


def settings_of(path: Path) -> dict[str, Any]:
    """What an evaluation repeats of the manifests: of the scores, and as ``generation`` of the scored generations.

    Args:
        path: A file of scored generations.

    Returns:
        Nothing where there are no manifests that can be read; they are no condition of an evaluation.
    """
    scores = read_manifest(path, SCORES_FORMAT)
    found = {name: scores[name] for name in _SCORING if scores.get(name) is not None}
    for source in _sources(path, found):
        generation = read_manifest(source, FORMAT).get("settings")
        if isinstance(generation, dict):
            return {**found, "generation": generation}
    return found


def scored_by(settings: Mapping[str, Any]) -> Any:
    """What two files must have in common so that their scores can be compared, as a JSON value.

    A scorer's name is not part of it where other members say what it is, since it may be the path of a folder.
    """
    scorer, calibration = settings.get("scorer"), settings.get("calibration")
    if isinstance(scorer, Mapping) and scorer.get("details"):
        scorer = {name: value for name, value in scorer.items() if name != "scorer"}
    map_used = calibration.get("sha256") if isinstance(calibration, Mapping) else None
    return [scorer, map_used]


def score_command(path: Path, name: str) -> str:
    """The command that scores what has no score yet, as far as the manifest knows it."""
    settings = settings_of(path)
    scorer, source = settings.get("scorer"), settings.get("input")
    by = scorer.get("scorer") if isinstance(scorer, Mapping) else None
    of = source.get("file") if isinstance(source, Mapping) else None
    known = [each if isinstance(each, str) else placeholder for each, placeholder in ((of, "FILE"), (by, "NAME"))]
    return shlex.join(["goodctl", "score", known[0], "--scorer", known[1], *_options(path, settings), "--out", name])


def _options(path: Path, settings: Mapping[str, Any]) -> Iterator[str]:
    """The options beside scorer and files that a manifest names: others would give another output."""
    attributes = settings.get("attributes")
    if isinstance(attributes, list) and attributes != [TOXICITY] and all(isinstance(each, str) for each in attributes):
        yield from ("--attributes", ",".join(attributes).upper())
    calibration = settings.get("calibration")
    if isinstance(calibration, Mapping) and isinstance(calibration.get("file"), str):
        yield from ("--calibration", calibration["file"])
    given = read_manifest(path, SCORES_FORMAT).get("settings")
    for option in ("text_field", "language", "language_field", "emit"):
        if isinstance(given, Mapping) and isinstance(given.get(option), str):
            yield from (f"--{option.replace('_', '-')}", given[option])


def _sources(path: Path, settings: Mapping[str, Any]) -> Iterator[Path]:
    """Where the file that was scored may be: where it was then, or beside its scores."""
    source = settings.get("input")
    name = source.get("file") if isinstance(source, Mapping) else None
    if isinstance(name, str) and "\0" not in name:
        yield Path(name)
        yield path.with_name(Path(name).name or path.name)


def read_manifest(path: Path, form: str) -> dict[str, Any]:
    """The manifest beside a file, as values that JSON and UTF-8 can hold: it only names things, others write it, too.

    Args:
        path: The file.
        form: What ``format`` must be.

    Returns:
        Nothing where there is none, or a broken one. Numbers that JSON lacks are None, lone surrogates are replaced.
    """
    manifest = path.with_name(f"{path.name}.manifest.json")
    try:
        if manifest.stat().st_size > MOST_BYTES:
            return {}
        stored = json.loads(
            manifest.read_text(encoding="utf-8"), parse_constant=lambda _name: None, parse_float=_finite
        )
        stored = _as_text(stored)
    except (OSError, ValueError, RecursionError):
        return {}
    return stored if isinstance(stored, dict) and stored.get("format") == form else {}


def _finite(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None  # 1e999 is infinite


def _as_text(value: Any) -> Any:
    """The same with a replacement character for each lone surrogate."""
    if isinstance(value, str):
        return "".join("\N{REPLACEMENT CHARACTER}" if "\ud800" <= each <= "\udfff" else each for each in value)
    if isinstance(value, dict):
        return {_as_text(name): _as_text(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_as_text(each) for each in value]
    return value
