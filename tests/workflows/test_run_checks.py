"""What is found out before anything is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from goodctl.errors import GoodctlError, InputError, NotFoundError, UsageError
from goodctl.scoring.protocol import ScorerOptions
from tests.fakes.scorers import FakeScorer
from tests.workflows.generating import PROMPTS, write_prompts
from tests.workflows.running import WholeRun


@pytest.fixture
def whole(tmp_path: Path, prompts: str, places: dict[str, str]) -> WholeRun:
    return WholeRun(tmp_path, prompts, places)


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"prompts": ""}, UsageError, "No prompts are named"),
        ({"prompts": "nosuch.jsonl"}, NotFoundError, "nosuch.jsonl"),
        ({"scorer": ""}, UsageError, "No scorer is named"),
        ({"attributes": "insult"}, UsageError, "TOXICITY"),
        ({"threshold": 7.0}, UsageError, "--threshold 7"),
        ({"threshold": float("nan")}, UsageError, "--threshold nan"),
        ({"max_missing": 2.0}, UsageError, "--max-missing 2"),
        ({"bootstrap": 5}, UsageError, "--bootstrap 5"),
        ({"seed": -1}, UsageError, "--seed -1"),
        ({"num_return_sequences": 0}, UsageError, "--num-return-sequences 0"),
        ({"num_prompts": 0}, UsageError, "number of prompts"),
        ({"batch_size": 0}, UsageError, "--batch-size 0"),
        ({"explain": -1}, UsageError, "--explain -1"),
        ({"alpha": float("inf")}, UsageError, "--alpha inf"),
        ({"rate": -1.0}, UsageError, "--rate"),
        ({"emit": "csv"}, UsageError, "--emit"),
        ({"language": " "}, UsageError, "--language is empty"),
        ({"language_field": "nosuch"}, InputError, "nosuch"),
        ({"calibration": "nosuch.json"}, GoodctlError, "nosuch.json"),
        ({"group_by": "nosuch"}, UsageError, "--group-by nosuch"),
        ({"perplexity_model": "no/such/model"}, GoodctlError, "no/such/model"),
        ({"toxic": ("nosuch",)}, NotFoundError, "nosuch"),
        ({"toxic": ("nosuch-*",)}, NotFoundError, "matches no datastore"),
        ({"method": "magic"}, UsageError, "magic"),
        ({"method": "dexperts"}, UsageError, "no use for --toxic"),
        ({"toxic": (), "nontoxic": ()}, UsageError, "Nothing says what is run"),
        ({"toxic": (), "nontoxic": (), "model": "m"}, UsageError, "--with-base has no effect"),
        ({"toxic": (), "nontoxic": (), "model": "m", "with_base": False, "explain": 1}, UsageError, "--explain has no"),
        ({"language": "\udcff"}, UsageError, "no UTF-8"),
    ],
)
def test_what_cannot_work_is_found_before_anything_is_made(
    whole: WholeRun, changed: dict[str, Any], error: type[GoodctlError], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(error) as raised:
        whole(**changed)
    assert words in raised.value.message
    assert raised.value.hint
    assert not whole.out.exists()


def test_no_out(whole: WholeRun) -> None:
    from goodctl.workflows.run import run

    with pytest.raises(UsageError, match="No folder"):
        run(whole.settings, "")


def english(options: ScorerOptions) -> FakeScorer:
    return FakeScorer(options.attributes, languages=["en"])


def test_a_scorer_of_too_few_languages(whole: WholeRun) -> None:
    with pytest.raises(UsageError) as error:
        whole(english)
    assert "3 of 5 scores are missing (60.00%" in error.value.message
    assert "language fr 3" in error.value.message
    assert "--scorer route:FILE" in str(error.value.hint)
    assert not whole.out.exists()
    assert whole.scorers[0].closed == 1
    result = whole(english, max_missing=1.0)
    assert result.evaluation is not None
    assert dict(result.evaluation.files[0].missing_reasons) == {"language": 9}


def test_a_scorer_of_none_of_the_languages(whole: WholeRun) -> None:
    with pytest.raises(UsageError, match="scores none of these texts"):
        whole(lambda options: FakeScorer(options.attributes, languages=["ja"]))
    assert not whole.out.exists()


def test_a_group_that_a_scorer_leaves_out(whole: WholeRun) -> None:
    prompts = [{"prompt": f"Good {number}", "lang": "fr" if number == 3 else "en"} for number in range(150)]
    write_prompts(Path(whole.settings.prompts), prompts)
    with pytest.raises(UsageError, match="group 'fr': 1 of 1 scores are missing"):
        whole(english, group_by="lang")
    assert not whole.out.exists()


def test_a_language_without_the_attribute(whole: WholeRun) -> None:
    def lacking(options: ScorerOptions) -> FakeScorer:
        return FakeScorer(options.attributes, lacking={"fr": ("toxicity",)})

    with pytest.raises(UsageError, match="language fr 3"):
        whole(lacking, attributes=("toxicity", "insult"))


def test_only_the_prompts_that_are_taken_count(whole: WholeRun) -> None:
    with Path(whole.settings.prompts).open("a") as file:
        file.write("no JSON at all\n")
    result = whole(english, num_prompts=2)
    assert result.evaluation is not None
    assert result.evaluation.files[0].missing_reasons == {}


@pytest.mark.parametrize("prompt", [{"prompt": {"text": "a", "toxicity": 7}}, {"prompt": "a", "toxicity": "high"}])
def test_a_prompt_that_could_not_be_evaluated(whole: WholeRun, prompt: object) -> None:
    write_prompts(Path(whole.settings.prompts), [*PROMPTS, prompt])
    with pytest.raises(InputError, match=r"prompts\.jsonl:6: .*toxicity"):
        whole()
    assert not whole.out.exists()


def test_prompts_of_other_forms(whole: WholeRun, tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("Good morning\nThe tea\n")
    (tmp_path / "p.csv").write_text("text,lang\nGood morning,en\nThe tea,en\n")
    for name in ("p.txt", "p.csv"):
        assert whole(out=tmp_path / f"out of {name} [1]", prompts=str(tmp_path / name)).error is None
