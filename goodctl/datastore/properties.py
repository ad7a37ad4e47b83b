"""Names that users choose from when a store is made or cut."""

from __future__ import annotations

KEY_DTYPES = ("float16", "float32")
"""What a key's numbers may be; the first is the default."""
BY = ("language", "label", "source")
"""What a store may be cut by."""
