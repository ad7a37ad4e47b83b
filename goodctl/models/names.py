"""Names of devices and precisions, apart from torch, so that the command line can list them without loading it."""

from __future__ import annotations

AUTO = "auto"
DEVICE_TYPES = ("cpu", "cuda", "mps")
PRECISIONS = (AUTO, "bf16", "fp32", "fp16")
PACKAGED = "gemma3-270m"
"""The model that comes from the package index."""
