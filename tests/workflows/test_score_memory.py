"""Scoring holds a bounded number of texts, however many there are."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path

from goodctl.scoring.protocol import Identity, Outcome, Request, Scored
from tests.workflows.scoring import Scoring


class AtOnce:
    identity = Identity("fake", "1")

    def attributes_for(self, language: str | None) -> tuple[str, ...]:
        return ("toxicity",)

    def outcomes(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Outcome]]:
        for request in requests:
            yield request, Scored({"toxicity": 0.5})

    def close(self) -> None:
        pass


def peak(folder: Path, texts: int) -> int:
    """Bytes that Python had at most while it scored so many different texts, journal and output included."""
    folder.mkdir()
    # One line after another, as the tests' own writing would need memory for all of them.
    lines = ({"prompt": "p", "generations": [f"{number} " + "word " * 40]} for number in range(texts))
    scoring = Scoring(folder, [{"text": "a"}])
    with scoring.texts.open("w") as file:
        for line in lines:
            file.write(str(line).replace("'", '"') + "\n")
    gc.collect()
    tracemalloc.start()
    try:
        assert scoring.run(AtOnce()).counts.distinct == texts
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_is_flat(tmp_path: Path) -> None:
    few, many = peak(tmp_path / "few", 1500), peak(tmp_path / "many", 7500)
    assert many < 1.3 * few
