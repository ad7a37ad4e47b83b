"""What Linux says of memory, and of the limits that a container or a batch system sets; nothing elsewhere."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_NO_LIMIT = 1 << 60
"""What the first version of control groups writes for no limit is a number about as large."""


@dataclass(frozen=True)
class MemoryLimit:
    """A limit of a control group.

    Attributes:
        most: Bytes that it may take.
        used: Bytes that it takes, without caches of files that would be given up.
    """

    most: int
    used: int

    @property
    def free(self) -> int:
        """Bytes that it may still take."""
        return max(0, self.most - self.used)


def cpu_quota(root: Path) -> float | None:
    """Cores that the control groups of this process may keep busy; None for no limit."""
    found = []
    for folder in _folders(root, "cpu"):
        if quota := _text(folder / "cpu.max"):  # version 2: "200000 100000", or "max 100000"
            most, _, period = quota.partition(" ")
            found += [int(most) / int(period or 100_000)] if most.isdecimal() else []
        most, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
        if most and period and most.isdecimal() and int(period):  # version 1: -1 is no limit
            found.append(int(most) / int(period))
    return min(found, default=None)


def memory_limit(root: Path) -> MemoryLimit | None:
    """The tightest limit of memory of this process's control groups; None for no limit."""
    found = []
    for folder in _folders(root, "memory"):
        for most, used, cached in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit = _text(folder / most)
            if limit.isdecimal() and int(limit) < _NO_LIMIT:
                taken = int(_text(folder / used) or 0)
                given_up = re.search(rf"^{cached} (\d+)$", _text(folder / "memory.stat"), re.MULTILINE)
                found.append(MemoryLimit(int(limit), max(0, taken - int(given_up[1] if given_up else 0))))
    return min(found, key=lambda limit: limit.free, default=None)


def memory(root: Path) -> tuple[int, int] | None:
    """Bytes of memory of the machine, and of these what programs could get; None where it does not say."""
    text = _text(root / "proc" / "meminfo")
    kibibytes = {match[1]: int(match[2]) for match in re.finditer(r"^(\w+):\s*(\d+) kB$", text, re.MULTILINE)}
    if "MemTotal" in kibibytes and "MemAvailable" in kibibytes:
        return kibibytes["MemTotal"] * 1024, kibibytes["MemAvailable"] * 1024
    with contextlib.suppress(AttributeError, ValueError, OSError):
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return total, total  # what is free nobody says here
    return None


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """The folders of the control groups that a process is in, and of all above them."""
    base = root / "sys" / "fs" / "cgroup"
    for line in _text(root / "proc" / "self" / "cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            bases = [base, base / "unified"]
        elif controller in controllers.split(","):
            bases = [base / controllers, base / controller]
        else:
            continue
        parts = [part for part in path.split("/") if part and part != ".."]
        for each in bases:
            for depth in range(len(parts), -1, -1):  # inside a container the path may be the host's: then only the top
                yield each.joinpath(*parts[:depth])


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
