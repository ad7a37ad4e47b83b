"""Nothing that users read names a place on the machine that it was written on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.docs.pages import PAGES, ROOT

_MACHINE_PATH = re.compile(r"(?<![\w.~])/(?:work|root|home/\w+|tmp/\w+)\b")


def files() -> Iterator[Path]:
    yield from PAGES
    for folder in ("goodctl", "examples"):
        yield from (path for path in sorted((ROOT / folder).rglob("*")) if path.suffix in {".py", ".txt"})


def test_no_machine_paths() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if _MACHINE_PATH.search(line)
    ]
    assert not found, "\n".join(found)
