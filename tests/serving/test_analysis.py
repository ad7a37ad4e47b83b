"""Requests as the API takes them, and what is wrong with others; answers as it gives them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goodctl.scoring.protocol import NotScored, Request, Scored
from goodctl.serving.analysis import answer, read
from goodctl.serving.refusals import RefusedError
from tests.serving.serving import HeldScorer, asking

OFFERED = HeldScorer().attributes_for


def body(fields: Any) -> bytes:
    return json.dumps(fields).encode()


def refusal(fields: Any) -> dict[str, Any]:
    with pytest.raises(RefusedError) as caught:
        read(fields if isinstance(fields, bytes) else body(fields), OFFERED, None)
    error: dict[str, Any] = caught.value.body["error"]
    assert (caught.value.code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    return error


def test_a_request_and_its_answer() -> None:
    asked = read(
        body(asking("Hé 😀", "TOXICITY", "INSULT", clientToken="t", sessionId="s", doNotStore=True)), OFFERED, None
    )
    assert asked.request == Request("Hé 😀", "en")
    score = {"value": 0.25, "type": "PROBABILITY"}
    assert answer(asked, Scored({"toxicity": 0.25, "insult": 0.5, "threat": 0.1})) == {
        "attributeScores": {
            "TOXICITY": {"spanScores": [{"begin": 0, "end": 5, "score": score}], "summaryScore": score},
            "INSULT": {
                "spanScores": [{"begin": 0, "end": 5, "score": {**score, "value": 0.5}}],
                "summaryScore": {**score, "value": 0.5},
            },
        },
        "languages": ["en"],
        "detectedLanguages": ["en"],
        "clientToken": "t",
    }


def test_names_of_protocol_buffers_are_taken_too() -> None:
    fields = {
        "comment": {"text": "a", "type": "PLAIN_TEXT"},
        "requested_attributes": {"TOXICITY": {"score_type": None}},
    }
    assert read(body({**fields, "do_not_store": True, "languages": None}), OFFERED, None).languages == ()


def test_scores_below_a_threshold_are_left_out() -> None:
    wanted = {"TOXICITY": {"scoreThreshold": 0.5}, "INSULT": {"scoreThreshold": 0.5}}
    asked = read(body({**asking("a"), "requestedAttributes": wanted}), OFFERED, None)
    assert list(answer(asked, Scored({"toxicity": 0.5, "insult": 0.49}))["attributeScores"]) == ["TOXICITY"]


def test_the_language_that_has_all_attributes_is_taken() -> None:
    asked = read(body(asking("a", "INSULT", languages=["xx", "fr", "en"])), OFFERED, None)
    assert (asked.request.language, asked.languages) == ("en", ("xx", "fr", "en"))


def test_a_language_that_nobody_names() -> None:
    nameless = asking("a", languages=[])
    assert read(body(nameless), OFFERED, None).request.language is None
    asked = read(body(nameless), OFFERED, "fr")
    assert asked.request.language == "fr"
    assert answer(asked, Scored({"toxicity": 0.1}))["languages"] == ["fr"]


def test_unsupported_attributes_are_dropped_on_request() -> None:
    fields = asking("a", "INSULT", "TOXICITY", languages=["fr"])
    error = refusal(fields)
    assert error["message"] == "Attribute INSULT does not support request languages: fr"
    assert error["details"][0]["errorType"] == "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"
    assert error["details"][0]["languageNotSupportedByAttributeError"] == {
        "detectedLanguages": ["fr"],
        "attribute": "INSULT",
    }
    kept = read(body({**fields, "dropUnsupportedAttributes": True}), OFFERED, None)
    assert list(kept.thresholds) == ["TOXICITY"]
    error = refusal(asking("a", "INSULT", "THREAT", languages=["fr"], dropUnsupportedAttributes=True))
    assert error["details"][0]["errorType"] == "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE", "nothing would be left"


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        (asking(""), "COMMENT_EMPTY", "non-empty"),
        ({"requestedAttributes": {"TOXICITY": {}}}, "COMMENT_EMPTY", "non-empty"),
        (asking("é" * 10_241), "COMMENT_TOO_LONG", "too many bytes"),
        (asking("a", "TOXICITY", languages=["xx"]), "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE", "xx"),
        (asking("a", "THREAT"), "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE", "THREAT"),
        (asking("a", "NO_SUCH"), "INVALID_REQUEST", "NO_SUCH"),
        (asking("a", "TOXICITY", "NO_SUCH", dropUnsupportedAttributes=True), "INVALID_REQUEST", "NO_SUCH"),
        (asking(" \n\t\N{NO-BREAK SPACE}"), "COMMENT_EMPTY", "non-empty"),
        (asking("a", clientToken="t\ud800"), "INVALID_REQUEST", "'client_token' holds a lone surrogate"),
        (asking("a", "TOXICITY\udfff"), "INVALID_REQUEST", "'requested_attributes' holds a lone surrogate"),
        (asking("a", languages=["\ud800"]), "INVALID_REQUEST", "'languages' holds a lone surrogate"),
        ({**asking("a"), "requestedAttributes": {}}, "NO_REQUESTED_ATTRIBUTES", "requested_attributes"),
        ({"comment": {"text": "a"}}, "NO_REQUESTED_ATTRIBUTES", "requested_attributes"),
        (b"{", "INVALID_REQUEST", "character 1"),
        (b"\xff\xfe", "INVALID_REQUEST", "no JSON"),
        (b"[" * 100_000, "INVALID_REQUEST", "no JSON"),
        ([], "INVALID_REQUEST", "no object"),
        (asking("a", langauges=["en"]), "INVALID_REQUEST", "langauges"),
        (asking("a", comment="a"), "INVALID_REQUEST", "comment"),
        (asking("a", comment={"text": 1}), "INVALID_REQUEST", "comment.text"),
        (asking("a", comment={"text": "a", "type": "HTML"}), "INVALID_REQUEST", "PLAIN_TEXT"),
        (asking("a", "toxicity"), "INVALID_REQUEST", "toxicity"),
        (asking("a", languages="en"), "INVALID_REQUEST", "languages"),
        (asking("a", languages=["x" * 36]), "INVALID_REQUEST", "languages"),
        (asking("a", clientToken=1), "INVALID_REQUEST", "client_token"),
        (
            asking("a", "INSULT", "TOXICITY", languages=["fr"], dropUnsupportedAttributes=1),
            "INVALID_REQUEST",
            "true or",
        ),
        (asking("a", requestedAttributes=["TOXICITY"]), "INVALID_REQUEST", "requested_attributes"),
        (asking("a", requestedAttributes={"TOXICITY": 1}), "INVALID_REQUEST", "TOXICITY"),
        (asking("a", requestedAttributes={"TOXICITY": {"scoreThreshold": 2}}), "INVALID_REQUEST", "0 to 1"),
        (asking("a", requestedAttributes={"TOXICITY": {"scoreType": "STD"}}), "INVALID_REQUEST", "PROBABILITY"),
    ],
)
def test_what_is_wrong_is_said(fields: Any, kind: str, words: str) -> None:
    error = refusal(fields)
    assert error["details"][0]["errorType"] == kind
    assert words in error["message"]


def test_a_scorers_own_attributes_need_not_be_those_of_perspective() -> None:
    asked = read(body(asking("a", "OBSCENE")), lambda language: ("obscene",), None)
    assert list(asked.thresholds) == ["OBSCENE"]


def test_the_longest_text() -> None:
    assert read(body(asking("é" * 10_240)), OFFERED, None).request.text == "é" * 10_240


@pytest.mark.parametrize(
    ("reason", "language", "kind"),
    [
        ("empty", "en", "COMMENT_EMPTY"),
        ("too_long", "en", "COMMENT_TOO_LONG"),
        ("language", "en", "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"),
        ("language", None, "LANGUAGE_DETECTION_FAILED"),
    ],
)
def test_texts_that_have_no_score(reason: str, language: str | None, kind: str) -> None:
    asked = read(body(asking("a", languages=[language] if language else [])), OFFERED, None)
    with pytest.raises(RefusedError) as caught:
        answer(asked, NotScored(reason, "why"))
    assert caught.value.body["error"]["details"][0]["errorType"] == kind


def test_a_text_that_the_scorer_cannot_score_is_not_the_clients_fault() -> None:
    asked = read(body(asking("a")), OFFERED, None)
    with pytest.raises(RefusedError) as caught:
        answer(asked, NotScored("no_number", "No number."))
    assert (caught.value.code, caught.value.body["error"]["status"]) == (500, "INTERNAL")


@given(st.text(st.characters(codec="utf-16"), min_size=1, max_size=50).filter(str.strip))
def test_the_span_covers_the_whole_text(text: str) -> None:
    asked = read(body(asking(text)), OFFERED, None)
    span = answer(asked, Scored({"toxicity": 0.5}))["attributeScores"]["TOXICITY"]["spanScores"][0]
    in_javascript = text.encode("utf-16-le")
    assert in_javascript[2 * span["begin"] : 2 * span["end"]] == in_javascript
    assert span["end"] == len(in_javascript) // 2
    assert text[span["begin"] : span["end"]] == text


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["comment", "text", "requestedAttributes", "TOXICITY", "languages", "clientToken", "x"]
                ),
                inner,
                max_size=4,
            )
        ),
    )
)
def test_no_json_breaks_the_reader(fields: Any) -> None:
    try:
        read(body(fields), OFFERED, None)
    except RefusedError as error:
        assert error.code == 400
