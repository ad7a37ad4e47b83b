"""An output of JSON Lines that grows batch by batch, and is cut back to whole batches when a run goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from goodctl.errors import InputError, ServiceError


def complete_lines(path: Path) -> int:
    """How many lines a file has that end as lines do; 0 where it is missing."""
    if not path.exists():
        return 0
    count = 0
    with path.open("rb") as file:
        while block := file.read(2**20):
            count += block.count(b"\n")
    return count


def cut_to(path: Path, lines: int) -> None:
    """Keep the first lines of a file and nothing behind them.

    Raises:
        InputError: There are fewer.
    """
    if not path.exists():
        if lines:
            raise InputError(f"{path} is gone.", hint="Begin anew: --overwrite")
        return
    with path.open("r+b") as file:
        for _ in range(lines):
            if not file.readline().endswith(b"\n"):
                raise InputError(f"{path} has fewer than {lines:,} lines.", hint="Begin anew: --overwrite")
        file.truncate(file.tell())


def append(path: Path, values: Iterable[dict[str, Any]]) -> None:
    """Add lines, all of them in one write that has reached the disk when this returns.

    Raises:
        ServiceError: The disk does not take them; what was there stays, perhaps with a part of the new lines.
    """
    text = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)
    try:
        with path.open("ab") as file:
            file.write(text.encode("utf-8", "surrogatepass"))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ServiceError(
            f"{path} cannot be written: {error.strerror}.", hint="Make room and run the same command again: it goes on."
        ) from error
