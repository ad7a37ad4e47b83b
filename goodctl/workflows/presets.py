"""The presets' names, apart from their settings' code, so that the command line can list them."""

from __future__ import annotations

PRESETS = ("published",)
