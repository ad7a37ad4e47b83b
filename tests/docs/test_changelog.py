"""The changelog speaks of the version that this is."""

from __future__ import annotations

import re
import tomllib

import goodctl
from tests.docs.pages import ROOT

_ENTRY = re.compile(r"^## \[([^\]]+)\](.*?)(?=^## \[|\Z)", re.MULTILINE | re.DOTALL)


def test_it_has_an_entry_for_this_version() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    assert version == goodctl.__version__
    entries = dict(_ENTRY.findall((ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))
    current = [text for name, text in entries.items() if name in {"Unreleased", version}]
    assert any(line.startswith("- ") for text in current for line in text.splitlines())
