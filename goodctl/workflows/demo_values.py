"""What the demo has led to, as JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from goodctl.workflows.demo import Looked


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
