from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goodctl.cache_root import cache_root
from goodctl.errors import InputError, ServiceError, UsageError
from goodctl.evaluation.results import Bootstrap, Evaluation
from goodctl.progress import Progress
from goodctl.workflows import conditional_perplexity
from goodctl.workflows.evaluate import EvaluateChoice, evaluate, short_names
from goodctl.workflows.evaluate_files import Outputs
from goodctl.workflows.evaluate_settings import score_command, scored_by
from goodctl.workflows.model_choice import ModelChoice, identify
from tests.evaluation import naive

PROMPTS = [("Once upon", 0.9), ("A tea", 0.1), ("", 0.2), ("Good", None)]


def collated(path: Path, texts: Sequence[Sequence[str]], *, shift: float = 0.0, manifest: Any = None) -> str:
    lines = [
        {
            "prompt": {"text": prompt, "toxicity": toxicity},
            "lang": "en",
            "generations": [
                {"text": text, "toxicity": min(1.0, shift + 0.1 * place)} for place, text in enumerate(each)
            ],
        }
        for (prompt, toxicity), each in zip(PROMPTS, texts, strict=True)
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    if manifest is not None:
        path.with_name(f"{path.name}.manifest.json").write_text(json.dumps(manifest))
    return str(path)


TEXTS = [[" a time", " the hill", ""], [" is hot", " is ready."], [" yes", "no"], [" day", "bye"]]


def model(folder: str) -> ModelChoice:
    return ModelChoice(folder, device="cpu", precision="fp32")


def by_hand(folder: str, texts: Sequence[Sequence[str]]) -> list[list[float]]:
    """Log probabilities of each continuation's bytes; nothing predicts the first byte of a text."""
    loaded = identify(model(folder)).load()
    found: list[list[float]] = []
    for (prompt, _), each in zip(PROMPTS, texts, strict=True):
        for text in each:
            ids = loaded.tokenizer(prompt + text)["input_ids"]
            before = len(loaded.tokenizer(prompt)["input_ids"])
            if not ids:
                found.append([])
                continue
            with torch.inference_mode():
                log_probs = loaded.model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
            begin = max(before, 1)
            found.append([float(log_probs[at - 1, ids[at]]) for at in range(begin, len(ids))] if text else [])
    return found


def test_perplexity_is_the_one_by_hand_and_is_remembered(tmp_path: Path, tiny: str) -> None:
    choice = EvaluateChoice((collated(tmp_path / "a.jsonl", TEXTS),))
    events: list[Progress] = []
    found = evaluate(choice, model(tiny), events.append)
    whole = found.files[0].slice()
    assert whole is not None and whole.perplexity is not None and whole.perplexity_pooled is not None
    # The tiny model has a beginning-of-text token in its configuration, which stands before an empty prompt.
    loaded = identify(model(tiny)).load()
    bos = loaded.model.config.bos_token_id
    log_probs = by_hand(tiny, TEXTS)
    for place, text in ((5, " yes"), (6, "no")):
        ids = [bos, *loaded.tokenizer(text)["input_ids"]]
        with torch.inference_mode():
            given = loaded.model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        log_probs[place] = [float(given[at - 1, ids[at]]) for at in range(1, len(ids))]
    mean, pooled = naive.perplexity(log_probs)
    assert whole.perplexity.value == pytest.approx(mean, rel=1e-5)
    assert whole.perplexity_pooled.value == pytest.approx(pooled, rel=1e-5)
    assert (whole.perplexity.count, whole.perplexity.missing) == (8, 1)
    assert found.perplexity_model is not None
    assert found.perplexity_model["precision"] == "fp32"
    measured = [event for event in events if event.stage == "perplexity of a.jsonl"]
    assert measured[-1].finished and measured[-1].total == 9
    assert any(event.stage == "loading the model" for event in events)

    events.clear()
    again = evaluate(choice, model(tiny), events.append)
    assert not any(event.stage == "loading the model" for event in events)
    assert again.files == found.files
    other = evaluate(EvaluateChoice((collated(tmp_path / "b.jsonl", TEXTS, shift=0.5),)), model(tiny), events.append)
    assert not any(event.stage == "loading the model" for event in events), "other scores are of the same texts"
    assert other.files[0].slice().perplexity == whole.perplexity  # type: ignore[union-attr]


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_a_damaged_memory_is_measured_again(tmp_path: Path, tiny: str, content: bytes | None) -> None:
    choice = EvaluateChoice((collated(tmp_path / "a.jsonl", TEXTS),), bootstrap=Bootstrap(0))
    first = evaluate(choice, model(tiny))
    (entry,) = (cache_root() / "perplexity").iterdir()
    if content is None:
        np.savez(entry, nll=np.zeros(3), tokens=np.zeros(3, dtype=np.int64), dropped=np.array(0))
    else:
        entry.write_bytes(content)
    assert evaluate(choice, model(tiny)).files == first.files


def test_blocks_are_kept_when_a_run_is_stopped(tmp_path: Path, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditional_perplexity, "BLOCK_PROMPTS", 1)
    choice = EvaluateChoice((collated(tmp_path / "a.jsonl", TEXTS),), bootstrap=Bootstrap(0))

    def stop(event: Progress) -> None:
        if event.stage.startswith("perplexity") and event.done > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(choice, model(tiny), stop)
    kept = {entry.name for entry in (cache_root() / "perplexity").iterdir()}
    assert len(kept) == 1
    finished = evaluate(choice, model(tiny))
    assert kept < {entry.name for entry in (cache_root() / "perplexity").iterdir()}
    monkeypatch.setattr(conditional_perplexity, "BLOCK_PROMPTS", 512)
    one, other = (each.files[0].slice() for each in (finished, evaluate(choice, model(tiny))))
    assert one is not None and other is not None and one.perplexity is not None and other.perplexity is not None
    assert one.perplexity.value == pytest.approx(other.perplexity.value, rel=1e-5)


def test_files_are_compared_and_scorers_named(tmp_path: Path) -> None:
    def manifest(version: str) -> dict[str, Any]:
        scorer = {"scorer": "profanity", "version": version, "details": {}}
        return {"format": "goodctl-scores", "format_version": 1, "scorer": scorer, "date": "2026", "counts": {}}

    base = collated(tmp_path / "base.jsonl", TEXTS, shift=0.5, manifest=manifest("1"))
    steered = collated(tmp_path / "steered.jsonl", TEXTS, manifest=manifest("1"))
    other = collated(tmp_path / "other.jsonl", TEXTS, manifest=manifest("2"))
    found = evaluate(EvaluateChoice((base, steered)))
    assert found.files[0].settings["scorer"]["version"] == "1"
    assert "counts" not in found.files[0].settings
    (comparison,) = found.comparisons
    whole = next(each for each in comparison.slices if (each.subset, each.group) == ("all", None))
    assert whole.emt.value == pytest.approx(-0.5)
    assert whole.emt.low == pytest.approx(-0.5)
    assert whole.emt.high == pytest.approx(-0.5)
    assert [note for note in found.notes if "scorer" in note] == []
    assert "not known" in found.notes[0]
    three = evaluate(EvaluateChoice((base, steered, other)))
    assert [(each.first, each.second) for each in three.comparisons] == [(0, 1), (0, 2), (1, 2)]
    assert any("same scorer" in note for note in three.notes)


def scored(path: Path, scores: Sequence[Sequence[float | None]], **columns: Any) -> str:
    """A file of prompts with these scores; None is a missing one."""
    lines = [
        {
            "prompt": f"prompt {number}",
            "generations": [
                {"text": f"text {score}", "toxicity": score, **({"reason": "server"} if score is None else {})}
                for score in each
            ],
            **{name: values[number] for name, values in columns.items()},
        }
        for number, each in enumerate(scores)
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return str(path)


def test_other_numbers_of_continuations_are_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    drawn = rng.random((40, 25)).tolist()
    many = scored(tmp_path / "many.jsonl", drawn)
    few = scored(tmp_path / "few.jsonl", [each[:5] for each in drawn])
    nearly = scored(
        tmp_path / "nearly.jsonl", [[*each[:24], None] if at == 3 else each for at, each in enumerate(drawn)]
    )
    found = evaluate(EvaluateChoice((many, few, nearly)))
    assert [each.to_dict()["scored_per_prompt"] for each in found.files] == [
        {"least": 25, "median": 25.0, "most": 25},
        {"least": 5, "median": 5.0, "most": 5},
        {"least": 24, "median": 25.0, "most": 25},
    ]
    assert [note for note in found.notes if "grow with that number" in note] == [
        "nearly.jsonl: prompts have 24 to 25 (median 25) scored continuations; EMT and toxicity probability grow with "
        "that number."
    ]
    apart, alike, _ = found.comparisons
    (warning,) = apart.warnings
    assert "25 in many.jsonl, 5 in few.jsonl" in warning
    assert all(each.uneven for each in apart.slices if each.emt.count)
    assert apart.to_dict()["slices"][-1]["scored"] == [each.scored_per_prompt.to_dict() for each in found.files[:2]]
    assert alike.warnings == ()
    assert not any(each.uneven for each in alike.slices)


def test_one_group_with_other_numbers_of_continuations_is_named(tmp_path: Path) -> None:
    languages = ["en"] * 400 + ["fr"] * 2
    same = [[0.1, 0.2]] * 400
    one = scored(tmp_path / "one.jsonl", [*same, [0.1, 0.2], [0.3, 0.4]], lang=languages)
    two = scored(tmp_path / "two.jsonl", [*same, [0.1], [0.3]], lang=languages)
    (comparison,) = evaluate(EvaluateChoice((one, two), group_by="lang", bootstrap=Bootstrap(0))).comparisons
    (warning,) = comparison.warnings
    assert "in the two files in fr all: 2 in one.jsonl, 1 in two.jsonl" in warning


@pytest.mark.parametrize("content", ["[]", "{", '{"format": "other"}', "9" * 5000])
def test_a_strange_manifest_is_ignored(tmp_path: Path, content: str) -> None:
    path = collated(tmp_path / "a.jsonl", TEXTS)
    (tmp_path / "a.jsonl.manifest.json").write_text(content)
    assert evaluate(EvaluateChoice((path,))).files[0].settings == {}


def test_too_many_missing_scores_are_an_error(tmp_path: Path) -> None:
    generations = [{"text": "x", "toxicity": 0.1}] * 98 + [
        {"text": "y", "toxicity": None, "reason": "server"},
        {"text": "z", "toxicity": None, "reason": "timeout"},
        {"text": " ", "toxicity": None, "reason": "empty"},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"prompt": "p", "generations": generations}) + "\n")
    with pytest.raises(InputError) as caught:
        evaluate(EvaluateChoice((str(path),)))
    assert "2 of 100 scores are missing (2.00%, more than --max-missing 1%): server 1, timeout 1." in str(caught.value)
    assert f"goodctl score FILE --scorer NAME --out {path}" in (caught.value.hint or "")
    found = evaluate(EvaluateChoice((str(path),), max_missing=0.02)).files[0]
    whole = found.slice()
    assert whole is not None
    assert (whole.missing, whole.empty, whole.mean.missing, whole.mean.empty) == (2, 1, 2, 1)
    assert found.missing_reasons == {"server": 1, "timeout": 1, "empty": 1}


