"""Cores, threads, memory and disk: what this process may take of the machine, and what it does take."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from goodctl.workflows.doctor_findings import Finding, State
from goodctl.workflows.doctor_limits import cpu_quota, memory, memory_limit
from goodctl.workflows.doctor_probes import Probes

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "TOKENIZERS_PARALLELISM",
)
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "bf16", "sve")
"""As Linux names them; those of x86, then those of ARM."""
LITTLE_MEMORY, LITTLE_DISK = 2 * 10**9, 2 * 10**9
"""The weights of gemma3-270m, a small model, are 1.1 GB as float32 (268 M numbers), on the disk and in memory."""


def usable_cores(probes: Probes) -> int:
    """Cores that this process may keep busy: by its affinity and by the quota of its control group, at least 1."""
    quota = cpu_quota(probes.root)
    cores = probes.cores()[1]
    return cores if quota is None else max(1, min(cores, round(quota)))


def cores(probes: Probes) -> Iterator[Finding]:
    """How many cores, and what they can do."""
    (machine, affinity), quota = probes.cores(), cpu_quota(probes.root)
    usable = usable_cores(probes)
    why = [f"affinity {affinity}"] if affinity < machine else []
    why += [f"quota {quota:g}"] if quota is not None and quota < affinity else []
    text = f"{usable} of {machine} can be used" + (f" ({', '.join(why)})" if why else "")
    details = {"machine": machine, "affinity": affinity, "quota": quota, "usable": usable}
    yield Finding("CPU cores", State.OK, text, details=details)
    flags = instructions(probes.root)
    if flags is not None:
        text = ", ".join(flags) or "none of those that matter"
        yield Finding("CPU can", State.INFO, text, details={"instructions": list(flags)})


def instructions(root: Path) -> tuple[str, ...] | None:
    """Those of ``INSTRUCTIONS`` that the CPU has; None where the system does not say."""
    try:
        text = (root / "proc" / "cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return None if found is None else tuple(name for name in INSTRUCTIONS if name in found[1].split())


def threads(probes: Probes, torch_threads: Callable[[], tuple[int, int]]) -> Iterator[Finding]:
    """How many threads torch takes, and the variables that say so.

    Args:
        probes: Where to look.
        torch_threads: Threads of torch inside one operation, and across operations.
    """
    usable = usable_cores(probes)
    inside, across = torch_threads()
    details = {"torch": inside, "torch_interop": across, "usable_cores": usable}
    if inside > usable:
        text = f"{inside} on {usable} usable cores: they wait for each other"
        yield Finding("torch", State.WARNING, text, f"export OMP_NUM_THREADS={usable}", details)
    elif inside < usable:
        # Physical cores are half of what the system counts where each runs two threads; torch takes one for each.
        text = f"{inside} on {usable} usable cores"
        advice = f"A run that is alone may be faster with more: export OMP_NUM_THREADS={usable}"
        yield Finding("torch", State.INFO, text, advice, details)
    else:
        yield Finding("torch", State.OK, f"{inside} on {usable} usable cores", details=details)
    for name in THREAD_VARIABLES:
        if (value := probes.environment.get(name)) is not None:
            yield _variable(name, value, usable)


def _variable(name: str, value: str, usable: int) -> Finding:
    details = {"value": value}
    if name == "TOKENIZERS_PARALLELISM":
        return Finding(name, State.INFO, value[:40], details=details)
    if not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", value.strip()):
        return Finding(
            name, State.WARNING, f"is {value[:40]!r}, which is no number of threads", f"unset {name}", details
        )
    if int(value.partition(",")[0]) > usable:  # behind a comma: threads inside threads
        text = f"{value[:40]}, more than the {usable} usable cores"
        return Finding(name, State.WARNING, text, f"export {name}={usable}", details)
    return Finding(name, State.INFO, value[:40], details=details)


def room(probes: Probes) -> Iterator[Finding]:
    """Memory, and free disk where goodctl writes."""
    yield from _memory(probes)
    if probes.here is None:
        text = "has been deleted: neither Python nor its packages can begin there"
        yield Finding("this folder", State.BROKEN, text, "cd")
    folders = {"cache disk": probes.cache, **({} if probes.here is None else {"this folder": probes.here})}
    for name, folder in folders.items():
        yield _disk(
            name,
            folder,
            "Make room" + ("" if folder == probes.here else ", or set GOODCTL_CACHE to a folder that has some"),
        )


def _memory(probes: Probes) -> Iterator[Finding]:
    found, limit = memory(probes.root), memory_limit(probes.root)
    if found is None:
        yield Finding("memory", State.INFO, "this system does not say")
        return
    total, free = found
    free = free if limit is None else min(free, limit.free)
    limited = limit is not None and limit.most < total
    most = limit.most if limit is not None and limited else total
    text = f"{_gb(free)} free of {_gb(most)}" + (f" (a limit; the machine has {_gb(total)})" if limited else "")
    details = {"total_bytes": total, "free_bytes": free, "limit_bytes": most if limited else None}
    if free < LITTLE_MEMORY:
        advice = "End other programs, or use a smaller model."
        yield Finding("memory", State.WARNING, f"{text}: little for a model", advice, details)
    else:
        yield Finding("memory", State.OK, text, details=details)
    if limited and most < total / 2:
        text = "searches reckon with half of the machine's memory, which is more than the limit"
        advice = f"Give the commands that build an index: --memory-budget {max(1, int(most / 2 / 1e9))}GB"
        yield Finding("search", State.WARNING, text, advice, {"limit_bytes": most, "total_bytes": total})


def _disk(name: str, folder: Path, advice: str) -> Finding:
    there = nearest(folder)
    usage = shutil.disk_usage(there)
    details = {"folder": str(folder), "free_bytes": usage.free, "total_bytes": usage.total}
    text = f"{_gb(usage.free)} free of {_gb(usage.total)}"
    if usage.total and usage.free < LITTLE_DISK:  # some file systems have no size
        return Finding(name, State.WARNING, f"{text}: little", f"{advice}; this is {folder}.", details)
    return Finding(name, State.OK, text, details=details)


def nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    folder = folder.absolute()
    return next((each for each in (folder, *folder.parents) if each.exists()), Path(folder.anchor))


def _gb(count: float) -> str:
    return f"{count / 1e9:,.1f} GB"
