"""What may be asked of codecs when rows come to a store that has some."""

from __future__ import annotations

AUTO = "auto"
KEEP = "keep"
REUSE = "reuse"
NEW = "new"
CODEC_CHOICES = (AUTO, REUSE, NEW)
"""Of new rows."""
MERGED_CODEC_CHOICES = (AUTO, KEEP, REUSE)
"""Of segments from other stores, which have codecs of their own."""
