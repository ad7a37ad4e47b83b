from __future__ import annotations

import pytest

from goodctl.scoring.languages import entry_for


@pytest.mark.parametrize(
    ("language", "table", "entry"),
    [
        ("en", ["en", "*"], "en"),
        ("EN", ["en"], "en"),
        ("en", ["EN"], "EN"),
        ("pt-BR", ["pt"], "pt"),
        ("pt_BR", ["pt", "pt-br"], "pt-br"),
        ("de-DE-1996", ["de"], "de"),
        ("hi-Latn", ["hi"], None),
        ("hi-Latn", ["hi", "*"], "*"),
        ("hi-Latn-IN", ["hi-Latn"], "hi-Latn"),
        ("fr", ["en"], None),
        ("eng", ["en"], None),
        ("", ["en", "und"], "und"),
        (None, ["en"], None),
        (None, ["en", "*"], "*"),
        (None, ["en", "und", "*"], "und"),
    ],
)
def test_the_nearest_entry_serves(language: str | None, table: list[str], entry: str | None) -> None:
    assert entry_for(language, table) == entry
