"""The Perspective API's ``comments:analyze``: what a request asks for, and the answer to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from goodctl.scoring.perspective.attributes import ATTRIBUTES
from goodctl.scoring.protocol import Failed, NotScored, Outcome, Request
from goodctl.serving.choice import TEXT_BYTES
from goodctl.serving.refusals import RefusedError, invalid, invalid_request, too_many, unavailable, unsupported

# The names of the API, for its JSON and, as for all of Google's, in the form of its protocol buffers.
_FIELDS = (
    *("comment", "requestedAttributes", "languages", "spanAnnotations", "doNotStore", "clientToken", "sessionId"),
    *("communityId", "dropUnsupportedAttributes", "context"),
)


@dataclass(frozen=True)
class Asked:
    """A request that was read and found right.

    Attributes:
        request: The text in the language it is scored in.
        languages: As the client gave them.
        thresholds: Attribute, as the client wrote it, to the score below which it wants no answer.
        client_token: To be given back.
    """

    request: Request
    languages: tuple[str, ...]
    thresholds: Mapping[str, float]
    client_token: str | None


def read(body: bytes, attributes_for: Callable[[str | None], tuple[str, ...]], default_language: str | None) -> Asked:
    """Read a request.

    Args:
        body: As it came.
        attributes_for: What the scorer gives in a language.
        default_language: Of requests that name none.

    Raises:
        RefusedError: It cannot be answered.
    """
    fields = _fields(body)
    text = _text(fields)
    wanted = _thresholds(fields)
    languages = _strings(fields, "languages")
    language = languages[0] if languages else default_language
    for each in languages:
        if {name.lower() for name in wanted} <= set(attributes_for(each)):
            language = each
            break
    offered = attributes_for(language)
    lacking = [name for name in wanted if name.lower() not in offered]
    if unknown := [name for name in lacking if name.lower() not in ATTRIBUTES]:
        raise invalid_request(f"Unknown requested attribute: {unknown[0][:80]}")
    if lacking and (len(lacking) == len(wanted) or not _flag(fields, "dropUnsupportedAttributes")):
        raise unsupported(lacking[0], languages)
    token = fields.get("clientToken")
    if token is not None and not isinstance(token, str):
        raise invalid_request("'client_token' is a string.")
    _check_unicode(token or "", "client_token")
    kept = {name: limit for name, limit in wanted.items() if name not in lacking}
    return Asked(Request(text, language), languages, kept, token)


def answer(asked: Asked, outcome: Outcome) -> dict[str, Any]:
    """The answer to a request whose text was scored, with one span over the whole text.

    Raises:
        RefusedError: It was not scored.
    """
    if isinstance(outcome, NotScored):
        raise _not_scored(asked, outcome)
    if isinstance(outcome, Failed):
        raise too_many() if outcome.reason == "rate_limited" else unavailable(outcome.message)
    scores = {}
    # Offsets are counted as JavaScript counts them; Python's slices take them too, since they only lie farther.
    end = len(asked.request.text.encode("utf-16-le", "surrogatepass")) // 2
    for name, threshold in asked.thresholds.items():
        value = outcome.scores.get(name.lower())
        if value is None:
            raise unsupported(name, asked.languages)
        if value >= threshold:
            score = {"value": value, "type": "PROBABILITY"}
            scores[name] = {"spanScores": [{"begin": 0, "end": end, "score": score}], "summaryScore": score}
    languages = list(asked.languages or ([asked.request.language] if asked.request.language else []))
    found: dict[str, Any] = {"attributeScores": scores, "languages": languages, "detectedLanguages": languages}
    if asked.client_token is not None:
        found["clientToken"] = asked.client_token
    return found


def _not_scored(asked: Asked, outcome: NotScored) -> RefusedError:
    if outcome.reason == "empty":
        return invalid("COMMENT_EMPTY", "Comment must be non-empty.")
    if outcome.reason == "too_long":
        return invalid("COMMENT_TOO_LONG", "Comment text was too many bytes.")
    if outcome.reason == "language":
        if asked.request.language is None:
            return invalid("LANGUAGE_DETECTION_FAILED", "The language is not known; name it in 'languages'.")
        return unsupported(next(iter(asked.thresholds)), asked.languages or (asked.request.language,))
    # The request was right, so no 400: to a client that means that all its requests are wrong.
    return RefusedError(500, f"The scorer has no score for this text: {outcome.message}")


def _fields(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        where = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise invalid_request(f"Invalid JSON payload received: it is no JSON{where}.") from error
    if not isinstance(found, dict):
        raise invalid_request("Invalid JSON payload received: it is no object.")
    return _named(found, _FIELDS)


def _named(found: dict[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
    names = {name: name for name in known} | {_snake(name): name for name in known}
    if unknown := [name for name in found if name not in names]:
        # A misspelt 'languages' would otherwise be scored in an unknown language.
        raise invalid_request(f"Invalid JSON payload received. Unknown name {unknown[0][:80]!r}: Cannot find field.")
    return {names[name]: value for name, value in found.items() if value is not None}


def _snake(name: str) -> str:
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in name)


def _text(fields: dict[str, Any]) -> str:
    comment = fields.get("comment", {})
    if not isinstance(comment, dict):
        raise invalid_request("'comment' is an object with a text.")
    entry = _named(comment, ("text", "type"))
    text = entry.get("text", "")
    if not isinstance(text, str):
        raise invalid_request("'comment.text' is a string.")
    if entry.get("type", "PLAIN_TEXT") not in {"PLAIN_TEXT", "TEXT_TYPE_UNSPECIFIED"}:
        raise invalid_request("'comment.type' is PLAIN_TEXT; this server takes no other.")
    if not text.strip():  # though there are scorers that would score it
        raise invalid("COMMENT_EMPTY", "Comment must be non-empty.")
    if len(text.encode("utf-8", "surrogatepass")) > TEXT_BYTES:
        raise invalid("COMMENT_TOO_LONG", "Comment text was too many bytes.")
    return text


def _thresholds(fields: dict[str, Any]) -> dict[str, float]:
    wanted = fields.get("requestedAttributes", {})
    if not isinstance(wanted, dict):
        raise invalid_request("'requested_attributes' is an object of attributes.")
    if not wanted:
        raise invalid("NO_REQUESTED_ATTRIBUTES", "Must specify requested_attributes.")
    found = {}
    for name, settings in wanted.items():
        _check_unicode(name, "requested_attributes")
        if name != name.upper():
            raise invalid_request(f"Unknown requested attribute: {name[:80]}; attributes are in capitals.")
        if not isinstance(settings, dict):
            raise invalid_request(f"'requested_attributes.{name[:80]}' is an object.")
        given = _named(settings, ("scoreType", "scoreThreshold"))
        if given.get("scoreType", "PROBABILITY") not in {"PROBABILITY", "SCORE_TYPE_UNSPECIFIED"}:
            raise invalid_request("'score_type' is PROBABILITY; this server gives no other.")
        threshold = given.get("scoreThreshold", 0.0)
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
            raise invalid_request("'score_threshold' is a number from 0 to 1.")
        found[name] = float(threshold)
    return found


def _strings(fields: dict[str, Any], name: str) -> tuple[str, ...]:
    given = fields.get(name, [])
    if not isinstance(given, list) or not all(isinstance(each, str) and 0 < len(each) <= 35 for each in given):
        raise invalid_request(f"'{_snake(name)}' is a list of language tags.")
    for each in given:
        _check_unicode(each, _snake(name))
    return tuple(given)


def _check_unicode(text: str, name: str) -> None:
    """Refuse lone surrogates, which JSON can escape and nothing else can say."""
    if any("\ud800" <= sign <= "\udfff" for sign in text):
        raise invalid_request(f"'{name}' holds a lone surrogate, which is no character.")


def _flag(fields: dict[str, Any], name: str) -> bool:
    given = fields.get(name, False)
    if not isinstance(given, bool):
        raise invalid_request(f"'{_snake(name)}' is true or false.")
    return given
