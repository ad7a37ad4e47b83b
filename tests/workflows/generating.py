"""Two small stores, a file of prompts and short runs, for the tests of generation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from goodctl.corpus import Corpus
from goodctl.interruption import Interruption
from goodctl.steering.decode import Sampling
from goodctl.workflows.build import build
from goodctl.workflows.choices import Text
from goodctl.workflows.generate import GenerateResult, generate
from goodctl.workflows.generate_choice import GenerateChoice, GenerateRun
from goodctl.workflows.model_choice import ModelChoice
from goodctl.workflows.steering_choice import SteeringChoice, chosen

SAMPLING = Sampling(continuations=3, max_new_tokens=5, seed=4)
PROMPTS = [
    {"prompt": {"text": "Good morning", "toxicity": 0.25}, "lang": "en", "id": 7},
    {"prompt": {"text": "The tea", "toxicity": 0.75}, "lang": "en", "id": 8},
    {"prompt": {"text": "Guests of the house", "toxicity": 0.5}, "lang": "fr", "id": 9},
    {"prompt": {"text": "É", "toxicity": 0.5}, "lang": "fr", "id": 10},
    {"prompt": {"text": "Number 12", "toxicity": None}, "lang": "fr", "id": 11},
]


def stores(folder: Path, model: str) -> dict[str, str]:
    """A toxic and a nontoxic store of a model: name to place."""
    places = {}
    for name, word in (("toxic", "evening"), ("nontoxic", "morning")):
        lines = [f"Good {word} to you, number {number} of the guests." for number in range(30)]
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        places[name] = str(folder / name)
        text = Text(Corpus((str(folder / f"{name}.txt"),), language="en"))
        build(places[name], text, ModelChoice(model, device="cpu", precision="fp32"))
    return places


def write_prompts(path: Path, prompts: Sequence[Any] = PROMPTS) -> str:
    """A prompt file of JSON Lines."""
    path.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in prompts), encoding="utf-8")
    return str(path)


def base(model: str | None = None) -> ModelChoice:
    """A model as the tests run it."""
    return ModelChoice(model, device="cpu", precision="fp32")


def steering(places: dict[str, str], **options: Any) -> SteeringChoice:
    """Both stores, a few neighbours."""
    return chosen(None, toxic=[places["toxic"]], nontoxic=[places["nontoxic"]], **{"k": 16, **options})


def run(
    prompts: str, out: Path, how: SteeringChoice, running: GenerateRun | None = None, **options: Any
) -> GenerateResult:
    """A short run."""
    model = options.pop("model", None)
    choice = GenerateChoice(prompts, str(out), **{"sampling": SAMPLING, **options})
    return generate(choice, how, base(model), running)


def lines(path: Path | str) -> list[dict[str, Any]]:
    """The objects of a file of JSON Lines."""
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


class Stop(Interruption):
    """Asks to stop when it has been asked a number of times."""

    def __init__(self, after: int) -> None:
        self._left = after
        super().__init__()

    @property
    def requested(self) -> bool:
        self._left -= 1
        return self._left < 0

    @requested.setter
    def requested(self, value: bool) -> None:
        pass
