from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from goodctl.errors import DamagedError, InputError, NotFoundError
from goodctl.workflows.run_manifest import RunManifest
from goodctl.workflows.run_settings import RunSettings
from tests.workflows.running import edited

MANIFEST = RunManifest(
    settings=RunSettings("p.jsonl", toxic=("toxic@A",), scorer="profanity", temperature=24.5),
    asked={"toxic": ("toxic",), "nontoxic": (), "store": ()},
    prompts={"file": "p.jsonl", "sha256": "0" * 64, "count": 3},
    threads=2,
    batch_size=8,
    folder="/somewhere",
    done=("generate steered",),
    outputs={"steered.jsonl": "1" * 64},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    MANIFEST.write(tmp_path / "manifest.json")
    return tmp_path / "manifest.json"


def test_what_is_written_is_read(path: Path) -> None:
    assert RunManifest.read(path) == MANIFEST
    assert RunManifest.read(path.parent) == MANIFEST, "the folder does as well"


def test_members_of_later_versions_are_ignored(path: Path) -> None:
    edited(path, colour="red")
    assert RunManifest.read(path) == MANIFEST


@pytest.mark.parametrize(
    "members",
    [
        *({name: ...} for name in RunManifest.__dataclass_fields__),
        *({name: None} for name in RunManifest.__dataclass_fields__ if name != "finished_at"),
        {"settings": {"run": {"prompts": 5}}},
        {"settings": {"run": {"nosuch": 5}}},
        {"settings": {"run": {"out": "run"}}},
        {"settings": {"scoring": {"attributes": ["no name!"]}}},
        {"asked": {"toxic": "toxic", "nontoxic": [], "store": []}},
        {"asked": {"toxic": [1], "nontoxic": [], "store": []}},
        {"asked": {"other": []}},
        {"prompts": {"sha256": 1}},
        {"threads": 0},
        {"threads": True},
        {"threads": 10**9},
        {"batch_size": 0},
        {"batch_size": 2.5},
        {"done": "generate steered"},
        {"done": [1]},
        {"outputs": {"steered.jsonl": 1}},
        {"repeats": [1]},
        {"retaken": "no"},
        {"finished_at": 5},
        {"versions": []},
        {"folder": 7},
    ],
)
def test_damage_is_found(path: Path, members: dict[str, Any]) -> None:
    edited(path, **members)
    with pytest.raises(DamagedError) as error:
        RunManifest.read(path)
    assert str(path) in error.value.message
    assert "--overwrite" in str(error.value.hint)


@pytest.mark.parametrize("text", ["", "{", "[1]", "nul", '{"format": "goodctl-run", "format_version": 1}'])
def test_what_is_no_manifest(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises((DamagedError, InputError)):
        RunManifest.read(path)


def test_hints_name_the_option(path: Path) -> None:
    edited(path, format_version=2)
    with pytest.raises(InputError, match="another version of goodctl") as error:
        RunManifest.read(path, "--from")
    assert error.value.hint == "Choose another --from, or take the goodctl that wrote it."
    with pytest.raises(NotFoundError):
        RunManifest.read(path.parent / "nosuch.json")


def test_stores_are_the_same_with_and_without_their_version() -> None:
    asked = MANIFEST.as_asked()
    assert asked.toxic == ("toxic",)
    assert MANIFEST.differences(asked) == {}
    assert MANIFEST.differences(MANIFEST.settings) == {}
    assert MANIFEST.differences(replace(asked, toxic=("toxic@B",))) == {"toxic": "toxic: toxic → toxic@B"}
    assert MANIFEST.differences(replace(asked, k=5)) == {"k": "k: 1024 → 5"}


def test_only_files_of_its_own_sides_are_compared() -> None:
    outputs = {"base.jsonl": "a", "steered.scored.jsonl": "b", "figures/base.scored_toxicity.csv": "c"}
    manifest = replace(MANIFEST, outputs=outputs)
    assert manifest.own_outputs() == {"steered.scored.jsonl": "b"}
    both = replace(manifest, settings=replace(manifest.settings, with_base=True))
    assert both.own_outputs() == outputs


def test_all_of_it_is_json(path: Path) -> None:
    stored = json.loads(path.read_text())
    assert (stored["format"], stored["format_version"]) == ("goodctl-whole-run", 1)
    assert list(stored["settings"]) == ["run", "model", "steering", "generation", "scoring", "evaluation"]
