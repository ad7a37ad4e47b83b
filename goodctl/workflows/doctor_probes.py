"""How the doctor learns of the world: each way can be replaced."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from goodctl.cache_root import cache_root
from goodctl.workflows.doctor_findings import said
from goodctl.workflows.doctor_imports import tried_imports

REACH_S = 3.0


def installed_version(package: str) -> str | None:
    """The version of an installed package, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def reached(url: str, within_s: float = REACH_S) -> str | None:
    """None where a server answers at an address within some seconds, whatever it says; else why not."""
    answer: list[str | None] = []

    def ask() -> None:
        try:
            import httpx

            with httpx.Client(timeout=within_s, follow_redirects=False) as client:
                client.head(url)
            answer.append(None)
        except ImportError as error:
            answer.append(said(error))
        except Exception as error:  # odd proxies raise anything
            # A URL that cannot be read may be a proxy's, with a password in it.
            unread = isinstance(error, ValueError) or type(error).__name__ == "InvalidURL"
            hint = "the address, or that of a proxy in the environment, is no URL"
            answer.append(f"{type(error).__name__}: {hint}" if unread else said(error))

    # A lookup of a name heeds no time limit, so it is left behind.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(within_s)
    return answer[0] if answer else f"no answer within {within_s:.0f} s"


def affinity() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def current_folder() -> Path | None:
    """The current folder; None where that has been deleted."""
    try:
        return Path.cwd()
    except OSError:
        return None


@dataclass(frozen=True)
class Probes:
    """Where the doctor looks.

    Attributes:
        environment: Variables.
        root: The folder that ``/proc``, ``/sys`` and ``/dev`` are in.
        cache: goodctl's cache folder.
        here: The current folder; None where that has been deleted.
        cores: Cores of the machine, and those that this process may run on.
        today: The date.
        version: Package to its version, or None.
        imports: Modules to None or their errors.
        reach: Address to None, or to why it is not reached.
    """

    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    root: Path = Path("/")
    cache: Path = field(default_factory=cache_root)
    here: Path | None = field(default_factory=current_folder)
    cores: Callable[[], tuple[int, int]] = lambda: (os.cpu_count() or 1, affinity())
    today: Callable[[], datetime.date] = datetime.date.today
    version: Callable[[str], str | None] = installed_version
    imports: Callable[[Sequence[str]], Mapping[str, str | None]] = tried_imports
    reach: Callable[[str], str | None] = reached
