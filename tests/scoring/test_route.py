from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from goodctl.errors import InputError, NotFoundError, UsageError
from goodctl.scoring import registry
from goodctl.scoring.protocol import NotScored, Request, Scored, Scorer, ScorerOptions
from goodctl.scoring.route import MOST_HELD, RouteScorer
from goodctl.scoring.route_file import read_routes
from tests.fakes.scorers import FakeScorer
from tests.scoring.contract import ScorerContract

OPTIONS = ScorerOptions(("toxicity", "insult"))


class Opener:
    """Opens fake scorers and remembers them."""

    def __init__(self, **scorers: FakeScorer) -> None:
        self.scorers = scorers
        self.opened: list[tuple[str, ScorerOptions]] = []

    def __call__(self, name: str, options: ScorerOptions) -> Scorer:
        self.opened.append((name, options))
        if name not in self.scorers:
            raise UsageError(f"There is no scorer {name!r}.", hint="Did you mean: fake")
        return self.scorers[name]


def written(tmp_path: Path, text: str, name: str = "routes.toml") -> str:
    file = tmp_path / name
    file.write_text(text)
    return str(file)


def routed(tmp_path: Path, text: str, opener: Opener, options: ScorerOptions = OPTIONS) -> RouteScorer:
    path = written(tmp_path, text)
    return RouteScorer(path, read_routes(path, options), opener)


class TestRoute(ScorerContract):
    foreign = "tlh"
    most_held = MOST_HELD

    @pytest.fixture
    def scorer(self, tmp_path: Path) -> Iterator[Scorer]:
        scorer = routed(tmp_path, 'en = "a"\nde = "b"\n', Opener(a=FakeScorer(), b=FakeScorer()))
        yield scorer
        scorer.close()


class TestRouteToOne(ScorerContract):
    """All through the registry, as a user has it."""

    foreign = "de"
    most_held = MOST_HELD + 512

    @pytest.fixture
    def scorer(self, tmp_path: Path) -> Iterator[Scorer]:
        path = written(tmp_path, json.dumps({"en": "profanity", "de": {"scorer": "profanity"}}), "routes.json")
        scorer = registry.open_scorer(f"route:{path}", ScorerOptions())
        yield scorer
        scorer.close()


def test_each_language_goes_to_its_scorer(tmp_path: Path) -> None:
    english, others, hindi = FakeScorer(), FakeScorer(), FakeScorer()
    opener = Opener(english=english, others=others, hindi=hindi)
    scorer = routed(tmp_path, 'en = "english"\n"*" = "others"\nhi-Latn = "hindi"\n', opener)
    languages = ["en", "de", "hi", "hi-Latn", "en-GB", None] * 400
    requests = [Request(f"text {number}", language) for number, language in enumerate(languages)]
    found = dict(scorer.outcomes(iter(requests)))
    assert set(found) == set(requests)
    assert all(isinstance(outcome, Scored) for outcome in found.values())
    assert {request.language for request in english.asked} == {"en", "en-GB"}
    assert {request.language for request in others.asked} == {"de", "hi", None}
    assert {request.language for request in hindi.asked} == {"hi-Latn"}


def test_scorers_are_opened_when_they_are_needed_once_each_and_all_closed(tmp_path: Path) -> None:
    a, b = FakeScorer(), FakeScorer()
    opener = Opener(a=a, b=b)
    scorer = routed(tmp_path, 'en = "a"\nfr = "a"\nde = "b"\n', opener)
    assert opener.opened == []
    list(scorer.outcomes([Request("x", "en"), Request("y", "fr")]))
    assert [name for name, _ in opener.opened] == ["a"]
    assert scorer.identity.version
    assert [name for name, _ in opener.opened] == ["a", "b"]
    scorer.close()
    scorer.close()
    assert (a.closed, b.closed) == (1, 1)


def test_all_are_closed_though_closing_one_fails(tmp_path: Path) -> None:
    class Stuck(FakeScorer):
        def close(self) -> None:
            raise OSError("stuck")

    a, b = FakeScorer(), Stuck()
    scorer = routed(tmp_path, 'en = "a"\nde = "b"\n', Opener(a=a, b=b))
    assert scorer.identity
    with pytest.raises(OSError, match="stuck"):
        scorer.close()
    assert a.closed == 1


