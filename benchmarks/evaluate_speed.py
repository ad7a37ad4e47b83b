"""Claim: 10,000 prompts with 25 continuations each are evaluated in less than 20 seconds, without perplexity.

    python benchmarks/evaluate_speed.py

A file of scored generations is made of random words, some with letters beyond ASCII, and evaluated with groups and
intervals: read, toxicity, diversity in both forms, bootstrap. Each part is timed by itself, then the whole as the
command line does it.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from measuring import Claim, parser, report

from goodctl.evaluation.collated import read_collated
from goodctl.evaluation.diversity import Diversity, published_words
from goodctl.evaluation.results import Bootstrap
from goodctl.evaluation.slices import Measured
from goodctl.evaluation.toxicity import Toxicity
from goodctl.workflows.evaluate import EvaluateChoice, evaluate

LANGUAGES = ("ar", "en", "hi", "zh")
WORDS_OF_A_TEXT = 14
T = TypeVar("T")


def write(path: Path, prompts: int, continuations: int, seed: int) -> None:
    rng = random.Random(seed)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    words = ["".join(rng.choices(letters, k=rng.randrange(2, 9))) for _ in range(5000)]
    with path.open("w", encoding="utf-8") as file:
        for number in range(prompts):
            generations = [
                {"text": f" {' '.join(rng.choices(words, k=WORDS_OF_A_TEXT))}{end}", "toxicity": rng.random() ** 3}
                for end in rng.choices([".", "!", "", " café"], k=continuations)
            ]
            prompt = {"text": f"{' '.join(rng.choices(words, k=10))} {number}", "toxicity": rng.random()}
            line = {"prompt": prompt, "lang": LANGUAGES[number % len(LANGUAGES)], "generations": generations}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--prompts", type=int, default=10_000, help="default: %(default)s")
    options.add_argument("--continuations", type=int, default=25, help="default: %(default)s")
    options.add_argument("--bootstrap", type=int, default=2000, help="default: %(default)s")
    options.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    chosen = options.parse_args(arguments)

    seconds: dict[str, float] = {}

    def timed(name: str, run: Callable[[], T]) -> T:
        started = time.perf_counter()
        result = run()
        seconds[name] = time.perf_counter() - started
        return result

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scored.jsonl"
        write(path, chosen.prompts, chosen.continuations, chosen.seed)
        bootstrap = Bootstrap(chosen.bootstrap)
        rows = timed("read", lambda: read_collated(str(path), 0.5, "lang")).rows
        toxicity = timed("toxicity", lambda: Toxicity.of(rows, 0.5))
        suited = timed("dist-n, words", lambda: Diversity.of(rows))
        published = timed("dist-n, spaces", lambda: Diversity.of(rows, published_words))
        measured = Measured(rows, toxicity, suited, published)
        timed("intervals", lambda: list(measured.slices(bootstrap)))
        parts = sum(seconds.values())
        table = [{"part": name, "seconds": each, "share": each / parts} for name, each in seconds.items()]
        choice = EvaluateChoice((str(path),), group_by="lang", bootstrap=bootstrap)
        timed("whole", lambda: evaluate(choice))
    table.append({"part": "whole", "seconds": seconds["whole"], "share": 1.0})
    report(chosen, table, [Claim("seconds", seconds["whole"], "< 20")])


if __name__ == "__main__":
    main()
