"""What the Perspective API answers: its form, its errors, and scores that follow from the text alone."""

from __future__ import annotations

import hashlib
import json
from typing import Any

ALL = {"TOXICITY", "SEVERE_TOXICITY", "IDENTITY_ATTACK", "INSULT", "PROFANITY", "THREAT"}
ENGLISH = {"SEXUALLY_EXPLICIT", "FLIRTATION", *(f"{name}_EXPERIMENTAL" for name in ALL)}
LANGUAGES = {
    "ar", "zh", "cs", "nl", "en", "fr", "de", "hi", "hi-Latn", "id", "it", "ja", "ko", "pl", "pt", "ru", "es", "sv",
}  # fmt: skip
MOST_BYTES = 20_480
MEMBERS = {
    "comment", "requestedAttributes", "languages", "spanAnnotations", "doNotStore", "clientToken", "sessionId",
    "communityId", "dropUnsupportedAttributes",
}  # fmt: skip


def score(text: str, attribute: str = "TOXICITY") -> float:
    """The score of a text: always the same, and another for each text and attribute."""
    digest = hashlib.sha256(f"{attribute}\0{text}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def error(code: int, status: str, message: str, *details: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    found: dict[str, Any] = {"code": code, "message": message, "status": status}
    if details:
        found["details"] = list(details)
    return code, {"error": found}


def refused(kind: str, message: str, **more: Any) -> tuple[int, dict[str, Any]]:
    detail = {"@type": "type.googleapis.com/google.commentanalyzer.v1alpha1.Error", "errorType": kind, **more}
    return error(400, "INVALID_ARGUMENT", message, detail)


RATE_LIMITED = error(
    429,
    "RESOURCE_EXHAUSTED",
    "Quota exceeded for quota metric 'Analysis requests (AnalyzeComment)'.",
    {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED", "domain": "googleapis.com"},
)
BAD_KEY = error(
    400,
    "INVALID_ARGUMENT",
    "API key not valid. Please pass a valid API key.",
    {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"},
)
DISABLED = error(
    403,
    "PERMISSION_DENIED",
    "Perspective Comment Analyzer API has not been used in project 1 before or it is disabled.",
    {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED", "domain": "googleapis.com"},
)
BROKEN = error(500, "INTERNAL", "Internal error encountered.")


def analyzed(body: bytes) -> tuple[int, dict[str, Any]]:
    """Status and answer for a body."""
    try:
        # As protobuf's parser does: what is no Unicode is no JSON.
        asked = json.loads(body.decode())
        json.dumps(asked, ensure_ascii=False).encode()
    except ValueError:
        return error(400, "INVALID_ARGUMENT", "Invalid JSON payload received.")
    if not isinstance(asked, dict) or asked.keys() - MEMBERS:
        return error(400, "INVALID_ARGUMENT", "Invalid JSON payload received. Unknown name.")
    comment = asked.get("comment")
    text = comment.get("text", "") if isinstance(comment, dict) else None
    wanted, languages = asked.get("requestedAttributes", {}), asked.get("languages", [])
    if not isinstance(text, str) or not isinstance(wanted, dict) or not isinstance(languages, list):
        return refused("INVALID_REQUEST", "The request has members of a wrong type.")
    if not wanted:
        return refused("NO_REQUESTED_ATTRIBUTES", "No requested attributes were found.")
    if unknown := wanted.keys() - ALL - ENGLISH:
        return refused("INVALID_REQUEST", f"Unknown requested attribute: {min(unknown)}")
    if not text.strip():
        return refused("COMMENT_EMPTY", "Comment must be non-empty.")
    if len(text.encode()) > MOST_BYTES:
        return refused("COMMENT_TOO_LONG", "Comment text too long.")
    detected = ["en" if text.isascii() else "fr"]
    for language in languages or detected:
        drops = wanted.keys() & ENGLISH if language != "en" else set()
        if language not in LANGUAGES or (drops and not asked.get("dropUnsupportedAttributes")):
            name = min(drops or wanted)
            failed = {"languageNotSupportedByAttributeError": {"detectedLanguages": detected, "attribute": name}}
            message = f"Attribute {name} does not support request languages: {language}"
            return refused("LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE", message, **failed)
        wanted = {name: what for name, what in wanted.items() if name not in drops}
    scores = {name: {"summaryScore": {"value": score(text, name), "type": "PROBABILITY"}} for name in sorted(wanted)}
    answer = {"attributeScores": scores, "languages": languages or detected, "detectedLanguages": detected}
    return 200, {**answer, **({"clientToken": asked["clientToken"]} if "clientToken" in asked else {})}
