"""Claim: ``goodctl --help`` answers in less than 0.4 s, since it imports no large library.

    python benchmarks/startup.py

No text. Each start is a process of its own, by turns with a bare Python; the files are in the disk cache.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from measuring import Claim, alternate, parser, report

HEAVY = ("torch", "transformers", "zarr", "faiss", "icechunk", "numpy", "pyarrow", "datasets")
ENTRY = "import sys; from goodctl.cli.app import main; sys.argv = ['goodctl', '--help']; main()"


def imported(command: list[str]) -> set[str]:
    """Top-level modules that a Python command imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=10, help="default: %(default)s")
    chosen = options.parse_args(arguments)

    script = Path(sys.executable).with_name("goodctl")
    command = [str(script)] if script.is_file() else [sys.executable, "-m", "goodctl"]

    def start(*words: str) -> None:
        subprocess.run(words, stdout=subprocess.DEVNULL, check=True)

    seconds = alternate(
        {
            "python -c pass": lambda: start(sys.executable, "-c", "pass"),
            "goodctl --help": lambda: start(*command, "--help"),
        },
        chosen.repeats,
    )
    modules = {"python -c pass": imported(["-c", "pass"]), "goodctl --help": imported(["-c", ENTRY])}
    table = [
        {
            "command": name,
            "seconds": seconds[name],
            "modules": len(modules[name]),
            "large libraries": ", ".join(sorted(modules[name] & set(HEAVY))) or "none",
        }
        for name in seconds
    ]
    claims = [
        Claim("help_seconds", seconds["goodctl --help"], "< 0.4"),
        Claim("large_libraries", len(modules["goodctl --help"] & set(HEAVY)), "<= 0"),
        Claim("help/python", seconds["goodctl --help"] / seconds["python -c pass"]),
    ]
    report(chosen, table, claims)


if __name__ == "__main__":
    main()
