"""The table of attributes and languages, and what tags mean."""

from __future__ import annotations

import pytest

from goodctl.errors import UsageError
from goodctl.scoring.perspective.attributes import (
    ATTRIBUTES,
    IN_ALL_LANGUAGES,
    LANGUAGES,
    available,
    checked,
    language_of,
)


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        *((name, name) for name in LANGUAGES),
        ("EN", "en"),
        ("en-US", "en"),
        ("pt_BR", "pt"),
        ("zh-Hant-TW", "zh"),
        ("zh-CN", "zh"),
        ("hi-latn-IN", "hi-Latn"),
        ("HI_LATN", "hi-Latn"),
        ("hi-Deva", "hi"),
        ("ru-Cyrl", "ru"),
        ("es-419", "es"),
        (" de ", "de"),
        (None, None),
        ("und", None),
        ("", None),
    ],
)
def test_tags(tag: str | None, language: str | None) -> None:
    assert language_of(tag) == language


@pytest.mark.parametrize("tag", ["tr", "english", "x", "-", "ru-Latn", "ar-Latn", "en-Cyrl", "日本語"])
def test_other_languages_are_not_known(tag: str) -> None:
    with pytest.raises(KeyError):
        language_of(tag)


def test_english_has_all_attributes_and_the_others_six() -> None:
    assert len(ATTRIBUTES) == 14
    assert available(ATTRIBUTES, "en") == ATTRIBUTES
    for language in set(LANGUAGES) - {"en"}:
        assert available(ATTRIBUTES, language) == IN_ALL_LANGUAGES
    assert available(ATTRIBUTES, None) == ATTRIBUTES, "the service finds out"


def test_attributes_keep_their_order_and_come_once() -> None:
    assert checked(["THREAT", "toxicity", "threat"]) == ("threat", "toxicity")


def test_unknown_attributes_name_near_ones() -> None:
    with pytest.raises(UsageError, match="TOXICTY") as caught:
        checked(["toxicty"])
    assert "TOXICITY" in str(caught.value.hint)
    with pytest.raises(UsageError) as caught:
        checked(["zzz"])
    assert "IDENTITY_ATTACK" in str(caught.value.hint), "where nothing is near, all are named"


def test_no_attribute_is_refused() -> None:
    with pytest.raises(UsageError):
        checked([])
