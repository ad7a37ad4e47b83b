from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator

import pytest

from goodctl.errors import MissingDependency, UsageError
from goodctl.scoring.profanity import BATCH, ProfanityScorer, open_scorer
from goodctl.scoring.protocol import NotScored, Request, Scored, Scorer, ScorerOptions
from goodctl.scoring.registry import open_scorer as open_by_name
from tests.scoring.contract import ScorerContract


class TestProfanity(ScorerContract):
    foreign = "de"
    most_held = BATCH

    @pytest.fixture
    def scorer(self) -> Iterator[Scorer]:
        scorer = open_by_name("profanity", ScorerOptions())
        yield scorer
        scorer.close()


def score(text: str, language: str | None = "en") -> float:
    ((_, outcome),) = open_scorer("", ScorerOptions()).outcomes([Request(text, language)])
    assert isinstance(outcome, Scored)
    return outcome.scores["toxicity"]


def test_rude_texts_are_toxic_and_others_are_not() -> None:
    assert score("You are a stupid fucking idiot.") > 0.9
    assert score("The tea is ready.") < 0.3


@pytest.mark.parametrize("language", ["en", "EN", "en-US", "en_GB"])
def test_english_of_any_region_is_scored(language: str) -> None:
    assert score("The tea is ready.", language) == score("The tea is ready.")


@pytest.mark.parametrize(("language", "words"), [("de", "is in de"), (None, "unknown"), ("enm", "enm")])
def test_other_languages_and_unknown_ones_are_not(language: str | None, words: str) -> None:
    scorer = open_scorer("", ScorerOptions())
    assert scorer.attributes_for(language) == ()
    ((_, outcome),) = scorer.outcomes([Request("You idiot", language)])
    assert isinstance(outcome, NotScored)
    assert outcome.reason == "language"
    assert words in outcome.message


def test_texts_without_a_score_do_not_move_the_others() -> None:
    texts = ["idiot", "", "Tee", "tea", "shit", ""]
    requests = [Request(text, "de" if text == "Tee" else "en") for text in texts]
    found = list(open_scorer("", ScorerOptions()).outcomes(requests))
    assert [request for request, _ in found] == requests
    for request, outcome in found:
        if request.text in {"idiot", "tea", "shit"}:
            assert isinstance(outcome, Scored)
            assert outcome.scores["toxicity"] == pytest.approx(score(request.text))


def test_batches_are_bounded() -> None:
    sizes: list[int] = []

    def predict(texts: object) -> list[float]:
        assert isinstance(texts, list)
        sizes.append(len(texts))
        return [0.5] * len(texts)

    scorer = ProfanityScorer(("toxicity",), predict, "1", "1")
    assert len(list(scorer.outcomes(Request(str(n), "en") for n in range(BATCH + 1)))) == BATCH + 1
    assert sizes == [BATCH, 1]


def test_there_is_only_toxicity() -> None:
    with pytest.raises(UsageError, match="insult") as raised:
        open_scorer("", ScorerOptions(("toxicity", "insult")))
    assert raised.value.hint == "It has: toxicity"


def test_the_identity_has_the_package_and_the_library() -> None:
    identity = open_scorer("", ScorerOptions()).identity
    assert identity.version.startswith("alt-profanity-check 1.")
    assert identity.details["scikit-learn"]


def test_without_the_package_the_pip_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "profanity_check", None)
    with pytest.raises(MissingDependency) as raised:
        open_scorer("", ScorerOptions())
    assert raised.value.hint == "pip install 'goodctl[profanity]'"


def test_weights_of_another_release_give_no_warning_and_other_warnings_stay() -> None:
    script = """
import warnings, sklearn.base
sklearn.base.__version__ = "0.0"  # what the stored weights are compared with
from goodctl.scoring.profanity import open_scorer
from goodctl.scoring.protocol import Request, ScorerOptions
list(open_scorer("", ScorerOptions()).outcomes([Request("a", "en")]))
from sklearn.exceptions import InconsistentVersionWarning
warnings.warn("another")
warnings.warn(InconsistentVersionWarning(estimator_name="x", current_sklearn_version="1", original_sklearn_version="2"))
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("InconsistentVersionWarning") == 1, ended.stderr  # the one that the script warns
    assert "another" in ended.stderr


def test_no_warning_is_raised_as_an_error() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_scorer("", ScorerOptions())
