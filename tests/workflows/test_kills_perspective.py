"""``goodctl score`` against a faulty service, killed three times: each text has one score, and only requests that were
under way at a kill, or that failed, were sent again."""

from __future__ import annotations

import bisect
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.fakes.perspective_protocol import score
from tests.fakes.perspective_server import KEY, Arrival, Faults, PerspectiveServer

ROOT = Path(__file__).parents[2]
RATE = 50
LATE_S = 0.05
"""So much later than others a request may be read by the server."""
UNWRITTEN_S = 0.5
"""An answer is in the journal a fifth of a second after it came; the machine may be busy."""


class Command:
    """The command, and when it was killed."""

    def __init__(self, folder: Path, url: str, texts: list[str]) -> None:
        self.out, source = folder / "out.jsonl", folder / "in.jsonl"
        source.write_text("".join(json.dumps({"text": text, "lang": "en"}) + "\n" for text in texts))
        options = ["--language-field", "lang", "--base-url", url, "--rate", str(RATE), "--json"]
        program = [sys.executable, "-m", "goodctl", "score", str(source), "--scorer", "perspective"]
        self.command = [*program, "--out", str(self.out), *options]
        self.environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "PERSPECTIVE_API_KEY": KEY, "GOODCTL_CACHE": str(folder / "cache"),
        }  # fmt: skip
        self.kills: list[float] = []

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def kill_after(self, arrivals: int, server: PerspectiveServer, rng: random.Random) -> None:
        process, before = self.start(), len(server.arrivals)
        try:
            while len(server.arrivals) < before + arrivals and process.poll() is None:
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.1))
            assert process.poll() is None, process.communicate()
        finally:
            process.kill()
            self.kills.append(time.monotonic())
            process.communicate(timeout=60)

    def finish(self) -> dict[str, object]:
        process = self.start()
        printed, notes = process.communicate(timeout=300)
        assert process.returncode == 0, notes
        assert KEY not in printed + notes
        result: dict[str, object] = json.loads(printed)
        return result


def needless(arrivals: list[Arrival], kills: list[float]) -> list[tuple[Arrival, Arrival]]:
    """Requests about texts that were scored before, with the earlier ones, where no kill came between a request and the
    journal."""
    found, scored = [], dict[str, Arrival]()
    for each in sorted(arrivals, key=lambda each: each.at):
        earlier = scored.get(each.text)
        if earlier is not None and earlier.answered is not None:
            end = earlier.answered + UNWRITTEN_S
            if not any(earlier.at <= kill <= end for kill in kills):
                found.append((earlier, each))
        if each.fate == "scored":
            scored[each.text] = each
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_every_text_has_one_score_whatever_happens(seed: int, tmp_path: Path) -> None:
    texts = [f"text number {number}" for number in range(600)]
    rng = random.Random(seed)
    faults = Faults(refused=0.1, broken=0.05, dropped=0.05, slow=0.05, slow_s=1.5, delay_s=0.05, seed=seed)
    with PerspectiveServer(faults) as server:
        command = Command(tmp_path, server.url, texts)
        for _ in range(3):
            command.kill_after(rng.randint(60, 150), server, rng)
        result = command.finish()
        arrivals = list(server.arrivals)
    lines = [json.loads(line) for line in command.out.read_text().splitlines()]
    assert [line["text"] for line in lines] == [
        {"text": text, "toxicity": pytest.approx(score(text), abs=1e-9)} for text in texts
    ]
    assert result["counts"]["scored"] == len(texts)  # type: ignore[index]
    assert {each.fate for each in arrivals} == {"scored", "refused", "broken", "dropped"}
    assert not needless(arrivals, command.kills)
    scored = Counter(each.text for each in arrivals if each.fate == "scored")
    assert sum(scored.values()) - len(scored) <= 3 * 2 * RATE, "what was under way at the kills"
    # At sending no second sees more than the rate, which a property test holds. A busy machine reads some late.
    moments = sorted(each.at for each in arrivals)
    most = max(bisect.bisect_right(moments, at + 1.0 - LATE_S) - number for number, at in enumerate(moments))
    assert most <= RATE
