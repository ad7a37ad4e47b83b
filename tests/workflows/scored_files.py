"""Files as ``goodctl score`` writes them, of two scorers whose relation is known."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ANOTHER = {"scorer": "perspective", "version": "v1alpha1", "details": {}}
LOCAL = {"scorer": "hf:local", "version": "transformers 5.0", "details": {"fingerprint": "abc"}}


def write(path: Path, lines: Iterable[Mapping[str, Any]], scorer: Mapping[str, Any] | None = None, **more: Any) -> str:
    """Write lines, and the manifest beside them where a scorer is given."""
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    if scorer is not None:
        manifest = {"format": "goodctl-scores", "format_version": 1, "scorer": scorer, **more}
        path.with_name(f"{path.name}.manifest.json").write_text(json.dumps(manifest))
    return str(path)


def generations(texts: Mapping[str, Mapping[str, float | None]]) -> list[dict[str, Any]]:
    """One line for each language, of texts and scores."""
    return [
        {
            "prompt": {"text": "How are you", "toxicity": 0.9},
            "lang": language,
            "generations": [{"text": text, "toxicity": score} for text, score in scores.items()],
        }
        for language, scores in texts.items()
    ]


def two_scorers(folder: Path, sizes: Mapping[str, int], *, noise: float = 0.03) -> tuple[str, str]:
    """Texts of languages; the second scorer gives about the square of what the first gives."""
    draw = random.Random(7)
    first: dict[str, dict[str, float | None]] = {}
    second: dict[str, dict[str, float | None]] = {}
    for language, texts in sizes.items():
        scores = {f"{language} text {number}": round(draw.random(), 4) for number in range(texts)}
        first[language] = dict(scores)
        second[language] = {
            text: round(min(max(score**2 + draw.gauss(0, noise), 0), 1), 4) for text, score in scores.items()
        }
    return (
        write(folder / "local.jsonl", generations(first), LOCAL),
        write(folder / "other.jsonl", generations(second), ANOTHER),
    )
