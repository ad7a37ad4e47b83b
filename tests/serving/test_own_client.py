"""goodctl's own client of the Perspective protocol works against goodctl's own server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from goodctl.scoring.perspective import open_scorer
from goodctl.scoring.protocol import NotScored, Request, Scored, Scorer, ScorerOptions
from tests.cli.test_cli import run
from tests.serving.serving import REFUSALS, HeldScorer, running, score

ATTRIBUTES = ("toxicity", "insult")


@pytest.fixture
def held() -> HeldScorer:
    return HeldScorer(REFUSALS)


def asked(url: str) -> Scorer:
    return open_scorer("", ScorerOptions(ATTRIBUTES, raw=True, rate=500, base_url=url))


@pytest.fixture
def client(held: HeldScorer) -> Iterator[Scorer]:
    with running(held, key=None) as server:
        scorer = asked(server.url)
        yield scorer
        scorer.close()


def test_scores_come_through(client: Scorer, held: HeldScorer) -> None:
    requests = [Request("x" * length, "en") for length in range(1, 40)]
    found = dict(client.outcomes(requests))
    for request in requests:
        outcome = found[request]
        assert isinstance(outcome, Scored)
        assert dict(outcome.scores) == dict.fromkeys(ATTRIBUTES, score(request.text))
        assert outcome.raw is not None
        assert outcome.raw["attributeScores"]["TOXICITY"]["spanScores"][0]["end"] == len(request.text)
    assert sum(len(batch) for batch in held.batches) == 39, "nothing is asked twice"


def test_what_has_no_score_is_said(client: Scorer) -> None:
    asking = [Request("is too long", "en"), Request("", "en"), Request("is in Latin", "en"), Request("a", "xx")]
    found = dict(client.outcomes(asking))
    reasons = {request.text: outcome.reason for request, outcome in found.items() if isinstance(outcome, NotScored)}
    assert reasons == {"is too long": "too_long", "": "empty", "is in Latin": "language", "a": "language"}


@pytest.mark.slow
def test_the_commands_work_together(held: HeldScorer, tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = [
        {"prompt": "How are you", "generations": [" today", " my friend"]},
        {"prompt": "Go", "generations": [" home", ""]},
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with running(held) as server:
        options = ("--scorer", "perspective", "--base-url", server.url, "--rate", "50", "--language", "en")
        run("score", "in.jsonl", *options, "--out", "out.jsonl", "--quiet", cwd=tmp_path)
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    texts = [each for line in written for each in line["generations"]]
    assert [each["toxicity"] for each in texts] == [score(" today"), score(" my friend"), score(" home"), None]
