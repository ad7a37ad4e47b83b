"""Every answer is a score, none, a fault that may pass, or an error for all; and none of them shows the key."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goodctl.errors import GoodctlError, ServiceError, UsageError
from goodctl.scoring.perspective.answers import MOST_ANSWER_BYTES, Asked, Fault, Rejected, read
from goodctl.scoring.protocol import Failed, NotScored, Scored
from tests.fakes import perspective_protocol as protocol

SECRET = "AIzaSecret"
ASKED = Asked(("toxicity",), detected=False, raw=False, host="example.org", secret=SECRET)


def scored(value: Any, name: str = "TOXICITY") -> bytes:
    return json.dumps({"attributeScores": {name: {"summaryScore": {"value": value, "type": "PROBABILITY"}}}}).encode()


def answered(status: int, content: Any, asked: Asked = ASKED) -> Any:
    return read(status, content if isinstance(content, bytes) else json.dumps(content).encode(), None, asked)


def test_a_score() -> None:
    assert answered(200, scored(0.25)) == Scored({"toxicity": 0.25})
    assert answered(200, scored(1)) == Scored({"toxicity": 1.0})


def test_the_answer_itself_where_it_is_wanted() -> None:
    outcome = answered(200, scored(0.25), Asked(("toxicity",), False, True, "h", None))
    assert outcome.raw == json.loads(scored(0.25))


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"null", b"[]", b"<html>", b"\xff\xfe", b"[" * 100_000, b'{"attributeScores": []}',
        b'{"attributeScores": {"TOXICITY": null}}', b'{"attributeScores": {"TOXICITY": {"spanScores": []}}}',
        scored(None), scored("0.5"), scored(True), scored(-0.01), scored(1.01), scored(math.nan), scored(math.inf),
        scored(10**400), scored(0.5, "INSULT"), b" " * MOST_ANSWER_BYTES + scored(0.5),
    ],
    ids=lambda content: content[:40].decode("latin-1").strip(),
)  # fmt: skip
def test_nonsense_is_a_failure(content: bytes) -> None:
    outcome = answered(200, content)
    assert isinstance(outcome, Failed)
    assert outcome.reason == "answer"


@given(st.binary(max_size=300))
def test_no_bytes_break_it(content: bytes) -> None:
    assert isinstance(read(200, content, None, ASKED), Failed)
    assert isinstance(read(503, content, None, ASKED), Fault)
    with pytest.raises(GoodctlError):
        read(403, content, None, ASKED)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("COMMENT_EMPTY", "empty"),
        ("COMMENT_TOO_LONG", "too_long"),
        ("LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE", "language"),
        ("LANGUAGE_DETECTION_FAILED", "language"),
    ],
)
def test_texts_that_get_no_score(kind: str, reason: str) -> None:
    outcome = answered(*protocol.refused(kind, "x"))
    assert isinstance(outcome, NotScored)
    assert outcome.reason == reason


@pytest.mark.parametrize(
    "answer",
    [
        protocol.refused("NO_REQUESTED_ATTRIBUTES", "Nothing is asked for."),
        protocol.error(400, "FAILED_PRECONDITION", "The location is not supported."),
    ],
)
def test_requests_that_are_wrong_end_it(answer: tuple[int, Any]) -> None:
    with pytest.raises(ServiceError, match=answer[1]["error"]["message"].rstrip(".")):
        answered(*answer)


@pytest.mark.parametrize(
    "answer",
    [
        protocol.refused("INVALID_REQUEST", "Something is wrong."),
        protocol.refused("SOMETHING_NEW", "Something is wrong."),
        protocol.error(400, "INVALID_ARGUMENT", "Something is wrong."),
    ],
)
def test_requests_that_are_wrong_for_their_text_or_for_all(answer: tuple[int, Any]) -> None:
    found = answered(*answer)
    assert isinstance(found, Rejected)
    assert found.not_scored.reason == "rejected"
    assert found.not_scored.message.endswith(": Something is wrong).")
    assert "INVALID_ARGUMENT" in found.error.message


def test_a_rejected_request_without_a_word() -> None:
    assert answered(400, b"<html>").not_scored.message == "example.org does not take the text (HTTP 400)."


@pytest.mark.parametrize("answer", [protocol.BAD_KEY, protocol.DISABLED, (401, {}), (403, b"<html>forbidden</html>")])
def test_keys_that_are_not_accepted_end_it(answer: tuple[int, Any]) -> None:
    with pytest.raises(UsageError, match="PERSPECTIVE_API_KEY") as caught:
        answered(*answer)
    assert "export PERSPECTIVE_API_KEY=KEY" in str(caught.value.hint)


@pytest.mark.parametrize(
    "message", [f"The key {SECRET} is bad.", "x" * 195 + SECRET, f"{SECRET[:5]} {SECRET}", f"a\n{SECRET}\tb"]
)
def test_a_key_that_the_service_repeats_is_hidden(message: str) -> None:
    rejected = answered(400, {"error": {"message": message, "status": SECRET}})
    for said in (rejected.not_scored.message, rejected.error.message):
        assert SECRET[:6] not in said
    for status in (403, 404, 418):
        with pytest.raises(GoodctlError) as caught:
            answered(status, {"error": {"message": message, "status": SECRET}})
        said = f"{caught.value.message} {caught.value.hint}"
        assert SECRET not in said
        assert SECRET[:6] not in said


@pytest.mark.parametrize("status", [404, 410])
def test_no_service(status: int) -> None:
    with pytest.raises(ServiceError, match="no Perspective API") as caught:
        answered(status, {})
    assert "after 2026" in str(caught.value.hint)


def test_redirects_are_not_followed() -> None:
    with pytest.raises(ServiceError, match="elsewhere"):
        answered(302, b"")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (protocol.RATE_LIMITED, "rate_limited"),
        (protocol.error(403, "PERMISSION_DENIED", "Quota.", {"reason": "RATE_LIMIT_EXCEEDED"}), "rate_limited"),
        ((403, {"error": {"errors": [{"reason": "rateLimitExceeded"}]}}), "rate_limited"),
        (protocol.BROKEN, "server"),
        ((503, b""), "server"),
        ((408, b""), "server"),
    ],
)
def test_faults_that_may_pass(answer: tuple[int, Any], reason: str) -> None:
    fault = answered(*answer)
    assert isinstance(fault, Fault)
    assert fault.failed.reason == reason
    assert fault.is_refusal == (reason == "rate_limited")


def test_retry_after_is_kept() -> None:
    fault = read(429, b"", "7", ASKED)
    assert isinstance(fault, Fault)
    assert fault.retry_after == "7"


def test_what_a_detected_language_lacks_may_be_missing() -> None:
    wanted = Asked(("toxicity", "flirtation"), True, False, "h", None)
    assert answered(200, scored(0.5), wanted) == Scored({"toxicity": 0.5})
    known = Asked(("toxicity", "flirtation"), False, False, "h", None)
    assert isinstance(answered(200, scored(0.5), known), Failed)
    only = Asked(("flirtation",), True, False, "h", None)
    assert answered(200, {"attributeScores": {}}, only) == answered(
        *protocol.refused("LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE", "x")
    )
