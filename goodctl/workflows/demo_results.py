"""What the steps of the demo lead to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from goodctl.datastore.history import LogEntry
from goodctl.workflows.writing import WriteResult


@dataclass(frozen=True)
class Built:
    """What was written to the stores.

    Attributes:
        written: Store to what was added; a store that had the text already is missing.
        rows: Store to all its rows now.
    """

    written: Mapping[str, tuple[WriteResult, ...]]
    rows: Mapping[str, int]


@dataclass(frozen=True)
class Looked:
    """What is in a store.

    Attributes:
        entries: Its versions, newest first.
        described: Its summary, as of ``goodctl datastore inspect``.
    """

    entries: list[LogEntry]
    described: Mapping[str, Any]


@dataclass(frozen=True)
class Continued:
    """A prompt in one language.

    Attributes:
        language: Of the prompt.
        base: The continuation of the unsteered model.
        explanation: The steered one, token by token, as ``goodctl generate --explain`` writes it.
    """

    language: str
    base: str
    explanation: Mapping[str, Any]


def as_values(results: Mapping[str, Any]) -> dict[str, Any]:
    """What the steps have led to, as JSON values.

    Args:
        results: Step's name to what its work gave.
    """
    look: Looked = results["look"]
    return {
        "model": results["model"],
        **{
            name: {
                "rows": dict(results[name].rows),
                "written": {side: [each.to_dict() for each in new] for side, new in results[name].written.items()},
            }
            for name in ("build", "add")
        },
        "run": results["run"].to_dict(),
        "look": {"versions": [entry.to_dict() for entry in look.entries], "store": dict(look.described)},
        "continue": [
            {"language": each.language, "base": each.base, "explanation": dict(each.explanation)}
            for each in results["continue"]
        ],
    }
