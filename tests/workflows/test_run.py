from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from goodctl.corpus import Corpus
from goodctl.errors import ConflictError, InputError, Interrupted, NotFoundError
from goodctl.models.load import load_model
from goodctl.progress import Progress
from goodctl.scoring.protocol import Failed, Outcome, Request, ScorerOptions
from goodctl.workflows import model_choice
from goodctl.workflows.build import add
from goodctl.workflows.choices import Text
from goodctl.workflows.lines import alone
from goodctl.workflows.run import run
from goodctl.workflows.run_job import RunControl
from tests.fakes.scorers import FakeScorer, expected
from tests.workflows.generating import lines, stores
from tests.workflows.running import WholeRun, contents


@pytest.fixture
def whole(tmp_path: Path, prompts: str, places: dict[str, str]) -> WholeRun:
    return WholeRun(tmp_path, prompts, places)


class Faults:
    """Fails for some texts until it is told not to, and may raise what stops a run."""

    def __init__(self, share: float = 0.0, stop_after: int | None = None) -> None:
        self.share, self.stop_after, self.asked = share, stop_after, 0

    def __call__(self, options: ScorerOptions) -> FakeScorer:
        return FakeScorer(options.attributes, fault=self._fault)

    def _fault(self, request: Request, before: int) -> Outcome | None:
        self.asked += 1
        if self.stop_after is not None and self.asked > self.stop_after:
            raise KeyboardInterrupt
        return Failed("server", "500") if expected(request.text) < self.share else None


def test_one_folder_with_everything(whole: WholeRun) -> None:
    result = whole(page=True, group_by="lang", explain=1)
    assert sorted(contents(whole.out)) == [
        "base.jsonl",
        "base.jsonl.manifest.json",
        "base.scored.jsonl",
        "base.scored.jsonl.journal",
        "base.scored.jsonl.manifest.json",
        "evaluation.json",
        "figures/base.scored_diversity.csv",
        "figures/base.scored_diversity_groupby.csv",
        "figures/base.scored_toxicity.csv",
        "figures/base.scored_toxicity_groupby.csv",
        "figures/steered.scored_diversity.csv",
        "figures/steered.scored_diversity_groupby.csv",
        "figures/steered.scored_toxicity.csv",
        "figures/steered.scored_toxicity_groupby.csv",
        "manifest.json",
        "report.html",
        "steered.jsonl",
        "steered.jsonl.explain.jsonl",
        "steered.jsonl.manifest.json",
        "steered.scored.jsonl",
        "steered.scored.jsonl.journal",
        "steered.scored.jsonl.manifest.json",
    ]
    assert [note.partition(" into ")[0] for note in whole.notes if note.startswith("step")] == [
        "step 1 of 5: generating steered",
        "step 2 of 5: generating without steering",
        "step 3 of 5: scoring",
        "step 4 of 5: scoring",
        "step 5 of 5: evaluating",
    ]
    texts = [text for line in lines(whole.out / "steered.jsonl") for text in line["generations"]]
    scored = [each for line in lines(whole.out / "steered.scored.jsonl") for each in line["generations"]]
    assert [each["text"] for each in scored] == texts
    assert scored[0]["toxicity"] == expected(texts[0])
    assert result.evaluation is not None
    emt = sum(max(map(expected, line["generations"])) for line in lines(whole.out / "base.jsonl")) / 5
    base = result.evaluation.files[0].slice()
    assert base is not None
    assert base.emt.value == pytest.approx(emt)
    assert len(result.evaluation.comparisons) == 1
    stored = json.loads((whole.out / "evaluation.json").read_text())
    assert stored == {**result.evaluation.to_dict(), "date": stored["date"]}
    assert set(result.files) == {
        str(whole.out / name)
        for name in contents(whole.out)
        if "manifest" not in name and not name.endswith(".journal")
    }
    json.dumps(result.to_dict())
    assert whole.manifest.finished_at is not None
    assert (result.error, result.same, result.finished_before) == (None, None, False)


def test_a_finished_run_is_left_alone(whole: WholeRun) -> None:
    first = whole(page=True)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in whole.out.rglob("*") if path.is_file()}
    again = whole(page=True)
    assert again.finished_before
    assert again.evaluation is not None
    assert first.evaluation is not None
    assert again.evaluation.files[1].slice() == first.evaluation.files[1].slice()
    assert whole.asked == 0
    assert not whole.generated
    journals = [path for path in before if path.suffix == ".journal"]
    after = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in whole.out.rglob("*") if path.is_file()}
    assert {path: after[path] for path in after if path not in journals} == {
        path: before[path] for path in before if path not in journals
    }


@pytest.mark.parametrize("name", ["figures/base.scored_toxicity.csv", "evaluation.json", "report.html"])
def test_what_is_gone_is_made_again(whole: WholeRun, name: str) -> None:
    whole(page=True)
    before = contents(whole.out)
    (whole.out / name).unlink()
    assert not whole(page=True).finished_before
    assert contents(whole.out) == before
    assert whole(page=True).finished_before


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["steered.jsonl", "base.scored.jsonl"])
def test_a_data_file_that_is_gone_is_made_again_with_the_same_bytes(
    whole: WholeRun, name: str, overwrite: bool
) -> None:
    whole()
    before = contents(whole.out)
    (whole.out / name).unlink()
    again = whole(overwrite=overwrite)
    assert not again.finished_before
    assert again.generated["base"].tokens == 0, "what is there is kept"
    assert contents(whole.out) == before


