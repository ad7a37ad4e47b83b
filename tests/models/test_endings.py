"""The tokens that end a text, as a model's files state them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from goodctl.models.endings import stated_ends
from goodctl.models.source import ModelSource, resolve


@pytest.fixture
def source(tiny: str, tmp_path: Path) -> ModelSource:
    return dataclasses.replace(resolve(tiny), folder=tmp_path)


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ('{"eos_token_id": 3}', [3]),
        ('{"eos_token_id": [7, 3]}', [3, 7]),
        ('{"eos_token_id": null}', None),
        ("{}", None),
        ("[]", None),
        ("not json", None),
    ],
)
def test_ends(source: ModelSource, text: str, ends: list[int] | None) -> None:
    (source.folder / "generation_config.json").write_text(text)
    assert stated_ends(source) == ends


def test_a_model_without_the_file(source: ModelSource) -> None:
    assert stated_ends(source) is None
