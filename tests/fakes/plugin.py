"""An installed package that offers scorers, as far as the interpreter can tell: a folder for ``PYTHONPATH``."""

from __future__ import annotations

from pathlib import Path


def write_plugin(folder: Path, **scorers: str) -> Path:
    """Write the metadata of a package with scorers, ``name="module:open_scorer"``; gives the folder."""
    info = folder / "fake_scorers-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-scorers\nVersion: 1.0\n")
    lines = "".join(f"{name} = {target}\n" for name, target in scorers.items())
    (info / "entry_points.txt").write_text(f"[goodctl.scorers]\n{lines}")
    return folder
