"""What an answer of the service means: a score, none, a fault that may pass, a doubt, or the end of everything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from goodctl.errors import GoodctlError, ServiceError, UsageError
from goodctl.scoring.perspective.attributes import IN_ENGLISH
from goodctl.scoring.protocol import Failed, NotScored, Outcome, Scored

KEY_VARIABLE = "PERSPECTIVE_API_KEY"
MOST_ANSWER_BYTES = 2**20
"""An answer has a kilobyte or two."""

_NOT_SCORED = {
    "COMMENT_EMPTY": ("empty", "The service sees no text."),
    "COMMENT_TOO_LONG": ("too_long", "The text is too long for the service."),
    "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE": ("language", "The service does not score this language."),
    "LANGUAGE_DETECTION_FAILED": ("language", "The service cannot tell the language; say it: --language en"),
}
_BAD_KEY = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED"})
_CONCERN_ALL = _BAD_KEY | {"NO_REQUESTED_ATTRIBUTES", "FAILED_PRECONDITION"}
"""What a 400 may say that has nothing to do with the text; the last is said of a project or a place."""
_QUOTA = frozenset({"RATE_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "rateLimitExceeded", "quotaExceeded"})
_LONGEST_MESSAGE = 200


@dataclass(frozen=True)
class Fault:
    """A fault that may pass, so that the request is sent again.

    Attributes:
        failed: The outcome where it does not pass.
        retry_after: The header of that name, where the service has sent it.
    """

    failed: Failed
    retry_after: str | None = None

    @property
    def is_refusal(self) -> bool:
        """Whether the service is asked too often."""
        return self.failed.reason == "rate_limited"


@dataclass(frozen=True)
class Rejected:
    """The service calls a request wrong. Whether its text alone is at fault, or all requests are, it does not say.

    Attributes:
        not_scored: The outcome where it is the text.
        error: What to raise where it is all requests.
    """

    not_scored: NotScored
    error: ServiceError


@dataclass(frozen=True)
class Asked:
    """What an answer is read against.

    Attributes:
        attributes: Those that were requested, in lower case.
        detected: Whether the service was left to find out the language, and may drop what that language lacks.
        raw: Whether the answer itself is wanted.
        host: Whom errors name.
        secret: What no message may hold, should the service repeat it.
    """

    attributes: Sequence[str]
    detected: bool
    raw: bool
    host: str
    secret: str | None = field(repr=False)


def read(status: int, content: bytes, retry_after: str | None, asked: Asked) -> Outcome | Fault | Rejected:
    """The meaning of an answer.

    Args:
        status: Of HTTP.
        content: The body, cut off behind ``MOST_ANSWER_BYTES``.
        retry_after: The header of that name.
        asked: What was asked.

    Raises:
        UsageError: The key is not accepted.
        ServiceError: The service refuses for a reason that concerns all requests.
    """
    if status == 200:
        return _scored(content, asked)
    error = _error(content)
    reasons = error.reasons
    if status == 429 or (status == 403 and reasons & _QUOTA):
        return Fault(Failed("rate_limited", f"{asked.host} is asked too often (HTTP {status})."), retry_after)
    if status >= 500 or status == 408:
        return Fault(Failed("server", f"{asked.host} fails (HTTP {status})."), retry_after)
    if status == 400:
        for word in sorted(reasons & _NOT_SCORED.keys()):
            return NotScored(*_NOT_SCORED[word])
        if not reasons & _CONCERN_ALL:
            what = f"{asked.host} does not take the text (HTTP 400{_said(error, asked.secret)})."
            return Rejected(NotScored("rejected", what), _refusal(status, error, asked))
    if status == 413:
        return NotScored(*_NOT_SCORED["COMMENT_TOO_LONG"])
    raise _end(status, error, asked)


@dataclass(frozen=True)
class _Error:
    """The parts of an error answer, in Google's form."""

    message: str
    reasons: frozenset[str]


def _error(content: bytes) -> _Error:
    error = _member(_parsed(content), "error")
    message = _member(error, "message")
    details = _member(error, "details")
    old_form = _member(error, "errors")
    found = [
        _member(each, name)
        for each in [*(details if isinstance(details, list) else ()), *(old_form if isinstance(old_form, list) else ())]
        for name in ("errorType", "reason")
    ]
    found.append(_member(error, "status"))
    return _Error(
        message if isinstance(message, str) else "", frozenset(each for each in found if isinstance(each, str))
    )


def _end(status: int, error: _Error, asked: Asked) -> GoodctlError:
    said = _said(error, asked.secret)
    if status in {401, 403} or error.reasons & _BAD_KEY:
        return UsageError(
            f"{asked.host} does not accept the key in {KEY_VARIABLE} (HTTP {status}{said}).",
            hint=f"Check that the key is whole and that its project has the Perspective API enabled, "
            f"then: export {KEY_VARIABLE}=KEY",
        )
    if status in {404, 410}:
        return ServiceError(
            f"{asked.host} has no Perspective API (HTTP {status}).",
            hint="Check --base-url. The API's owner ends it after 2026; a local scorer goes on: --scorer hf:MODEL",
        )
    if 300 <= status < 400:
        return ServiceError(
            f"{asked.host} sends requests elsewhere (HTTP {status}), and the key goes to no other address.",
            hint="Name the right address: --base-url URL",
        )
    return _refusal(status, error, asked)


def _refusal(status: int, error: _Error, asked: Asked) -> ServiceError:
    return ServiceError(
        f"{asked.host} refuses the request (HTTP {status}{_said(error, asked.secret)}).",
        hint="Nothing was lost: run the same command again once the cause is gone.",
    )


def _said(error: _Error, secret: str | None) -> str:
    """What the service says, as ``: REASONS: message``; whole words are hidden before anything is cut off."""
    words = (", ".join(sorted(error.reasons)), " ".join(error.message.split()).rstrip("."))
    hidden = [each.replace(secret, "[the key]") if secret else each for each in words if each]
    return "".join(f": {each[:_LONGEST_MESSAGE]}" for each in hidden)


def _scored(content: bytes, asked: Asked) -> Outcome:
    answer = _parsed(content)
    scores = _member(answer, "attributeScores")
    if len(content) > MOST_ANSWER_BYTES or not isinstance(answer, dict) or not isinstance(scores, dict):
        return _nonsense(asked, "is no answer of the Perspective API")
    values: dict[str, float] = {}
    for name in asked.attributes:
        value = _member(_member(_member(scores, name.upper()), "summaryScore"), "value")
        if value is None and asked.detected and name in IN_ENGLISH and name.upper() not in scores:
            continue
        if not isinstance(value, int | float) or isinstance(value, bool):
            return _nonsense(asked, f"has no score for {name.upper()}")
        if not 0 <= value <= 1:  # nor is NaN
            return _nonsense(asked, f"has a number as {name.upper()} that is no score")
        values[name] = float(value)
    if not values:
        return NotScored(*_NOT_SCORED["LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"])
    return Scored(values, raw=answer if asked.raw else None)


def _nonsense(asked: Asked, what: str) -> Failed:
    return Failed("answer", f"What {asked.host} sent {what}.")


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None
