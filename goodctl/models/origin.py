"""Which ``.gguf`` a folder was unpacked from: its config.json is this library's rendering of what that file says.

Another version of transformers may render the same file with other keys. The fingerprint of an unpacked model
therefore takes the file's hash in place of the rendering's, so that a store stays usable after an upgrade.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

_NAME = "goodctl-origin.json"


def record_origin(folder: Path, gguf_sha256: str) -> None:
    """Note in a freshly unpacked folder where it came from."""
    text = json.dumps({"gguf_sha256": gguf_sha256, "config_sha256": _sha256(folder / "config.json")})
    (folder / _NAME).write_text(text, encoding="utf-8")


def origin(folder: Path) -> str | None:
    """SHA-256 of the ``.gguf`` that a folder was unpacked from; None for others, and where config.json was changed."""
    try:
        noted = json.loads((folder / _NAME).read_text(encoding="utf-8"))
        unchanged = noted["config_sha256"] == _sha256(folder / "config.json")
        return str(noted["gguf_sha256"]) if unchanged else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
