"""A folder that is there already: with other settings, with other prompts, changed by somebody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from goodctl.corpus import Corpus
from goodctl.errors import DamagedError, ExistsError, InputError, Interrupted, UsageError
from goodctl.scoring.protocol import ScorerOptions
from goodctl.workflows.build import add
from goodctl.workflows.choices import Text
from goodctl.workflows.run_folder import RunFolder
from tests.fakes.scorers import FakeScorer
from tests.workflows.generating import PROMPTS, stores, write_prompts
from tests.workflows.running import WholeRun, contents, edited
from tests.workflows.test_run import Faults, data


@pytest.fixture
def whole(tmp_path: Path, prompts: str, places: dict[str, str]) -> WholeRun:
    return WholeRun(tmp_path, prompts, places)


def of(folder: Path, *parts: str) -> dict[str, bytes | str]:
    """Files of a folder whose names have one of some parts."""
    return {name: content for name, content in contents(folder).items() if any(part in name for part in parts)}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seed": 1}, "seed: 0 → 1"),
        ({"alpha": 2.0}, "alpha: none → 2.0"),
        ({"with_base": False}, "with_base: True → False"),
        ({"threshold": 0.4, "page": True}, "page: False → True; threshold: 0.5 → 0.4"),
        ({"attributes": ("toxicity", "insult")}, "attributes: toxicity → toxicity, insult"),
        ({"toxic": ()}, "none"),
    ],
)
def test_other_settings_are_refused_by_name(whole: WholeRun, changed: dict[str, Any], said: str) -> None:
    whole()
    before = contents(whole.out)
    with pytest.raises(ExistsError) as error:
        whole(**changed)
    assert said in error.value.message
    assert "--overwrite" in str(error.value.hint)
    assert contents(whole.out) == before


def test_a_figure_asked_for_otherwise_costs_neither_text_nor_score(whole: WholeRun, tmp_path: Path) -> None:
    whole(group_by="lang", page=True)
    whole(overwrite=True, threshold=0.25)
    assert not whole.generated
    assert whole.asked == 0
    fresh = tmp_path / "fresh"
    whole(out=fresh, threshold=0.25)
    assert sorted(contents(whole.out)) == sorted(contents(fresh)), "no table of groups and no page is left over"
    assert data(whole.out) == data(fresh)
    assert whole.manifest.outputs.keys() == {name for name in data(whole.out) if "explain" not in name}


def test_another_scorer_keeps_the_texts(whole: WholeRun, tmp_path: Path) -> None:
    whole()
    texts = of(whole.out, "base.jsonl", "steered.jsonl")

    def other(options: ScorerOptions) -> FakeScorer:
        return FakeScorer(options.attributes, version="2")

    whole(other, overwrite=True, attributes=("toxicity", "insult"))
    assert not whole.generated
    assert whole.asked > 20
    assert of(whole.out, "base.jsonl", "steered.jsonl") == texts
    whole(other, out=tmp_path / "fresh", attributes=("toxicity", "insult"))
    assert data(whole.out) == data(tmp_path / "fresh")


def test_other_texts_need_other_scores(whole: WholeRun, tmp_path: Path) -> None:
    whole()
    whole(overwrite=True, seed=5)
    assert whole.generated
    whole(out=tmp_path / "fresh", seed=5)
    assert data(whole.out) == data(tmp_path / "fresh")
    assert not whole.manifest.retaken


def test_the_base_model_can_be_added_and_left_out(whole: WholeRun, tmp_path: Path) -> None:
    whole(with_base=False)
    steered = (whole.out / "steered.jsonl").stat().st_mtime_ns
    whole(overwrite=True)
    assert (whole.out / "steered.jsonl").stat().st_mtime_ns == steered
    whole(out=tmp_path / "fresh")
    assert data(whole.out) == data(tmp_path / "fresh")
    result = whole(overwrite=True, with_base=False)
    assert result.evaluation is not None
    assert len(result.evaluation.files) == 1
    assert not list(whole.out.glob("figures/base*"))
    assert not [name for name in result.files if "base" in Path(name).name]
    assert whole(with_base=False).finished_before
    whole(overwrite=True)
    assert not whole.generated, "what was generated once is still there"
    assert whole.asked == 0


def test_other_texts_while_the_base_model_is_left_out(whole: WholeRun, tmp_path: Path) -> None:
    whole()
    whole(overwrite=True, with_base=False, seed=3)
    whole(overwrite=True, seed=3)
    whole(out=tmp_path / "fresh", seed=3)
    assert data(whole.out) == data(tmp_path / "fresh"), "the texts of the old seed are not taken for those of the new"


@pytest.mark.parametrize("after", [0, 7, 20])
def test_overwriting_that_is_stopped_goes_on_without_being_told_again(
    whole: WholeRun, tmp_path: Path, after: int
) -> None:
    whole()
    with pytest.raises(Interrupted):
        whole(Faults(stop_after=after), overwrite=True, seed=5)
    assert whole.manifest.retaken
    whole(seed=5)
    whole(out=tmp_path / "fresh", seed=5)
    assert data(whole.out) == data(tmp_path / "fresh")


def test_overwriting_stopped_and_told_again_keeps_what_it_has(whole: WholeRun) -> None:
    whole()
    with pytest.raises(Interrupted):
        whole(Faults(stop_after=7), overwrite=True, seed=5)
    answered = whole.asked - 1
    whole(overwrite=True, seed=5)
    assert not whole.generated
    assert whole.asked <= 30 - answered + 4


def test_a_finished_run_is_made_anew_when_asked_for(whole: WholeRun) -> None:
    whole()
    before = contents(whole.out)
    result = whole(overwrite=True)
    assert whole.generated
    assert not result.finished_before
    assert whole.asked == 0, "answers are kept"
    assert data(whole.out) == {name: content for name, content in before.items() if name in data(whole.out)}


def test_a_scorer_that_fails_while_overwriting_leaves_no_figures_of_other_scores(whole: WholeRun) -> None:
    whole(page=True)
    failed = whole(Faults(share=0.9), page=True, overwrite=True, seed=5)
    assert failed.evaluation is None
    assert not of(whole.out, "figures", "report", "evaluation")
    assert failed.files == tuple(str(whole.out / name) for name in sorted(data(whole.out), key=failed_order))


def failed_order(name: str) -> tuple[bool, bool]:
    return "scored" in name, ("base" in name) == ("scored" not in name)


@pytest.mark.parametrize("stopped", [False, True])
def test_prompts_that_have_changed_since(whole: WholeRun, tmp_path: Path, stopped: bool) -> None:
    if stopped:
        with pytest.raises(Interrupted):
            whole(Faults(stop_after=4))
    else:
        whole()
    write_prompts(Path(whole.settings.prompts), [*PROMPTS[:-1], {"prompt": "Another", "lang": "fr"}])
    with pytest.raises(ExistsError, match=r"prompts\.jsonl has changed"):
        whole()
    whole(overwrite=True)
    whole(out=tmp_path / "fresh")
    assert data(whole.out) == data(tmp_path / "fresh")


@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize("name", ["steered.jsonl", "base.scored.jsonl"])
def test_a_file_that_somebody_has_changed(whole: WholeRun, tmp_path: Path, name: str, stopped: bool) -> None:
    if stopped:
        with pytest.raises(Interrupted):
            whole(Faults(stop_after=20))  # all texts are there, and the scores of one side
    else:
        whole()
    (whole.out / name).write_bytes((whole.out / name).read_bytes().replace(b'"id": 7', b'"id": 6'))
    before = contents(whole.out)
    with pytest.raises(ExistsError, match=name):
        whole()
    assert contents(whole.out)[name] == before[name]
    mended = whole(overwrite=True)
    if "scored" in name:
        assert not any(each.tokens for each in mended.generated.values()), "what was generated is kept"
    whole(out=tmp_path / "fresh")
    assert data(whole.out) == data(tmp_path / "fresh")


def test_a_kill_before_an_overwritten_run_begins_is_gone_on_with_as_the_new_one(
    tmp_path: Path, prompts: str, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = stores(tmp_path, tiny)
    whole = WholeRun(tmp_path, prompts, own)
    whole()
    before = whole.manifest.settings.toxic
    (tmp_path / "more.txt").write_text("Bad evening to all of you.\n")
    add(own["toxic"], Text(Corpus((str(tmp_path / "more.txt"),), language="en")))

    def killed(_folder: RunFolder) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "discard_data", killed)
        with pytest.raises(KeyboardInterrupt):
            whole(overwrite=True)
    whole()
    assert whole.manifest.settings.toxic != before
    assert whole().finished_before


def test_a_changed_table_is_written_again(whole: WholeRun) -> None:
    whole()
    before = contents(whole.out)
    table = whole.out / "figures" / "base.scored_toxicity.csv"
    table.write_text("mine\n")
    assert not whole().finished_before
    assert contents(whole.out) == before


def test_a_damaged_manifest(whole: WholeRun, tmp_path: Path) -> None:
    whole()
    manifest = whole.out / "manifest.json"
    manifest.write_text(manifest.read_text()[:200])
    with pytest.raises(DamagedError) as error:
        whole()
    assert "--overwrite" in str(error.value.hint)
    whole(overwrite=True)
    whole(out=tmp_path / "fresh")
    assert data(whole.out) == data(tmp_path / "fresh")


@pytest.mark.parametrize(("version", "message"), [(2, "another version"), (1, "no manifest of a whole run")])
def test_a_manifest_that_is_not_ours_is_left_alone(whole: WholeRun, version: int, message: str) -> None:
    whole()
    manifest = whole.out / "manifest.json"
    edited(manifest, format_version=version, **({} if version == 2 else {"format": "web-extension"}))
    before = manifest.read_bytes()
    for overwrite in (False, True):
        with pytest.raises(InputError, match=message):
            whole(overwrite=overwrite)
    assert manifest.read_bytes() == before


def test_a_folder_of_something_else(whole: WholeRun) -> None:
    whole.out.mkdir()
    (whole.out / "notes.txt").touch()
    for overwrite in (False, True):
        with pytest.raises(ExistsError, match="is not empty"):
            whole(overwrite=overwrite)
    (whole.out / "notes.txt").unlink()
    (whole.out / ".manifest.json.part").write_text("{")  # killed as it began
    assert whole().error is None
    assert not (whole.out / ".manifest.json.part").exists()


def test_no_folder(whole: WholeRun, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is no folder"):
        whole(out=tmp_path / "file")
    with pytest.raises(UsageError, match="is no name"):
        whole(out=Path("a\0b"))
