"""Google's own client library, as evaluation harnesses use it, works against the served discovery document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from googleapiclient.discovery import build, build_from_document
from googleapiclient.errors import HttpError

from tests.serving.serving import HeldScorer, asking, running, score

KEY = "the-key"


@pytest.fixture
def url() -> Iterator[str]:
    with running(HeldScorer(), key=KEY) as server:
        yield server.url


@pytest.mark.parametrize("path", ["/$discovery/rest?version=v1alpha1", "/discovery/v1/apis/{api}/{apiVersion}/rest"])
def test_the_client_finds_and_calls_the_method(url: str, path: str) -> None:
    client: Any = build(
        "commentanalyzer", "v1alpha1", developerKey=KEY, discoveryServiceUrl=url + path, static_discovery=False
    )
    with client:
        fields = asking("What a day", "TOXICITY", "INSULT", clientToken="t1")
        answer = client.comments().analyze(body=fields).execute()
        assert answer["attributeScores"]["TOXICITY"]["summaryScore"]["value"] == score("What a day")
        assert answer["clientToken"] == "t1"
        with pytest.raises(HttpError) as caught:
            client.comments().analyze(body=asking("")).execute()
        assert caught.value.status_code == 400
        assert caught.value.reason == "Comment must be non-empty."
        assert caught.value.error_details[0]["errorType"] == "COMMENT_EMPTY"


def test_a_document_at_hand(url: str) -> None:
    document = httpx.get(url + "/$discovery/rest").json()
    assert document["rootUrl"] == url + "/"
    client: Any = build_from_document(document, developerKey="wrong")
    with client, pytest.raises(HttpError) as caught:
        client.comments().analyze(body=asking("a")).execute()
    assert caught.value.status_code == 403


def test_another_version_is_not_there(url: str) -> None:
    response = httpx.get(url + "/$discovery/rest?version=v2")
    assert (response.status_code, response.json()["error"]["status"]) == (404, "NOT_FOUND")
