from __future__ import annotations

from typing import Any

import pytest

from goodctl.scoring.identity import canonical, differences, from_dict
from goodctl.scoring.protocol import Identity

HF = Identity("hf:folder", "transformers 5", {"fingerprint": "f" * 64, "labels": {"toxic": 1}})


def test_a_folder_may_move() -> None:
    moved = Identity("hf:elsewhere", HF.version, HF.details)
    assert differences(HF, moved) == []
    assert canonical(HF) == canonical(moved)


@pytest.mark.parametrize(
    ("other", "found"),
    [
        (Identity("profanity", HF.version, HF.details), ["scorer: hf → profanity"]),
        (Identity("hf:folder", "transformers 6", HF.details), ["version: transformers 5 → transformers 6"]),
        (
            Identity("hf:folder", HF.version, {"fingerprint": "0" * 64, "labels": {"toxic": 1}}),
            [f"fingerprint: {'f' * 12} → {'0' * 12}"],
        ),
        (
            Identity("hf:folder", HF.version, {**HF.details, "labels": {"toxic": 2, "other": None}}),
            ["labels.toxic: 1 → 2"],
        ),
        (Identity("hf:folder", HF.version, {}), [f"fingerprint: {'f' * 12} → none", 'labels: {"toxic": 1} → none']),
    ],
)
def test_what_differs_is_named(other: Identity, found: list[str]) -> None:
    assert differences(HF, other) == found
    assert canonical(HF) != canonical(other)


def test_it_comes_back_from_a_file() -> None:
    assert from_dict(HF.to_dict()) == HF


@pytest.mark.parametrize("stored", [None, [], {}, {"scorer": 1, "version": "1", "details": {}}, {"scorer": "a"}])
def test_what_is_none_is_refused(stored: Any) -> None:
    with pytest.raises(ValueError, match="scorer"):
        from_dict(stored)
