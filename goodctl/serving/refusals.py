"""The error answers of the Perspective API: Google's JSON form, with the API's own error types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_TYPE = "type.googleapis.com/google.commentanalyzer.v1alpha1.Error"
_STATUS = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
RETRY_AFTER_S = 1


class RefusedError(Exception):
    """A request that gets an error for an answer.

    Attributes:
        code: HTTP status.
        body: The answer, as JSON values.
        headers: Beside it.
    """

    def __init__(
        self,
        code: int,
        message: str,
        details: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        error: dict[str, Any] = {"code": code, "message": message, "status": _STATUS[code]}
        if details:
            error["details"] = [dict(each) for each in details]
        self.body: dict[str, Any] = {"error": error}
        self.headers = dict(headers or {})


def invalid(error_type: str, message: str, **more: Any) -> RefusedError:
    """400 with one of the API's error types (``COMMENT_EMPTY``)."""
    return RefusedError(400, message, [{"@type": _TYPE, "errorType": error_type, **more}])


def invalid_request(message: str) -> RefusedError:
    """400 for a body that is not what the API takes."""
    return invalid("INVALID_REQUEST", message)


def unsupported(attribute: str, languages: Sequence[str]) -> RefusedError:
    """400 for an attribute that the scorer lacks in a language."""
    named = ", ".join(languages) or "und"
    return invalid(
        "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE",
        f"Attribute {attribute} does not support request languages: {named}",
        languageNotSupportedByAttributeError={"detectedLanguages": list(languages), "attribute": attribute},
    )


def forbidden(given: bool) -> RefusedError:
    """403 for a missing or wrong key."""
    message = "The API key is not valid." if given else "The request has no API key."
    reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "goodctl"}
    return RefusedError(403, message, [reason])


def too_large(limit: int) -> RefusedError:
    """413 for a body over the limit; the rest of it is not read, so the connection ends."""
    return RefusedError(413, f"The request has more than {limit} bytes.", headers={"connection": "close"})


def too_many() -> RefusedError:
    """429 while as many requests wait as may."""
    reason = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "RATE_LIMIT_EXCEEDED",
        "domain": "goodctl",
    }
    return RefusedError(429, "Too many requests are waiting.", [reason], {"retry-after": str(RETRY_AFTER_S)})


def unavailable(message: str) -> RefusedError:
    """503 for what may pass."""
    return RefusedError(503, message, headers={"retry-after": str(RETRY_AFTER_S)})
