"""Make an SVG picture of what a command prints: its coloured output on stdin, the picture on stdout.

    FORCE_COLOR=1 COLUMNS=88 goodctl demo --yes 2>/dev/null | python scripts/terminal_picture.py demo --lines 60

The picture names no font from the network, and the same output gives the same picture.
"""

from __future__ import annotations

import argparse
import io
import re
import sys

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

WIDTH = 88


def main() -> None:
    """Read the output and write the picture."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("title", help="above the picture")
    options.add_argument("--lines", type=int, help="only the first so many lines")
    options.add_argument("--width", type=int, default=WIDTH, help="characters a line (default: %(default)s)")
    asked = options.parse_args()
    console = Console(record=True, width=asked.width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in sys.stdin.read().splitlines()[: asked.lines]:
        console.print(Text.from_ansi(line))
    picture = console.export_svg(title=asked.title, theme=MONOKAI, unique_id="terminal")
    sys.stdout.write(re.sub(r"\s*@font-face \{.*?\}\n", "\n", picture, flags=re.DOTALL))


if __name__ == "__main__":
    main()
