"""The demo from beginning to end, with a tiny model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from goodctl.datastore.store import Datastore
from goodctl.workflows import demo_texts as texts
from goodctl.workflows.demo import MOST_SHARE, Demo
from goodctl.workflows.demo_results import Built, Continued, as_values
from goodctl.workflows.run_job import RunControl


def play(show: Demo) -> dict[str, Any]:
    show.check()
    show.prepare()
    return {step.name: step.work(RunControl()) for step in show.steps()}


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "cache" not in path.parts
    }


def said(continued: tuple[Continued, ...]) -> list[tuple[str, str, float]]:
    """What does not depend on the folder."""
    return [
        (each.base, each.explanation["continuation"], sum(token["steered"] for token in each.explanation["tokens"]))
        for each in continued
    ]


@pytest.fixture(scope="module", autouse=True)
def fewer_lines() -> Iterator[None]:
    """A byte is a token of the tiny model: all texts would take it long."""
    with pytest.MonkeyPatch.context() as patch:
        whole = texts.read
        patch.setattr(texts, "read", lambda name: "".join(whole(name).splitlines(keepends=True)[:40]))
        yield


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, tiny: str) -> tuple[Demo, dict[str, Any]]:
    show = Demo(tmp_path_factory.mktemp("demo") / "d", tiny)
    return show, play(show)


def test_stores_have_the_languages(played: tuple[Demo, dict[str, Any]]) -> None:
    show, results = played
    for side in texts.SIDES:
        first = Datastore.open(f"{show.folder / side}@english")
        assert {each.language for each in first.segments} == {"en"}
        now = Datastore.open(str(show.folder / side))
        assert [each.language for each in now.segments] == list(texts.LANGUAGES)
        assert results["build"].rows[side] == first.rows
        assert results["add"].rows[side] == now.rows
        documents = sum(each.documents for each in now.segments)
        lines = [texts.read(texts.text_name(language, side)).splitlines() for language in texts.LANGUAGES]
        assert documents == sum(map(len, lines)), "each line is a document"


def test_k_fits_the_stores(played: tuple[Demo, dict[str, Any]]) -> None:
    show, results = played
    assert 1 <= show.settings().k * MOST_SHARE <= min(results["build"].rows.values())


def test_figures_are_those_of_this_run(played: tuple[Demo, dict[str, Any]]) -> None:
    show, results = played
    evaluation = results["run"].evaluation
    assert [file.name for file in evaluation.files] == ["base.scored.jsonl", "steered.scored.jsonl"]
    whole = evaluation.files[0].slice()
    assert (whole.prompts, whole.continuations) == (12, 120)
    assert whole.perplexity is not None
    assert evaluation.comparisons[0].shared == 12
    assert show.run_folder.page.exists()


def test_each_language_is_continued_and_explained(played: tuple[Demo, dict[str, Any]]) -> None:
    continued = played[1]["continue"]
    assert [each.language for each in continued] == list(texts.LANGUAGES)
    for each in continued:
        assert each.explanation["tokens"]
    sides = {side for each in continued for token in each.explanation["tokens"] for side in token["sides"]}
    assert sides == set(texts.SIDES)


def test_what_is_looked_at_is_the_toxic_store(played: tuple[Demo, dict[str, Any]]) -> None:
    look = played[1]["look"]
    assert [entry.command for entry in look.entries] == ["add", "add", "build"]
    assert look.described["rows"] == played[1]["add"].rows["toxic"]


def test_values_are_json(played: tuple[Demo, dict[str, Any]]) -> None:
    values = json.loads(json.dumps(as_values(played[1])))
    assert values["build"]["rows"]["toxic"] > 0
    assert len(values["add"]["written"]["toxic"]) == 2


def test_played_twice_nothing_is_made_anew(played: tuple[Demo, dict[str, Any]]) -> None:
    show, first = played
    before = hashes(show.folder)
    again = play(show)
    assert hashes(show.folder) == before
    assert again["build"] == Built({}, first["add"].rows)
    assert again["run"].finished_before
    assert again["run"].evaluation.files == first["run"].evaluation.files
    assert again["continue"] == first["continue"]


def test_stopped_after_any_step_it_ends_with_the_same(
    played: tuple[Demo, dict[str, Any]], tmp_path: Path, tiny: str
) -> None:
    show = Demo(tmp_path / "d", tiny)
    for most in range(1, 6):
        show.prepare()
        for _, step in zip(range(most), show.steps(), strict=False):
            step.work(RunControl())
    again = play(show)
    assert again["run"].evaluation.comparisons == played[1]["run"].evaluation.comparisons
    assert said(again["continue"]) == said(played[1]["continue"])
