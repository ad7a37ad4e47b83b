"""Claim: steering takes the codes and values of the stores and at most 300 MB of memory beside the model's.

    python benchmarks/decoding_memory.py TOXIC NONTOXIC PROMPTS --precision fp32

`goodctl generate` runs in a process of its own, unsteered and steered by turns; the peak is the kernel's, of the whole
process, and the smallest of each counts. Files that are mapped count as far as they were read.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import Claim, parser, report

from goodctl.datastore.store import Datastore
from goodctl.index.fidelities import HIGH
from goodctl.index.plan import searched_bytes
from goodctl.index.search import Searcher

MIB = 2**20


def peak_bytes(arguments: list[str]) -> int:
    """Largest resident memory of one run."""
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "out.jsonl")
        command = [sys.executable, "-m", "goodctl", "generate", *arguments, "--out", out, "--quiet"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"The run ended with exit code {process.returncode}.")
    return int(usage.ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("toxic", help="datastore to steer away from")
    options.add_argument("nontoxic", help="datastore to steer towards")
    options.add_argument("prompts", help="file of prompts")
    options.add_argument("--precision", default="fp32", help="default: %(default)s")
    options.add_argument("-n", default="25", help="continuations of a prompt (default: %(default)s)")
    options.add_argument("-k", default="1024", help="neighbours (default: %(default)s)")
    options.add_argument("--repeats", type=int, default=3, help="default: %(default)s")
    chosen = options.parse_args(arguments)

    model = Datastore.open(chosen.toxic).header.model["name"]
    common = [chosen.prompts, "--precision", chosen.precision, "-n", chosen.n]
    sides = {
        "base": [*common, "--model", model],
        "steered": [
            *common,
            "--toxic",
            chosen.toxic,
            "--nontoxic",
            chosen.nontoxic,
            "-k",
            chosen.k,
        ],
    }
    peaks: dict[str, list[int]] = {name: [] for name in sides}
    for _ in range(chosen.repeats):
        for name, command in sides.items():
            peaks[name].append(peak_bytes(command))
    least = {name: min(each) for name, each in peaks.items()}
    searched = 0
    for store in (chosen.toxic, chosen.nontoxic):
        searcher = Searcher.open([store], fidelity=HIGH)
        searched += searched_bytes(searcher.segments, searcher.coded, searcher.codec_infos)
    beyond = (least["steered"] - least["base"] - searched) / 1e6
    rows = [{"what": name, "peak, MiB": each / MIB} for name, each in least.items()]
    rows.append({"what": "codes and values", "peak, MiB": searched / MIB})
    report(chosen, rows, [Claim("beyond codes and values, MB", beyond, "<= 300")])


if __name__ == "__main__":
    main()