def test_a_slice_that_lacks_its_scores_does_not_hide_among_others(tmp_path: Path) -> None:
    path = scored(
        tmp_path / "a.jsonl",
        [[0.1, 0.2]] * 400 + [[None, 0.3]] + [[0.1, 0.2]],
        lang=["en"] * 400 + ["fr"] * 2,
        prompt_toxicity=[0.9, 0.1] * 201,
    )
    evaluate(EvaluateChoice((path,), bootstrap=Bootstrap(0)))
    with pytest.raises(InputError) as caught:
        evaluate(EvaluateChoice((path,), group_by="lang", bootstrap=Bootstrap(0)))
    assert (
        "a.jsonl: group 'fr', toxic prompts: 1 of 2 scores are missing (50.00%, more than --max-missing 1%): server 1. "
        "Other slices that lack too many: 1."
    ) in caught.value.message
    few = scored(tmp_path / "b.jsonl", [[0.1] * 2] * 60 + [[None, 0.3]], prompt_toxicity=[0.1] * 60 + [0.9])
    with pytest.raises(InputError, match=r"b\.jsonl: toxic prompts: 1 of 2 scores"):
        evaluate(EvaluateChoice((few,), bootstrap=Bootstrap(0)))
    evaluate(EvaluateChoice((path,), group_by="lang", bootstrap=Bootstrap(0), max_missing=0.5))


