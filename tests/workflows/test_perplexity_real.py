"""A real model and real text: neighbours from the same domain make held-out text more probable."""

from __future__ import annotations

import math
import pydoc_data.topics
from pathlib import Path

import pytest

from goodctl.corpus import Corpus
from goodctl.workflows.build import build
from goodctl.workflows.choices import Text
from goodctl.workflows.model_choice import ModelChoice
from goodctl.workflows.perplexity import PerplexityChoice, PerplexityReport, perplexity
from goodctl.workflows.selection import Selection

pytestmark = pytest.mark.slow

MODEL = ModelChoice("gemma3-270m")
EXAMPLES = Path(__file__).parents[2] / "examples"


def paragraphs() -> list[str]:
    """Python's own reference, as ``help()`` shows it: each paragraph on one line, and once."""
    text = "\n\n".join(pydoc_data.topics.topics.values())
    joined = (" ".join(block.split()) for block in text.split("\n\n"))
    return list(dict.fromkeys(block for block in joined if len(block) >= 100))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Text of one domain, nine paragraphs of ten in a store, and the tenth held out."""
    folder = tmp_path_factory.mktemp("perplexity")
    for name, chosen in (("stored", lambda number: number % 10), ("held", lambda number: not number % 10)):
        lines = [line for number, line in enumerate(paragraphs()) if chosen(number)]
        (folder / f"{name}.txt").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOODCTL_CACHE", str(folder / "cache"))
        text = Text(Corpus((str(folder / "stored.txt"),), language="en"), Selection(max_tokens=8000, seed=0))
        build(str(folder / "store"), text, MODEL)
    return folder


@pytest.fixture(scope="module")
def held(folder: Path) -> PerplexityReport:
    """Of the held-out text."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOODCTL_CACHE", str(folder / "cache"))
        return measured(folder, folder / "held.txt")


def measured(folder: Path, file: Path) -> PerplexityReport:
    text = Text(Corpus((str(file),), language="en"), Selection(max_tokens=2000, seed=0))
    return perplexity(text, MODEL, PerplexityChoice((str(folder / "store"),)))


@pytest.fixture(autouse=True)
def own_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache for this file, so that the model is unpacked once."""
    monkeypatch.setenv("GOODCTL_CACHE", str(folder / "cache"))


def test_a_store_of_the_domain_helps_on_held_out_text(held: PerplexityReport) -> None:
    assert held.lam == 0.25
    assert held.in_store == ()
    assert held.total.tokens >= 1500
    assert held.total.base < 100, "the model has learned such text"
    assert held.total.knn and held.total.knn < 0.97 * held.total.base
    assert held.measured and held.temperature


def test_it_helps_less_elsewhere(folder: Path, held: PerplexityReport) -> None:
    there, elsewhere = held.total, measured(folder, EXAMPLES / "en.txt").total
    assert there.knn and elsewhere.knn
    assert math.log(there.knn / there.base) < math.log(elsewhere.knn / elsewhere.base)
    assert there.proposed and elsewhere.proposed and there.proposed > elsewhere.proposed


def test_text_that_is_in_the_store_looks_far_better_and_is_named(folder: Path, held: PerplexityReport) -> None:
    stored = measured(folder, folder / "stored.txt")
    assert stored.in_store == (str(folder / "stored.txt"),)
    assert stored.total.knn and held.total.knn
    assert stored.total.knn / stored.total.base < held.total.knn / held.total.base
