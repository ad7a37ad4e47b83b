"""The texts of the demo are what the documentation says of them."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from goodctl.errors import ExistsError, UsageError
from goodctl.workflows import demo_texts as texts

FILES = [(language, side) for language in texts.LANGUAGES for side in texts.SIDES]
ONLY_RUDE = {
    "en": {"idiot", "moron", "stupid", "crap", "damn", "jerk", "dumb", "hell", "pathetic", "shitty", "bloody"},
    "fr": {"idiot", "idiote", "imbécile", "abruti", "merde", "connard", "con", "minable", "tocard", "gueule"},
    "es": {"idiota", "imbécil", "estúpido", "estúpida", "mierda", "maldito", "maldita", "payaso", "inútil"},
}


def lines(language: str, side: str) -> list[str]:
    return texts.read(texts.text_name(language, side)).splitlines()


def words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())


@pytest.mark.parametrize(("language", "side"), FILES)
def test_there_are_enough_short_sentences(language: str, side: str) -> None:
    found = lines(language, side)
    assert len(found) >= 300
    assert len(set(found)) == len(found)
    for line in found:
        assert line == line.strip()
        assert line[-1] in ".!?", line
        assert 4 <= len(words(line)) <= 30, line


@pytest.mark.parametrize(("language", "side"), FILES)
def test_no_template_is_filled_in(language: str, side: str) -> None:
    found = lines(language, side)
    openings = Counter(tuple(words(line)[:3]) for line in found)
    assert openings.most_common(1)[0][1] <= 4
    sets = [set(words(line)) for line in found]
    alike = [
        (found[first], found[second])
        for first, second in itertools.combinations(range(len(found)), 2)
        if len(sets[first] & sets[second]) > 0.5 * len(sets[first] | sets[second])
    ]
    assert alike == []


@pytest.mark.parametrize("language", texts.LANGUAGES)
def test_one_side_is_rude_and_the_other_is_not(language: str) -> None:
    rude, kind = (lines(language, side) for side in ("toxic", "nontoxic"))
    known = ONLY_RUDE[language]
    assert [line for line in kind if known & set(words(line))] == []
    assert sum(bool(known & set(words(line))) for line in rude) > len(rude) / 3


@pytest.mark.parametrize("name", [texts.PROMPTS, texts.LANGUAGE_PROMPTS])
def test_prompts_have_a_language(name: str) -> None:
    found = [json.loads(line) for line in texts.read(name).splitlines()]
    assert len(found) == (12 if name == texts.PROMPTS else len(texts.LANGUAGES))
    assert {line["lang"] for line in found} <= set(texts.LANGUAGES)


def test_a_folder_is_prepared_again_and_again(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "demo"
    texts.prepare(folder, {"model": "m"})
    (folder / texts.PROMPTS).unlink()
    texts.prepare(folder, {"model": "m"})
    assert {path.name for path in folder.iterdir()} == {*texts.names(), texts.MARK}


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ExistsError, match="not empty"):
        texts.prepare(tmp_path, {"model": "m"})
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(UsageError, match="a folder is needed"):
        texts.prepare(tmp_path / "mine.txt", {"model": "m"})


def test_a_demo_of_another_model_is_left_alone(tmp_path: Path) -> None:
    texts.prepare(tmp_path, {"model": "m"})
    with pytest.raises(ExistsError, match="another model"):
        texts.prepare(tmp_path, {"model": "other"})


def test_a_demo_that_was_killed_as_it_began_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / f".{texts.MARK}.part").write_text("{")
    texts.prepare(tmp_path, {"model": "m"})
    assert (tmp_path / texts.MARK).exists()


def test_a_file_that_was_changed_is_left_alone(tmp_path: Path) -> None:
    texts.prepare(tmp_path, {"model": "m"})
    (tmp_path / texts.PROMPTS).write_text("mine")
    with pytest.raises(ExistsError, match=texts.PROMPTS):
        texts.prepare(tmp_path, {"model": "m"})
    assert (tmp_path / texts.PROMPTS).read_text() == "mine"