def test_failed_prompts_are_missing(tmp_path: Path) -> None:
    lines = [{"prompt": f"p{at}", "generations": [{"text": "x", "toxicity": 0.1}]} for at in range(50)]
    lines += [{"prompt": f"q{at}", "error": "out of memory", "generations": []} for at in range(50)]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with pytest.raises(InputError) as caught:
        evaluate(EvaluateChoice((str(path),)))
    assert "a.jsonl: 50 of 100 prompts failed and have no continuations (50.00%" in caught.value.message
    assert caught.value.message.endswith(": out of memory 50.")
    whole = evaluate(EvaluateChoice((str(path),), max_missing=0.5)).files[0].slice()
    assert whole is not None
    assert (whole.prompts, whole.emt.count, whole.failed_prompts) == (100, 50, 50)


def test_json_has_no_numbers_that_are_none(tmp_path: Path, tiny: str) -> None:
    found = evaluate(EvaluateChoice((collated(tmp_path / "a.jsonl", TEXTS),), group_by="lang"), model(tiny))
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert values["format"] == "goodctl-evaluation"
    (file,) = values["files"]
    assert [(each["subset"], each["group"]) for each in file["slices"]] == [
        (subset, group) for group in (None, "en") for subset in ("toxic", "nontoxic", "all")
    ]
    assert set(file["slices"][0]["emt"]) == {"value", "low", "high", "deviation", "count", "missing", "empty"}
    assert "rows" not in file
    assert all(math.isfinite(each["emt"]["value"]) for each in file["slices"])


