"""Claim: storing the rows takes less than a tenth of the time that computing them takes.

    python benchmarks/storing.py --model gemma3-270m TEXTFILE...

Text: documents, one a line (benchmarks/debian_text.py makes such files), put into a random order first. Each repeat is
a whole build into a temporary folder; hashing, writing and committing count as storing, everything else from the first
block to the last commit as computing.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from measuring import Claim, paragraphs, parser, report, with_texts

from goodctl.corpus import Corpus
from goodctl.workflows.build import build
from goodctl.workflows.choices import Text
from goodctl.workflows.model_choice import ModelChoice
from goodctl.workflows.selection import Selection


def main(arguments: list[str] | None = None) -> None:
    options = with_texts(parser(__doc__))
    options.add_argument("--rows", type=int, default=130_000, help="about so many are stored (default: %(default)s)")
    options.add_argument("--precision", default="auto", help="auto, fp32 or bf16 (default: %(default)s)")
    options.add_argument("--repeats", type=int, default=2, help="default: %(default)s")
    options.add_argument("--folder", type=Path, help="on the disk to write to (default: the system's temporary one)")
    chosen = options.parse_args(arguments)

    table: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        text_file = Path(folder) / "sample.txt"
        text_file.write_text("\n".join(paragraphs(chosen.texts, chosen.seed)) + "\n", encoding="utf-8")
        text = Text(Corpus((str(text_file),)), Selection(max_tokens=chosen.rows))
        model = ModelChoice(chosen.model, device=chosen.device, precision=chosen.precision)
        for repeat in range(1, chosen.repeats + 1):
            result = build(str(Path(folder) / f"store-{repeat}"), text, model)
            computing = result.seconds - result.storing_seconds
            table.append(
                {
                    "build": f"{repeat} ({result.precision})",
                    "rows": result.rows,
                    "MB": result.bytes_written / 1e6,
                    "rows/s": result.rows_per_second,
                    "computing s": computing,
                    "storing s": result.storing_seconds,
                    "storing/computing": result.storing_seconds / computing,
                }
            )
    storing, computing = (min(float(row[name]) for row in table) for name in ("storing s", "computing s"))
    report(chosen, table, [Claim("storing/computing", storing / computing, "< 0.1")])


if __name__ == "__main__":
    main()
