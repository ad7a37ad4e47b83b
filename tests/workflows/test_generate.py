from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from goodctl.corpus import Corpus
from goodctl.datastore.store import Datastore
from goodctl.errors import (
    ExistsError,
    Interrupted,
)
from goodctl.progress import Progress
from goodctl.steering.decode import Batch, Decoder, Step
from goodctl.workflows.build import add
from goodctl.workflows.choices import Text
from goodctl.workflows.generate_choice import GenerateRun
from goodctl.workflows.steering_choice import SteeringChoice, chosen
from tests.fakes.tiny import tiny_model_folder
from tests.workflows.generating import PROMPTS, SAMPLING, Stop, lines, run, steering, stores, write_prompts

METHODS = (
    "base",
    "datastores",
    "toxic only",
    "nontoxic only",
    "knn-lm",
    "knn-lm-discourage",
    "dexperts",
    "expert only",
)


def choice_of(name: str, places: dict[str, str], model: str, other: str) -> SteeringChoice:
    toxic, nontoxic = places["toxic"], places["nontoxic"]
    return {
        "base": lambda: chosen(None),
        "datastores": lambda: chosen(None, toxic=[toxic], nontoxic=[nontoxic], k=16),
        "toxic only": lambda: chosen(None, toxic=[toxic], k=16),
        "nontoxic only": lambda: chosen(None, nontoxic=[nontoxic], k=16),
        "knn-lm": lambda: chosen(None, store=[nontoxic], k=16),
        "knn-lm-discourage": lambda: chosen("knn-lm-discourage", store=[toxic], k=16),
        "dexperts": lambda: chosen(None, expert=model, antiexpert=other),
        "expert only": lambda: chosen(None, expert=other),
    }[name]()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_continues_every_prompt(
    method: str, places: dict[str, str], prompts: str, tiny: str, other_tiny: str, tmp_path: Path
) -> None:
    how = choice_of(method, places, tiny, other_tiny)
    result = run(prompts, tmp_path / "out.jsonl", how, model=tiny)
    written = lines(tmp_path / "out.jsonl")
    assert [{name: line[name] for name in PROMPTS[0]} for line in written] == PROMPTS
    assert all(len(line["generations"]) == 3 for line in written)
    assert all(isinstance(text, str) for line in written for text in line["generations"])
    assert len({text for line in written for text in line["generations"]}) > 5, "sampled, not repeated"
    assert (result.prompts, result.resumed, result.failed, result.truncated) == (5, 0, 0, 0)
    assert result.tokens <= 5 * 3 * 5
    assert (result.searched is not None) == (method not in {"base", "dexperts", "expert only"})


def test_steering_changes_the_text_and_alpha_0_does_not(places: dict[str, str], prompts: str, tmp_path: Path) -> None:
    texts = {}
    for alpha in (0.0, 1.0, 20.0):
        run(prompts, tmp_path / f"{alpha}.jsonl", steering(places, alpha=alpha))
        texts[alpha] = [line["generations"] for line in lines(tmp_path / f"{alpha}.jsonl")]
    assert texts[0.0] != texts[1.0] != texts[20.0]
    assert run(prompts, tmp_path / "0.0.jsonl", steering(places, alpha=0.0), overwrite=True).searched == 0


def test_the_manifest_says_all_that_decides_the_text(places: dict[str, str], prompts: str, tmp_path: Path) -> None:
    result = run(prompts, tmp_path / "out.jsonl", steering(places, k_nontoxic=4), batch_size=2)
    manifest = json.loads(Path(result.manifest).read_text())
    settings = manifest["settings"]
    toxic = Datastore.open(places["toxic"])
    assert settings["toxic"] == [{"store": places["toxic"], "snapshot": toxic.version.id, "rows": toxic.rows}]
    assert set(settings["model"]["fingerprint"]) == {"config", "tokenizer", "weights"}
    assert (settings["k"], settings["k_nontoxic"], settings["alpha"], settings["filter_p"]) == (16, 4, 1.0, 0.9)
    assert (
        settings["temperature"] == result.temperature == pytest.approx(sum(manifest["measured"].values()) / 2, rel=1e-3)
    )
    assert (settings["seed"], settings["num_return_sequences"], settings["max_new_tokens"]) == (4, 3, 5)
    assert (manifest["batch_size"], manifest["threads"], manifest["precision"]) == (2, torch.get_num_threads(), "fp32")
    assert manifest["prompts"]["count"] == 5 and len(manifest["prompts"]["sha256"]) == 64
    assert manifest["versions"]["torch"] == torch.__version__
    assert manifest["finished_at"] and manifest["tokens"] == result.tokens and manifest["halvings"] == []
    assert settings["searched_by"] == {"toxic": "keys", "nontoxic": "keys"}
    assert settings["model"]["trust_remote_code"] is False