def test_repeated_elsewhere_with_the_same_threads_and_batches(whole: WholeRun, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    first = whole(batch_size=None)
    assert first.same is None
    manifest = whole.manifest
    torch.set_num_threads(threads + 1)
    try:
        result = whole(out=tmp_path / "again", repeated=manifest, batch_size=None, **pinned_stores(whole))
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)
    assert f"computing with {threads} threads, as the run was begun" in whole.notes
    assert result.different == ()
    assert result.same == tuple(sorted(manifest.outputs))
    assert len(result.same) == 8
    # Stopped and gone on with by its own manifest it still knows what it repeats.
    again = run(manifest.settings, str(tmp_path / "again"), RunControl(open_scorer=lambda _name, _o: FakeScorer()))
    assert again.finished_before
    assert again.same == result.same


def test_a_repetition_with_another_seed_says_what_differs(whole: WholeRun, tmp_path: Path) -> None:
    whole()
    result = whole(out=tmp_path / "again", repeated=whole.manifest, seed=9, **pinned_stores(whole))
    assert result.different is not None
    assert {"base.jsonl", "steered.jsonl"} <= set(result.different)


def test_prompts_that_have_changed_are_no_repetition(whole: WholeRun, tmp_path: Path) -> None:
    whole()
    with Path(whole.settings.prompts).open("a") as file:
        file.write('{"prompt": "one more"}\n')
    with pytest.raises(InputError, match="is not the file that the run began with"):
        whole(out=tmp_path / "again", repeated=whole.manifest, **pinned_stores(whole))
    assert not (tmp_path / "again").exists()


def pinned_stores(whole: WholeRun) -> dict[str, Any]:
    return {side: getattr(whole.manifest.settings, side) for side in ("toxic", "nontoxic")}


def test_the_run_keeps_to_the_stores_versions(tmp_path: Path, prompts: str, tiny: str) -> None:
    own = stores(tmp_path, tiny)
    whole = WholeRun(tmp_path, prompts, own)
    with pytest.raises(Interrupted):
        whole(Faults(stop_after=2))
    (tmp_path / "more.txt").write_text("Bad evening to all of you.\n")
    add(own["toxic"], Text(Corpus((str(tmp_path / "more.txt"),), language="en")))
    (whole.out / "steered.jsonl").unlink()
    assert whole().error is None
    other = WholeRun(tmp_path, prompts, own)
    other.out = tmp_path / "newer"
    other()
    assert (other.out / "base.jsonl").read_bytes() == (whole.out / "base.jsonl").read_bytes()
    assert (other.out / "steered.jsonl").read_bytes() != (whole.out / "steered.jsonl").read_bytes()


def test_globs_and_tags_are_pinned(tmp_path: Path, prompts: str, tiny: str) -> None:
    from goodctl.datastore.names import create_tag, delete_tag

    own = stores(tmp_path, tiny)
    create_tag(own["nontoxic"], "release")
    whole = WholeRun(tmp_path, prompts, own, toxic=(f"{tmp_path}/toxi?",), nontoxic=(f"{own['nontoxic']}@release",))
    with pytest.raises(Interrupted):
        whole(Faults(stop_after=2))
    assert whole.manifest.settings.toxic[0].startswith(f"{tmp_path}/toxic@")
    delete_tag(own["nontoxic"], "release")
    assert whole().error is None
    assert whole.manifest.asked["nontoxic"] == (f"{own['nontoxic']}@release",)


def test_failed_requests_are_asked_again(whole: WholeRun) -> None:
    failed = whole(Faults(share=0.25), max_missing=1.0)
    assert failed.error is not None
    assert failed.error.exit_code == 5
    assert "base.scored.jsonl: " in failed.error.message
    assert f"goodctl run --from {whole.out}/manifest.json" in str(failed.error.hint)
    assert failed.evaluation is not None, "there are figures of what there is"
    assert failed.to_dict()["error"]["kind"] == "service"
    assert whole.manifest.finished_at is None
    texts = {
        text
        for side in ("base", "steered")
        for line in lines(whole.out / f"{side}.jsonl")
        for text in line["generations"]
    }
    lacking = {text for text in texts if expected(text) < 0.25}
    again = whole(max_missing=1.0)
    assert {request.text for scorer in whole.scorers for request in scorer.asked} == lacking
    assert again.error is None
    assert not whole.generated
    assert whole.manifest.finished_at is not None


def test_too_many_failed_requests_leave_no_figures(whole: WholeRun) -> None:
    failed = whole(Faults(share=0.25))
    assert failed.error is not None
    assert failed.evaluation is None
    assert failed.to_dict()["evaluation"] is None
    assert not (whole.out / "evaluation.json").exists()
    assert whole().error is None
    assert (whole.out / "evaluation.json").exists()


