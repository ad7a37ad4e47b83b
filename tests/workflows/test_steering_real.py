"""Steering a real model: the text moves towards one corpus and away from the other."""

from __future__ import annotations

import email
import http.client
import inspect
import json
import re
import shutil
import socket
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from goodctl.corpus import Corpus
from goodctl.steering.decode import Sampling
from goodctl.workflows.build import build
from goodctl.workflows.choices import Text
from goodctl.workflows.generate import generate
from goodctl.workflows.generate_choice import GenerateChoice
from goodctl.workflows.model_choice import ModelChoice
from goodctl.workflows.steering_choice import chosen
from tests.workflows.generating import lines, write_prompts

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
MODULES = (email, http.client, inspect, json, re, shutil, socket, subprocess)
STARTS = ("The", "When you", "If the", "This is", "We can", "In the", "There is a", "You may")
PROMPTS = [{"prompt": text} for text in STARTS]
SAMPLING = Sampling(continuations=10, max_new_tokens=20)


def documentation() -> list[str]:
    """What Python's own library says of itself, a docstring a line."""
    texts = []
    for module in MODULES:
        members = [module, *(each for _, each in inspect.getmembers(module) if getattr(each, "__doc__", None))]
        found = {" ".join((inspect.getdoc(each) or "").split()) for each in members if isinstance(each.__doc__, str)}
        texts += sorted(text for text in found if 40 < len(text) < 2000)
    return texts


def words(texts: list[str]) -> Counter[str]:
    return Counter(word for text in texts for word in re.findall(r"[a-z]{3,}", text.lower()))


@pytest.mark.parametrize("towards", ["documentation", "everyday"])
def test_text_moves_towards_the_words_of_a_corpus(towards: str, tmp_path: Path) -> None:
    corpora = {
        "documentation": documentation(),
        "everyday": (EXAMPLES / "en.txt").read_text(encoding="utf-8").splitlines(),
    }
    places = {}
    for name, texts in corpora.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
        places[name] = str(tmp_path / name)
        build(places[name], Text(Corpus((str(tmp_path / f"{name}.txt"),), language="en")), ModelChoice("gemma3-270m"))
    (away,) = set(corpora) - {towards}
    own, other = words(corpora[towards]), words(corpora[away])
    distinctive = {word for word in own if own[word] / own.total() > 4 * other[word] / other.total()}
    prompts = write_prompts(tmp_path / "p.jsonl", PROMPTS)
    share = {}
    for name, how in {
        "base": chosen(None),
        "steered": chosen(None, toxic=[places[away]], nontoxic=[places[towards]], k=64, alpha=2.0),
    }.items():
        out = tmp_path / f"{name}.jsonl"
        generate(GenerateChoice(prompts, str(out), SAMPLING), how, ModelChoice("gemma3-270m"))
        found = words([text for line in lines(out) for text in line["generations"]])
        share[name] = sum(count for word, count in found.items() if word in distinctive) / found.total()
    assert share["steered"] > 1.05 * share["base"], share