def test_the_identity_is_of_all_together(tmp_path: Path) -> None:
    text = 'en = "a"\nde = "b"\n'
    one = routed(tmp_path, text, Opener(a=FakeScorer(), b=FakeScorer())).identity
    same = routed(tmp_path, text, Opener(a=FakeScorer(), b=FakeScorer())).identity
    other = routed(tmp_path, text, Opener(a=FakeScorer(), b=FakeScorer(version="2"))).identity
    assert one == same
    assert one != other
    assert set(one.details["routes"]) == {"en", "de"}


def test_options_of_a_route(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        'en = "a"\n[de]\nscorer = "b"\nlabel_map = "m.json"\nrevision = "main"\nrate = 2\nattributes = ["INSULT"]\n',
    )
    routes = read_routes(path, OPTIONS)
    assert routes["en"].options == OPTIONS
    german = routes["de"].options
    assert (german.label_map, german.revision, german.rate) == ("m.json", "main", 2)
    assert german.attributes == ("insult",)
    assert german.raw == OPTIONS.raw


def test_a_language_without_a_route_is_not_scored(tmp_path: Path) -> None:
    scorer = routed(tmp_path, 'en = "a"\n', Opener(a=FakeScorer()))
    requests = [Request("x", "de"), Request("x", None), Request("", "de")]
    found = dict(scorer.outcomes(requests))
    reasons = [outcome.reason for outcome in found.values() if isinstance(outcome, NotScored)]
    assert reasons == ["language", "language", "empty"]


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("", "no route", "Write one a language"),
        ("en = 3", "route 'en': names no scorer", '"scorer"'),
        ("[en]\nrevision = 'x'", "route 'en': names no scorer", '"scorer"'),
        ("[en]\nscorer = 'a'\nrevison = 'x'", "route 'en': no option 'revison'", "Did you mean: revision"),
        ("[en]\nscorer = 'a'\nxyz = 'x'", "route 'en': no option 'xyz'", "Options are: scorer, attributes"),
        ("[en]\nscorer = 'a'\nrevision = 3", "route 'en': revision must be a string", "3"),
        ("[en]\nscorer = 'a'\nbatch_tokens = true", "batch_tokens must be a whole number", "true"),
        ("[en]\nscorer = 'a'\nrate = 'x'", "rate must be a number", "x"),
        ("[en]\nscorer = 'a'\nattributes = [1]", "attributes must be a list of names", "1"),
        ("[en]\nscorer = 'a'\nattributes = ['threat']", "(threat) is asked for", "toxicity, insult"),
        ("[en]\nscorer = 'a'\nattributes = ['text']", "'text' is no attribute", "attributes ="),
        ("en = 'route:other.toml'", "cannot lead to a file of routes", "Name the scorer"),
        ("en = 'a'\nEN = 'b'", "'EN' is there twice", "out"),
        ("en = ", "broken TOML", "en ="),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, place: str, hint: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError) as raised:
        read_routes(path, OPTIONS)
    assert raised.value.message.startswith(path)
    assert place in raised.value.message
    assert raised.value.hint is not None
    assert hint in raised.value.hint


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff", b"3", b" " * (2**20 + 1)])
def test_what_is_no_file_of_routes_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "routes.json"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"routes\.json"):
        read_routes(str(file), OPTIONS)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_routes(str(tmp_path / "none.toml"), OPTIONS)
    with pytest.raises(InputError):
        read_routes(str(tmp_path), OPTIONS)


@pytest.mark.parametrize("call", ["identity", "outcomes", "attributes"])
def test_what_is_wrong_with_a_scorer_is_said_with_its_route(tmp_path: Path, call: str) -> None:
    scorer: Any = routed(tmp_path, 'en = "fak"\n', Opener())
    with pytest.raises(UsageError, match=r"routes\.toml, route 'en': There is no scorer 'fak'") as raised:
        if call == "identity":
            _ = scorer.identity
        elif call == "outcomes":
            list(scorer.outcomes([Request("x", "en")]))
        else:
            scorer.attributes_for("en")
    assert raised.value.hint == "Did you mean: fake"
