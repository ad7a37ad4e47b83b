"""The user's cache folder: for what can be made again, and is always safe to delete."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """The folder for what can be made again: ``GOODCTL_CACHE``, else ``XDG_CACHE_HOME/goodctl``, else ``~/.cache``."""
    if own := os.environ.get("GOODCTL_CACHE"):
        return Path(own).expanduser()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser() / "goodctl"
    return Path.home() / ".cache" / "goodctl"