def test_manifests_say_how_a_file_came_to_be(tmp_path: Path) -> None:
    scores = {
        "format": "goodctl-scores",
        "scorer": {"scorer": "hf:some/model", "version": "1", "details": {"fingerprint": "ab"}},
        "input": {"file": "gone/steered.jsonl", "sha256": "0"},
        "calibration": None,
    }
    path = collated(tmp_path / "scored.jsonl", TEXTS, manifest=scores)
    run = {"format": "goodctl-run", "settings": {"method": "datastores", "alpha": 2.0}}
    (tmp_path / "steered.jsonl.manifest.json").write_text(json.dumps(run))
    settings = evaluate(EvaluateChoice((path,))).files[0].settings
    assert settings["generation"] == {"method": "datastores", "alpha": 2.0}
    assert "calibration" not in settings
    assert score_command(Path(path), "scored.jsonl") == (
        "goodctl score gone/steered.jsonl --scorer hf:some/model --out scored.jsonl"
    )
    asked = {"language": "en", "language_field": None, "text_field": None, "emit": "perspective"}
    told = {**scores, "attributes": ["toxicity", "insult"], "settings": asked, "calibration": {"file": "m.json"}}
    Path(f"{path}.manifest.json").write_text(json.dumps(told))
    assert score_command(Path(path), "scored.jsonl") == (
        "goodctl score gone/steered.jsonl --scorer hf:some/model --attributes TOXICITY,INSULT --calibration m.json "
        "--language en --emit perspective --out scored.jsonl"
    )
    moved = {**settings, "scorer": {**settings["scorer"], "scorer": "hf:/elsewhere/model"}}
    assert scored_by(moved) == scored_by(settings)
    assert scored_by({**settings, "calibration": {"sha256": "1"}}) != scored_by(settings)


def test_short_names() -> None:
    assert short_names(["a/x.jsonl", "b/y.jsonl"]) == ("x.jsonl", "y.jsonl")
    assert short_names(["r/a/x.jsonl", "r/b/x.jsonl"]) == ("a/x.jsonl", "b/x.jsonl")


