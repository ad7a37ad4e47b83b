"""Which tokens end a text, by a model's own files: known before its weights are loaded."""

from __future__ import annotations

import json
from typing import Any

from goodctl.models.source import ModelSource


def stated_ends(source: ModelSource) -> list[int] | None:
    """The end-of-text ids of ``generation_config.json``, in ascending order; None where it states none.

    A model without that file takes those of its ``config.json``, which its fingerprint covers.
    """
    try:
        stated: Any = json.loads((source.folder / "generation_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # transformers goes on without it as well
        return None
    ends = stated.get("eos_token_id") if isinstance(stated, dict) else None
    listed = ends if isinstance(ends, list) else [ends]
    return sorted(each for each in listed if isinstance(each, int)) or None
