"""Claim: scoring takes bounded memory, whatever the number of texts.

    python benchmarks/score_memory.py

Files of N and of 10 N different texts, four a line, are scored in processes of their own by a scorer that answers at
once, so that nothing but goodctl's own work is measured. The peak is the kernel's, of the whole process; what the same
process takes that only imports is taken off. The table also has the time: what goodctl adds to a scorer's own.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from measuring import Claim, parser, report
from version_memory import peak

TIMES = 10
TEXTS_A_LINE = 4
TARGET = "< 1.5"

_IMPORTS = """
import sys
from goodctl.scoring.protocol import Identity, NotScored, Scored
from goodctl.workflows.score import score
from goodctl.workflows.score_choice import ScoreChoice, ScoreRun

class AtOnce:
    identity = Identity("at-once", "1")

    def attributes_for(self, language):
        return ("toxicity",)

    def outcomes(self, requests):
        for request in requests:
            yield request, Scored({"toxicity": 0.5}) if request.text else NotScored("empty", "")

    def close(self):
        pass
"""
_SCORE = _IMPORTS + "score(ScoreChoice(sys.argv[1], 'at-once', sys.argv[2]), ScoreRun(open_scorer=lambda *_: AtOnce()))"


def write_texts(path: Path, texts: int, repeated: int) -> None:
    """Different texts of some hundred bytes; each stands there so often."""
    with path.open("w", encoding="utf-8") as file:
        for line in range(texts * repeated // TEXTS_A_LINE):
            numbers = [(line * TEXTS_A_LINE + each) % texts for each in range(TEXTS_A_LINE)]
            generations = [f"{number} is the number of this text, " + "which has words, " * 5 for number in numbers]
            file.write(json.dumps({"prompt": f"prompt {line}", "lang": "en", "generations": generations}) + "\n")


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--count", type=int, default=100_000, help="N (default: %(default)s)")
    options.add_argument("--repeated", type=int, default=1, help="how often each text is there (default: %(default)s)")
    options.add_argument("--folder", type=Path, help="on the disk to write to (default: the system's temporary one)")
    chosen = options.parse_args(arguments)

    imports = peak(_IMPORTS)
    table, more = [], []
    for texts in (chosen.count, TIMES * chosen.count):
        with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
            source, out = Path(name) / "in.jsonl", Path(name) / "out.jsonl"
            write_texts(source, texts, chosen.repeated)
            began = time.monotonic()
            found = peak(_SCORE, str(source), str(out))
            seconds = time.monotonic() - began
            journal = Path(f"{out}.journal").stat().st_size
            size = source.stat().st_size
        more.append(max(1, found - imports))
        table.append(
            {
                "texts": texts * chosen.repeated,
                "input MiB": size / 2**20,
                "journal MiB": journal / 2**20,
                "peak MiB": found / 2**20,
                "imports MiB": imports / 2**20,
                "more MiB": (found - imports) / 2**20,
                "s": seconds,
                "texts/s": texts * chosen.repeated / seconds,
            }
        )
    report(chosen, table, [Claim("10N/N", more[1] / more[0], TARGET)])


if __name__ == "__main__":
    main(sys.argv[1:])