def test_one_temperature_for_both_sides_and_a_tenth_for_a_mixture(
    places: dict[str, str], prompts: str, tmp_path: Path
) -> None:
    both = run(prompts, tmp_path / "both.jsonl", steering(places))
    mixture = run(prompts, tmp_path / "knn.jsonl", chosen(None, store=[places["nontoxic"]], k=16))
    assert set(both.measured) == {"toxic", "nontoxic"}
    assert mixture.temperature == pytest.approx(0.1 * mixture.measured["store"], rel=1e-3)
    assert run(prompts, tmp_path / "n.jsonl", steering(places, temperature=3.25)).temperature == 3.25


def test_the_published_preset(places: dict[str, str], prompts: str, tiny: str, tmp_path: Path) -> None:
    english = run(prompts, tmp_path / "a.jsonl", steering(places, preset="published"))
    settings = json.loads(Path(english.manifest).read_text())["settings"]
    assert (settings["alpha"], settings["temperature"]) == (2.0, 100.0)
    assert run(prompts, tmp_path / "b.jsonl", steering(places, preset="published", temperature=5.0)).temperature == 5.0
    more = stores(tmp_path, tiny)
    (tmp_path / "fr.txt").write_text("Bonjour à tous.\n" * 3)
    add(more["toxic"], Text(Corpus((str(tmp_path / "fr.txt"),), language="fr")))
    assert run(prompts, tmp_path / "c.jsonl", steering(more, preset="published")).temperature == 200.0


def test_several_stores_are_searched_as_one(places: dict[str, str], prompts: str, tmp_path: Path) -> None:
    how = chosen(None, toxic=[places["toxic"], places["nontoxic"]], nontoxic=[places["nontoxic"]], k=16)
    result = run(prompts, tmp_path / "out.jsonl", how)
    settings = json.loads(Path(result.manifest).read_text())["settings"]
    assert [each["store"] for each in settings["toxic"]] == [places["toxic"], places["nontoxic"]]


def test_interrupted_and_run_again_ends_with_the_same_bytes(
    places: dict[str, str], prompts: str, tmp_path: Path
) -> None:
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    run(prompts, whole, steering(places), batch_size=2, explain=3)
    for stop_after in (1, 1):
        with pytest.raises(Interrupted, match=r"Stopped after \d of 5 prompts"):
            run(prompts, out, steering(places), GenerateRun(Stop(stop_after)), batch_size=2, explain=3)
    result = run(prompts, out, steering(places), explain=3)
    assert result.resumed == 4
    assert out.read_bytes() == whole.read_bytes()
    assert Path(f"{out}.explain.jsonl").read_bytes() == Path(f"{whole}.explain.jsonl").read_bytes()
    again = run(prompts, out, steering(places), explain=3)
    assert (again.resumed, again.tokens) == (5, 0)
    assert out.read_bytes() == whole.read_bytes()


