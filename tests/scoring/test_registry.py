from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from goodctl.errors import UsageError
from goodctl.scoring.protocol import Scorer, ScorerOptions
from goodctl.scoring.registry import open_scorer, scorer_names
from tests.docs.pages import DOCS, blocks
from tests.fakes.plugin import write_plugin
from tests.scoring.contract import ScorerContract


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(write_plugin(tmp_path, fake="tests.fakes.scorers:open_scorer")))


@pytest.mark.usefixtures("fake")
def test_an_installed_package_offers_a_scorer() -> None:
    assert {"fake", "hf", "perspective", "profanity", "route"} <= set(scorer_names())
    assert open_scorer("fake", ScorerOptions()).attributes_for("de") == ("toxicity",)
    assert open_scorer("fake:en,fr", ScorerOptions()).attributes_for("de") == ()


@pytest.mark.usefixtures("fake")
def test_an_unknown_name_lists_near_ones_or_all() -> None:
    with pytest.raises(UsageError, match="'fakes'") as near:
        open_scorer("fakes", ScorerOptions())
    assert near.value.hint == "Did you mean: fake"
    with pytest.raises(UsageError) as far:
        open_scorer("xyzzy", ScorerOptions())
    assert far.value.hint == "There are: fake, hf:MODEL, perspective, profanity, route:FILE"


@pytest.mark.parametrize(
    ("name", "form"), [("route", "route:FILE"), ("route:", "route:FILE"), ("profanity:x", "profanity")]
)
def test_an_argument_too_few_or_too_many(name: str, form: str) -> None:
    with pytest.raises(UsageError) as raised:
        open_scorer(name, ScorerOptions())
    assert raised.value.hint == f"Write it as: --scorer {form}"


class TestDocumentedPlugIn(ScorerContract):
    """The example of the reference keeps the contract."""

    @pytest.fixture
    def scorer(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scorer]:
        (code,) = (block.text for block in blocks(DOCS / "reference" / "scoring.md") if block.language == "python")
        (tmp_path / "shouting_example.py").write_text(code)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.syspath_prepend(str(write_plugin(tmp_path / "p", shouting="shouting_example:open_scorer")))
        yield open_scorer("shouting", ScorerOptions())