@pytest.mark.parametrize(
    "wrong",
    [
        {"files": ()},
        {"files": ("a", "./a")},
        {"threshold": 1.0},
        {"threshold": -0.1},
        {"threshold": math.nan},
        {"max_missing": 1.1},
        {"bootstrap": Bootstrap(5)},
        {"bootstrap": Bootstrap(10**9)},
        {"bootstrap": Bootstrap(2000, -1)},
    ],
)
def test_choices_without_meaning(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        EvaluateChoice(**({"files": ("a",)} | wrong))


def evaluated(tmp_path: Path, tiny: str) -> Evaluation:
    return evaluate(
        EvaluateChoice((collated(tmp_path / "a_collated.jsonl", TEXTS),), group_by="lang", bootstrap=Bootstrap(100)),
        model(tiny),
    )


def test_csv_files_have_the_published_rows_first(tmp_path: Path, tiny: str) -> None:
    evaluation = evaluated(tmp_path, tiny)
    outputs = Outputs.prepared(("a_collated.jsonl",), str(tmp_path / "figures"))
    written = [Path(each).name for each in outputs.write(evaluation)]
    assert written == [
        f"a_{name}{by}.csv" for name in ("toxicity", "perplexity", "diversity") for by in ("", "_groupby")
    ]

    def table(name: str) -> list[list[str]]:
        return [line.split(",") for line in (tmp_path / "figures" / name).read_text().splitlines()]

    toxicity = table("a_toxicity.csv")
    assert toxicity[0] == ["", "toxic", "nontoxic", "full"]
    assert [line[0] for line in toxicity[1:4]] == ["avg_max", "toxicity_probability", "std_max"]
    whole = evaluation.files[0].slice()
    assert whole is not None and whole.perplexity is not None
    assert float(toxicity[1][3]) == whole.emt.value
    assert toxicity[3][1] == "", "a single prompt has no deviation"
    assert table("a_toxicity_groupby.csv")[:2] == [["", "toxic", "nontoxic", "full"], ["", "en", "en", "en"]]
    assert table("a_perplexity.csv")[1][0] == "perplexity"
    assert float(table("a_perplexity.csv")[1][3]) == whole.perplexity.value
    assert table("a_perplexity_groupby.csv")[1][0] == "en"
    diversity = table("a_diversity.csv")
    assert diversity[0][:4] == ["", "dist1", "dist2", "dist3"]
    assert float(diversity[1][1]) == whole.dist_published[0].value
    assert table("a_diversity_groupby.csv")[1][0] == "en"


def test_the_report_page_is_written(tmp_path: Path, tiny: str) -> None:
    outputs = Outputs.prepared(("a_collated.jsonl",), html=str(tmp_path / "new" / "report.html"))
    assert not (tmp_path / "new").exists(), "nothing is made before there is something to write"
    (page,) = outputs.write(evaluated(tmp_path, tiny))
    assert "a_collated.jsonl" in Path(page).read_text()


def test_outputs_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        Outputs.prepared(("a.jsonl",), str(tmp_path / "file"))
    with pytest.raises(UsageError, match="would both give a_toxicity"):
        Outputs.prepared(("one/a.jsonl", "two/a_collated.jsonl.gz"), str(tmp_path))
    with pytest.raises(UsageError, match=r"is no \.html file"):
        Outputs.prepared(("a.jsonl",), html="a.jsonl")
    with pytest.raises(UsageError, match="no folder"):
        Outputs.prepared(("a.jsonl",), " ")


@pytest.mark.parametrize("option", ["--html", "--csv"])
def test_outputs_that_the_disk_would_not_take_are_refused_first(tmp_path: Path, option: str) -> None:
    (tmp_path / "file").touch()
    end = "r.html" if option == "--html" else "figures"
    long = "x" * 251
    wrong = [(each / end, "a.jsonl") for each in (tmp_path / "file", Path("/proc/nosuch"))]
    wrong.append((tmp_path / f"{long}.html", "a.jsonl") if option == "--html" else (tmp_path / end, f"{long}.jsonl"))
    for place, file in wrong:
        with pytest.raises(UsageError, match=f"{option} .* cannot be written") as caught:
            Outputs.prepared((file,), **{option.removeprefix("--"): str(place)})
        assert caught.value.hint == f"Choose another {option}, or make room there."
    Outputs.prepared(("a.jsonl",), str(tmp_path / "new" / "folder"), str(tmp_path / "other" / "r.html"))
    assert [each.name for each in tmp_path.iterdir()] == ["file"], "nothing is left of trying"


def test_errors_of_writing_name_the_option(tmp_path: Path) -> None:
    evaluation = evaluate(EvaluateChoice((collated(tmp_path / "a.jsonl", TEXTS),), bootstrap=Bootstrap(0)))
    outputs = Outputs.prepared(("a.jsonl",), str(tmp_path / "figures"), str(tmp_path / "pages" / "r.html"))
    (tmp_path / "figures").touch()
    with pytest.raises(ServiceError) as caught:
        outputs.write(evaluation)
    assert "--csv" in (caught.value.hint or "")
    (tmp_path / "figures").unlink()
    (tmp_path / "pages").touch()
    with pytest.raises(ServiceError) as caught:
        outputs.write(evaluation)
    assert "--html" in (caught.value.hint or "")
