from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from goodctl.workflows.steering_choice import chosen
from tests.workflows.generating import lines, run, steering, write_prompts

TEXTS = ["Good morning", "Good evening", "The guests"]


def explained(folder: Path, how: Any, **options: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    prompts = write_prompts(folder / "p.jsonl", [{"prompt": text} for text in TEXTS])
    result = run(prompts, folder / "out.jsonl", how, **options)
    return lines(str(result.explanations)), lines(result.out)


def test_the_first_continuation_of_the_first_prompts(places: dict[str, str], tmp_path: Path) -> None:
    found, written = explained(tmp_path, steering(places), explain=2, batch_size=1)
    assert [each["prompt"] for each in found] == TEXTS[:2]
    assert [each["line"] for each in found] == [1, 2]
    for each, line in zip(found, written, strict=False):
        assert each["continuation"] == line["generations"][0]
        # A token of the tiny model is a byte, which alone may be no character.
        assert len(each["tokens"]) >= len(each["continuation"]) > 0
        if "\ufffd" not in each["continuation"] and each["continuation"].isascii():
            assert "".join(token["token"] for token in each["tokens"]).startswith(each["continuation"])


def test_sides_say_what_their_neighbours_propose(places: dict[str, str], tmp_path: Path) -> None:
    found, _ = explained(tmp_path, steering(places), explain=3)
    tokens = [token for each in found for token in each["tokens"]]
    searched = [token for token in tokens if token["sides"]]
    assert searched
    for token in searched:
        assert set(token["sides"]) == {"toxic", "nontoxic"}
        for name, side in token["sides"].items():
            assert 0 <= side["probability"] <= 1
            assert len(side["neighbors"]) == 3
            distances = [neighbor["distance"] for neighbor in side["neighbors"]]
            assert distances == sorted(distances)
            for neighbor in side["neighbors"]:
                text = Path(places[name] + ".txt").read_text().splitlines()[neighbor["line"] - 1]
                assert neighbor["before"] + neighbor["token"] in text
                assert neighbor["language"] == "en" and neighbor["source"].endswith(f"{name}.txt")
                assert 0 < neighbor["share"] <= 1


def test_without_effect_nothing_changes(places: dict[str, str], tmp_path: Path) -> None:
    found, _ = explained(tmp_path, chosen(None, store=[places["toxic"]], lam=0.0, k=16), explain=3)
    tokens = [token for each in found for token in each["tokens"]]
    assert tokens
    for token in tokens:
        assert not token["changed"] and token["base_choice"] == token["token"]
        assert token["steered"] == pytest.approx(token["base"], rel=1e-4)


def test_strong_steering_changes_choices(places: dict[str, str], tmp_path: Path) -> None:
    found, _ = explained(tmp_path, steering(places, alpha=30.0), explain=3)
    tokens = [token for each in found for token in each["tokens"]]
    assert any(token["changed"] for token in tokens)
    assert all(
        (token["base_choice"] != token["token"]) == token["changed"] for token in tokens if token["token"] != "�"
    )


def test_the_probability_of_the_base_is_the_models(places: dict[str, str], tiny: str, tmp_path: Path) -> None:
    from goodctl.models.load import load_model
    from goodctl.models.source import resolve

    found, _ = explained(tmp_path, steering(places), explain=1)
    model = load_model(resolve(tiny), device="cpu", precision="fp32")
    ids = model.tokenizer(TEXTS[0])["input_ids"]
    for token in found[0]["tokens"]:
        with torch.inference_mode():
            logits = model.model(input_ids=torch.tensor([ids])).logits[0, -1]
        assert token["base"] == pytest.approx(float(logits.softmax(0)[token["token_id"]]), rel=1e-3)
        ids.append(token["token_id"])


def test_the_base_method_has_no_sides(tiny: str, tmp_path: Path) -> None:
    found, _ = explained(tmp_path, chosen(None), explain=1, model=tiny)
    assert all(token["sides"] == {} and not token["changed"] for token in found[0]["tokens"])
