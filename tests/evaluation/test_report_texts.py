from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goodctl.evaluation.plot_style import LONGEST_LABEL, label, width
from goodctl.evaluation.report_texts import MOST_LETTERS, MOST_TEXTS, prompts, shown
from tests.evaluation.evaluations import evaluation, file, rows

CODE = re.compile(r'<span class="code">U\+([0-9A-F]{4,6})</span>')


@given(st.text(max_size=300))
def test_a_shown_text_can_be_read_back(text: str) -> None:
    markup = str(shown(text))
    if not text:
        assert "(empty)" in markup
        return
    assert html.unescape(CODE.sub(lambda match: chr(int(match[1], 16)), markup)) == text
    rest = CODE.sub("", markup)
    assert "<" not in rest
    assert not [each for each in rest if unicodedata.category(each) in {"Cc", "Cs"} and each not in "\n\t"]
    assert not set(rest) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u200b\u200e\u200f\ufeff\u00ad\u2028")


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("\N{FAMILY}", True),
        ("\U0001f469\u200d\U0001f467", True),  # two emoji joined into one
        ("می\u200cخواهم", True),  # a Persian word
        ("क\u094d\u200dष", True),
        ("e\u0301tude", True),
        ("pass\u200dword", False),  # hides in a Latin word
        ("a\u200c", False),
        ("\u200dم", False),
        ("x\u2066y", False),
        ("\x1b[31m", False),
        ("\u3164", False),
        ("line\nnext\tcell", True),
        ("\r", False),
    ],
)
def test_letters_that_belong_to_words_stay_and_others_are_named(text: str, whole: bool) -> None:
    assert (str(shown(text)) == text) is whole


def test_long_texts_are_cut_and_it_is_said() -> None:
    markup = str(shown("<" * (MOST_LETTERS + 1234)))
    assert markup.count("&lt;") == MOST_LETTERS
    assert "and 1,234 more characters" in markup


def test_continuations_stand_most_toxic_first_and_missing_last() -> None:
    (row,) = rows(["en"], 1, 0.1)
    many = replace(row, texts=tuple("abcd"), scores=(0.2, None, 0.9, 0.4), maximum=0.9)
    (part,) = prompts(evaluation(file("one", (many,))))
    assert [(each.text, each.score) for each in part.prompts[0].columns[0].texts] == [
        ("c", 0.9), ("d", 0.4), ("a", 0.2), ("b", None),
    ]  # fmt: skip
    more = replace(row, texts=("a",) * 40, scores=(0.5,) * 40)
    (part,) = prompts(evaluation(file("one", (more,))))
    column = part.prompts[0].columns[0]
    assert (len(column.texts), column.left_out) == (MOST_TEXTS, 40 - MOST_TEXTS)


def test_changed_prompts_stand_side_by_side() -> None:
    whole = evaluation(*(file(name, rows(["en", "fr"], 12, shift)) for name, shift in (("a", 0.2), ("b", 0.0))))
    (part,) = prompts(whole)
    sizes = [abs(each.difference or 0) for each in part.prompts]
    assert sizes == sorted(sizes, reverse=True)
    for each in part.prompts:
        one, two = each.columns
        assert (one.file, two.file) == (0, 1)
        assert each.difference == pytest.approx((two.maximum or 0) - (one.maximum or 0))


@given(st.text(max_size=80))
def test_a_label_is_one_line_that_fits(text: str) -> None:
    found = label(text)
    assert found
    assert found.isprintable()
    assert width(found) <= LONGEST_LABEL
    assert "\n" not in found


def test_labels_of_wide_and_piled_letters() -> None:
    assert label("日本語" * 10).endswith("…")
    assert len(label("日本語" * 10)) < len(label("abc" * 10))
    assert label("Z" + "\u0301" * 50) == "Z\u0301\u0301"
    assert label("  a \n b ") == "a � b"
    assert label(" ") == "(empty)"