def test_a_run_that_goes_on_keeps_its_batches_and_its_threads(
    places: dict[str, str], prompts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    decode = Decoder.decode

    def watched(decoder: Decoder, batch: Batch) -> Iterator[Step]:
        seen.append((len(batch.prompts), torch.get_num_threads()))
        return decode(decoder, batch)

    monkeypatch.setattr(Decoder, "decode", watched)
    threads, notes = torch.get_num_threads(), list[str]()
    out = tmp_path / "out.jsonl"
    try:
        torch.set_num_threads(3)
        with pytest.raises(Interrupted):
            run(prompts, out, steering(places), GenerateRun(Stop(1)), batch_size=2)
        torch.set_num_threads(1)
        report = GenerateRun(report=lambda event: notes.extend([event.note] if event.note else []))
        run(prompts, out, steering(places), report)
    finally:
        torch.set_num_threads(threads)
    assert seen == [(2, 3), (2, 3), (1, 3)]
    assert "computing with 3 threads, as this output was begun" in notes


def test_a_temperature_is_measured_once_for_a_run(places: dict[str, str], prompts: str, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(Interrupted):
        run(prompts, out, steering(places), GenerateRun(Stop(1)), batch_size=2)
    path = Path(f"{out}.manifest.json")
    manifest = json.loads(path.read_text())
    manifest["settings"]["temperature"] = 2.5  # as if another version measured in another way
    path.write_text(json.dumps(manifest))
    result = run(prompts, out, steering(places))
    assert (result.resumed, result.temperature) == (2, 2.5)
    with pytest.raises(ExistsError, match=r"temperature: 2\.5 → 3\.0"):
        run(prompts, out, steering(places, temperature=3.0))
    anew = run(prompts, out, steering(places), overwrite=True).temperature
    assert anew != 2.5 and json.loads(path.read_text())["settings"]["temperature"] == anew


def test_an_empty_prompt_begins_with_the_token_for_it(places: dict[str, str], tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "p.jsonl", [{"prompt": ""}, {"prompt": "A"}])
    result = run(prompts, tmp_path / "out.jsonl", steering(places))
    assert [len(line["generations"]) for line in lines(result.out)] == [3, 3]


def test_an_empty_prompt_without_such_a_token_is_reported_on_its_line(tmp_path: Path) -> None:
    folder = tiny_model_folder(tmp_path / "m")
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        settings = json.loads((folder / name).read_text())
        settings["bos_token_id" if "tokenizer" not in name else "bos_token"] = None
        (folder / name).write_text(json.dumps(settings))
    prompts = write_prompts(tmp_path / "p.jsonl", [{"prompt": "A"}, {"prompt": "", "id": 1}])
    result = run(prompts, tmp_path / "out.jsonl", chosen(None), model=str(folder), explain=2)
    first, second = lines(result.out)
    assert len(first["generations"]) == 3 and "error" not in first
    assert (second["generations"], second["id"]) == ([], 1) and "the prompt is empty" in second["error"]
    assert result.failed == 1
    assert [bool(each["tokens"]) for each in lines(str(result.explanations))] == [True, False]


def test_a_long_prompt_keeps_its_end_and_says_so(places: dict[str, str], tmp_path: Path) -> None:
    long, short = "x" * 100 + "Good morning", "x" * 47 + "Good morning"
    prompts = write_prompts(tmp_path / "p.jsonl", [{"prompt": long}, {"prompt": short}])
    notes: list[str] = []
    report = GenerateRun(report=lambda event: notes.extend([event.note] if event.note else []))
    result = run(prompts, tmp_path / "out.jsonl", steering(places), report)
    assert [note for note in notes if "cut at their beginning" in note] == notes != []
    cut, kept = lines(result.out)
    assert cut["prompt_tokens_dropped"] == 112 - (64 - 5) and cut["prompt"] == long
    assert "prompt_tokens_dropped" not in kept
    assert result.truncated == 1


def test_progress_tells_prompts_speed_and_skipped_searches(
    places: dict[str, str], prompts: str, tmp_path: Path
) -> None:
    events: list[Progress] = []
    run(prompts, tmp_path / "out.jsonl", steering(places), GenerateRun(report=events.append), batch_size=2)
    moving = [event for event in events if event.stage == "generating"]
    assert [event.done for event in moving][-1] == 5 and moving[-1].finished
    assert all(event.total == 5 and event.unit == "prompts" for event in moving)
    assert any("tokens/s, " in event.detail and event.detail.endswith("% skipped") for event in moving)
    assert SAMPLING.max_new_tokens * 3 >= len(moving) - 2 > 3
    assert [event.done for event in moving] == sorted(event.done for event in moving)
    assert {event.done for event in moving} == set(range(6))  # within a batch too
