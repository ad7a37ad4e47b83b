"""The fidelities' names, apart from what they do, so that the command line can list them without loading torch."""

from __future__ import annotations

EXACT = "exact"
HIGH = "high"
FAST = "fast"
FIDELITIES = (EXACT, HIGH, FAST)
TUNED = (HIGH, FAST)
"""Those that are compared with exact search."""
