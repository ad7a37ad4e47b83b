"""Claim: peak memory does not depend on the size of the corpus: ten times the text costs less than a tenth more.

    python benchmarks/memory.py --model gemma3-270m TEXTFILE...

Text: documents, one a line (benchmarks/debian_text.py makes such files). A corpus of N documents is built in one
process and a corpus of 10 N in another, by turns: the same N documents ten times, each time with another number put in
front of every one, so that all differ and the lengths stay the same. The peak is the kernel's, of the whole process.

Rows are buffered up to 64 MiB before they are written. The table shows how many MiB of rows each corpus gave: take
--documents such that the larger one gives several buffers; --model may be a folder with a smaller model.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from measuring import Claim, paragraphs, parser, report, with_texts

TIMES = 10


@dataclass(frozen=True)
class Build:
    """What one process did.

    Attributes:
        rows: Of the store.
        written_bytes: By the store.
        peak_bytes: Largest resident memory of the process.
    """

    rows: int
    written_bytes: int
    peak_bytes: int


def build(store: Path, text: Path, options: list[str]) -> Build:
    """Run ``goodctl datastore build`` in a process of its own."""
    command = [sys.executable, "-m", "goodctl", "datastore", "build", str(store), str(text), *options]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        process = subprocess.Popen([*command, "--json", "--quiet"], stdout=output)
        _, status, usage = os.wait4(process.pid, 0)  # RUSAGE_CHILDREN would give the largest of all children
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"The build ended with exit code {process.returncode}.")
        output.seek(0)
        result = json.load(output)
    unit = 1 if sys.platform == "darwin" else 1024
    return Build(result["rows"], result["bytes_written"], usage.ru_maxrss * unit)


def write_corpus(path: Path, texts: list[str], times: int) -> None:
    """The texts several times over, each time behind another number."""
    with path.open("w", encoding="utf-8") as stream:
        for number in range(times):
            stream.writelines(f"{number} {text}\n" for text in texts)


def main(arguments: list[str] | None = None) -> None:
    options = with_texts(parser(__doc__))
    options.add_argument("--documents", type=int, default=400, help="N (default: %(default)s)")
    options.add_argument("--precision", default="auto", help="auto, fp32 or bf16 (default: %(default)s)")
    options.add_argument("--repeats", type=int, default=2, help="default: %(default)s")
    options.add_argument("--folder", type=Path, help="on the disk to write to (default: the system's temporary one)")
    chosen = options.parse_args(arguments)

    texts = paragraphs(chosen.texts, chosen.seed)[: chosen.documents]
    words = ["--model", chosen.model, "--device", chosen.device, "--precision", chosen.precision]
    peaks: dict[int, list[Build]] = {1: [], TIMES: []}
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        folder = Path(name)
        for times in peaks:
            write_corpus(folder / f"{times}.txt", texts, times)
        for repeat in range(chosen.repeats):
            for times, builds in peaks.items():
                builds.append(build(folder / f"store-{times}-{repeat}", folder / f"{times}.txt", words))
    table = [
        {
            "documents": len(texts) * times,
            "rows": builds[0].rows,
            "stored MiB": builds[0].written_bytes / 2**20,
            "peak MiB": min(build.peak_bytes for build in builds) / 2**20,
            "highest peak MiB": max(build.peak_bytes for build in builds) / 2**20,
        }
        for times, builds in peaks.items()
    ]
    growth = float(table[1]["peak MiB"]) / float(table[0]["peak MiB"])
    report(chosen, table, [Claim("peak_10N/peak_N", growth, "< 1.1")])


if __name__ == "__main__":
    main()
