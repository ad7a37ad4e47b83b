from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goodctl.evaluation import diversity
from goodctl.evaluation.diversity import distinct, published_words, words


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (" It's a dog's life, isn't it?", ["It's", "a", "dog's", "life", ",", "isn't", "it", "?"]),
        ("l’été\u00a0: e\u0301te\u0301", ["l’été", ":", "e\u0301te\u0301"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("क्\u200dष", ["क्\u200dष"]),
        ("مُحَمَّد قال.", ["مُحَمَّد", "قال", "."]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("你好，世界 AI", ["你", "好", "，", "世", "界", "AI"]),
        ("カタカナとひらがな", list("カタカナとひらがな")),
        ("น้ำดี", ["น้ำ", "ดี"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("ok 👩\u200d👩\u200d👧 👍🏽", ["ok", "👩\u200d👩\u200d👧", "👍🏽"]),
        (" \n\t", []),
        ("", []),
    ],
)
def test_words_of_many_languages(text: str, wanted: list[str]) -> None:
    assert words(text) == wanted


@given(st.text(st.characters(max_codepoint=127)))
def test_the_quick_way_for_ascii_gives_the_same(text: str) -> None:
    assert words(text) == list(diversity._WORD.findall(text))


@given(st.text())
def test_words_hold_everything_but_white_space(text: str) -> None:
    found = "".join(words(text))
    assert sorted("".join(found.split())) == sorted("".join(text.split()))
    assert all(words(text))


def test_published_words_count_a_leading_space_and_empty_texts() -> None:
    assert published_words(" a  b") == ["", "a", "", "b"]
    assert published_words("") == [""]


def test_n_grams_do_not_reach_into_the_next_continuation() -> None:
    assert distinct(["a b", "c a"], str.split) == (3, 2, 0, 4)
    assert distinct(["a b c", "a b c"], str.split) == (3, 2, 1, 6)
    assert distinct([], str.split) == (0, 0, 0, 0)
