"""Plain-text documents with hard-wrapped lines become a file with one paragraph a line, for the other benchmarks.

    python benchmarks/debian_text.py OUTPUT.txt DOCUMENT.txt.gz...

Text: what the Debian packages debian-faq, debian-reference-en and their translations (debian-faq-de,
debian-reference-fr, ...) put under /usr/share. Paragraphs are what blank lines separate; their lines are joined with
single spaces. Those under 30 characters (headings, numbers) or over 4000 (tables of contents) are dropped.
"""

from __future__ import annotations

import argparse
import gzip
import re
from pathlib import Path

SHORTEST, LONGEST = 30, 4000


def document_paragraphs(text: str) -> list[str]:
    """The paragraphs of one document of a fitting length, each on one line."""
    joined = (" ".join(block.split()) for block in re.split(r"\n\s*\n", text))
    return [paragraph for paragraph in joined if SHORTEST <= len(paragraph) <= LONGEST]


def main(arguments: list[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("output", type=Path, help="file to be written")
    options.add_argument("documents", type=Path, nargs="+", help=".txt or .txt.gz")
    chosen = options.parse_args(arguments)

    found: list[str] = []
    for path in chosen.documents:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        found += document_paragraphs(content.decode("utf-8"))
    chosen.output.write_text("".join(paragraph + "\n" for paragraph in found), encoding="utf-8")
    print(f"{chosen.output}: {len(found):,} paragraphs, {sum(map(len, found)):,} characters")


if __name__ == "__main__":
    main()
