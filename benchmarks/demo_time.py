"""Claim: the demo ends in less than five minutes on two cores, with an empty cache.

    python benchmarks/demo_time.py

The whole command as a process of its own, in a new folder: unpacking the model, two stores, unsteered and steered text,
scores, figures, two more languages, the report. Installation is not part of it. The cores should have nothing else to
do: the threads of a matrix product wait for each other.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import Claim, parser, report


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--model", default="gemma3-270m", help="default: %(default)s")
    chosen = options.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "GOODCTL_CACHE": str(Path(folder, "cache"))}
        command = [sys.executable, "-m", "goodctl", "demo", "--model", chosen.model, "--json", "--quiet"]
        started = time.perf_counter()
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - started
        found = json.loads(done.stdout)
        assert Path(found["report"]).is_file()
    parts = {"in the run": found["run"]["seconds"]}
    for step in ("build", "add"):
        written = [each for side in found[step]["written"].values() for each in side]
        parts[f"in writing stores ({step})"] = sum(each["seconds"] for each in written)
    rows = [{"part": name, "seconds": value} for name, value in [*parts.items(), ("whole", seconds)]]
    report(chosen, rows, [Claim("seconds", seconds, "< 300")])


if __name__ == "__main__":
    main()
