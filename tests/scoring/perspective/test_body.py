"""What is sent, and where long texts are cut."""

from __future__ import annotations

import json
import unicodedata

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from goodctl.scoring.perspective.body import MOST_BYTES, body, sendable

FAMILY = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"  # one character to its readers
PIECES = st.sampled_from(
    ["a", "é", "e\N{COMBINING ACUTE ACCENT}", "日", "😀", FAMILY, "🇩🇪", "\r\n", "\ud800", "नि", "각"]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES).map("".join))


@given(TEXTS, st.integers(1, 60))
def test_a_cut_text_is_the_longest_beginning_of_whole_characters(text: str, most: int) -> None:
    clean = "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(each) == "Cs" else each for each in text)
    cut = sendable(text, most)
    assert clean.startswith(cut)
    assert len(cut.encode()) <= most
    characters = regex.findall(r"\X", clean)
    lengths = [len("".join(characters[:count]).encode()) for count in range(len(characters) + 1)]
    best = max(length for length in lengths if length <= most)
    assert len(cut.encode()) == best


@pytest.mark.parametrize("character", ["a", "é", "日", "😀", FAMILY])
@pytest.mark.parametrize("shift", range(4))
def test_the_limit_of_the_service(character: str, shift: int) -> None:
    text = "x" * shift + character * (MOST_BYTES // len(character.encode()) + 2)
    cut = sendable(text)
    size = len(character.encode())
    assert MOST_BYTES - size < len(cut.encode()) <= MOST_BYTES
    assert cut == "x" * shift + character * ((MOST_BYTES - shift) // size)


def test_just_fitting_texts_stay_whole() -> None:
    assert sendable("a" * MOST_BYTES) == "a" * MOST_BYTES
    assert sendable("é" * (MOST_BYTES // 2)) == "é" * (MOST_BYTES // 2)


def test_absurd_clusters_are_cut_at_a_code_point() -> None:
    cut = sendable("e" + "\N{COMBINING ACUTE ACCENT}" * MOST_BYTES)
    assert MOST_BYTES - 1 <= len(cut.encode()) <= MOST_BYTES


def test_lone_surrogates_can_be_sent() -> None:
    assert sendable("a\ud83db") == "a\N{REPLACEMENT CHARACTER}b"


def test_the_body() -> None:
    assert body("x", ("toxicity", "severe_toxicity"), "hi-Latn") == {
        "comment": {"text": "x"},
        "requestedAttributes": {"TOXICITY": {}, "SEVERE_TOXICITY": {}},
        "languages": ["hi-Latn"],
        "doNotStore": True,
        "spanAnnotations": False,
    }
    json.dumps(body("x", ("toxicity",), "en"))


def test_without_a_language_none_is_sent_and_what_it_lacks_may_be_left_out() -> None:
    assert "languages" not in body("x", ("toxicity",), None)
    assert "dropUnsupportedAttributes" not in body("x", ("toxicity",), None)
    assert body("x", ("toxicity", "flirtation"), None)["dropUnsupportedAttributes"] is True
    assert "dropUnsupportedAttributes" not in body("x", ("flirtation",), "en")