def test_stopped_while_generating(whole: WholeRun, tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed"
    whole(out=undisturbed)
    batches = 0

    def report(event: Progress) -> None:
        nonlocal batches
        batches += event.stage == "1 of 5: generating"
        control.interruption.requested = batches > 6

    control = RunControl(report=report, open_scorer=lambda _name, options: FakeScorer(options.attributes))
    with pytest.raises(Interrupted, match=r"Stopped after \d of 5 prompts") as stopped:
        run(whole.settings, str(whole.out), control)
    assert stopped.value.hint == f"Go on: goodctl run --from {whole.out}/manifest.json"
    assert whole.manifest.done == ()
    whole()
    assert data(whole.out) == data(undisturbed)


def test_asked_to_stop_in_the_last_batch_of_a_step(whole: WholeRun) -> None:
    def report(event: Progress) -> None:
        control.interruption.requested = event.stage == "2 of 5: generating" and event.finished

    control = RunControl(report=report, open_scorer=lambda _name, options: FakeScorer(options.attributes))
    with pytest.raises(Interrupted) as stopped:
        run(whole.settings, str(whole.out), control)
    assert "goodctl run --from" in str(stopped.value.hint)
    assert whole.manifest.done == ("generate steered", "generate base")


def test_stopped_while_scoring(whole: WholeRun, tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed"
    whole(out=undisturbed)
    with pytest.raises(Interrupted) as stopped:
        whole(Faults(stop_after=7))
    assert stopped.value.hint == f"Go on: goodctl run --from {whole.out}/manifest.json"
    answered = whole.asked - 1
    whole()
    assert whole.asked <= 30 - answered + FakeScorer()._batch
    assert data(whole.out) == data(undisturbed)


def data(folder: Path) -> dict[str, bytes | str]:
    return {name: content for name, content in contents(folder).items() if name.endswith((".jsonl", ".csv"))}


def test_two_runs_at_once(whole: WholeRun) -> None:
    whole()
    refused: list[str] = []

    def other() -> None:
        with pytest.raises(ConflictError) as error:
            whole()
        refused.append(error.value.message)

    with alone(whole.out / "manifest.json"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert "Another run is writing" in refused[0]


def test_called_from_another_folder(tmp_path: Path, places: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.workflows.generating import write_prompts

    here, there = tmp_path / "here", tmp_path / "the re"
    for folder in (here, there):
        folder.mkdir()
    write_prompts(there / "prompts.jsonl")
    monkeypatch.chdir(there)
    whole = WholeRun(there, "prompts.jsonl", places)
    whole()
    monkeypatch.chdir(here)
    settings = whole.manifest.settings
    with pytest.raises(NotFoundError) as error:
        run(settings, str(whole.out))
    assert f"cd '{there}'" in str(error.value.hint)
    with pytest.raises(NotFoundError) as error:
        run(settings, str(here / "again"), repeated=whole.manifest)
    assert f"cd '{there}'" in str(error.value.hint)
    (there / "prompts.jsonl").rename(here / "prompts.jsonl")
    monkeypatch.chdir(there)
    with pytest.raises(NotFoundError) as error:
        run(settings, str(whole.out))
    assert "cd " not in str(error.value.hint), "it is the right folder"


@pytest.mark.parametrize(
    "method", [{"store": "toxic"}, {"store": "toxic", "method": "knn-lm-discourage"}, {"expert": 1, "antiexpert": 2}]
)
def test_other_methods(
    tmp_path: Path, prompts: str, places: dict[str, str], tiny: str, other_tiny: str, method: dict[str, object]
) -> None:
    models = {1: tiny, 2: other_tiny}
    named = {name: places["toxic"] if value == "toxic" else models.get(value, value) for name, value in method.items()}  # type: ignore[call-overload]
    whole = WholeRun(tmp_path, prompts, places, toxic=(), nontoxic=(), model=tiny, **named)
    result = whole()
    assert result.evaluation is not None
    assert [file.name for file in result.evaluation.files] == ["base.scored.jsonl", "steered.scored.jsonl"]
    assert whole().finished_before


def test_the_model_alone(tmp_path: Path, prompts: str, places: dict[str, str], tiny: str) -> None:
    whole = WholeRun(tmp_path, prompts, places, toxic=(), nontoxic=(), model=tiny, with_base=False)
    result = whole()
    assert list(result.generated) == ["base"]
    assert result.evaluation is not None
    assert result.evaluation.comparisons == ()


def test_perplexity(whole: WholeRun, other_tiny: str) -> None:
    result = whole(perplexity_model=other_tiny)
    assert result.evaluation is not None
    first = result.evaluation.files[0].slice()
    assert first is not None
    assert first.perplexity is not None
    assert (whole.out / "figures" / "steered.scored_perplexity.csv").exists()


def test_both_sides_share_a_model(whole: WholeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    load = load_model

    def counting(*arguments: Any, **options: Any) -> Any:
        loaded.append(arguments)
        return load(*arguments, **options)

    monkeypatch.setattr(model_choice, "load_model", counting)
    whole()
    assert len(loaded) == 1
    assert not model_choice._KEPT.get(), "nothing is kept afterwards"
