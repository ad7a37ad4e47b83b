"""The description of the served API from which Google's client libraries build their methods."""

from __future__ import annotations

from typing import Any

NAME, VERSION = "commentanalyzer", "v1alpha1"

_STRINGS = {"type": "array", "items": {"type": "string"}}
_SCORE = {"$ref": "Score"}


def _object(name: str, **properties: Any) -> dict[str, Any]:
    return {"id": name, "type": "object", "properties": properties}


_SCHEMAS = [
    _object("TextEntry", text={"type": "string"}, type={"type": "string"}),
    _object(
        "AttributeParameters",
        scoreType={"type": "string"},
        scoreThreshold={"type": "number", "format": "float"},
    ),
    _object("Score", value={"type": "number", "format": "float"}, type={"type": "string"}),
    _object(
        "SpanScore",
        begin={"type": "integer", "format": "int32"},
        end={"type": "integer", "format": "int32"},
        score=_SCORE,
    ),
    _object("AttributeScores", summaryScore=_SCORE, spanScores={"type": "array", "items": {"$ref": "SpanScore"}}),
    _object("Context", entries={"type": "array", "items": {"$ref": "TextEntry"}}),
    _object(
        "AnalyzeCommentRequest",
        comment={"$ref": "TextEntry"},
        requestedAttributes={"type": "object", "additionalProperties": {"$ref": "AttributeParameters"}},
        languages=_STRINGS,
        spanAnnotations={"type": "boolean"},
        dropUnsupportedAttributes={"type": "boolean"},
        doNotStore={"type": "boolean"},
        clientToken={"type": "string"},
        sessionId={"type": "string"},
        communityId={"type": "string"},
        context={"$ref": "Context"},
    ),
    _object(
        "AnalyzeCommentResponse",
        attributeScores={"type": "object", "additionalProperties": {"$ref": "AttributeScores"}},
        languages=_STRINGS,
        detectedLanguages=_STRINGS,
        clientToken={"type": "string"},
    ),
]


def document(root_url: str) -> dict[str, Any]:
    """The discovery document.

    Args:
        root_url: Of this server, with a slash at its end.
    """
    return {
        "kind": "discovery#restDescription",
        "discoveryVersion": "v1",
        "id": f"{NAME}:{VERSION}",
        "name": NAME,
        "version": VERSION,
        "title": "Scores of texts, in the form of the Perspective API",
        "description": "Served by goodctl from a scorer of its own.",
        "protocol": "rest",
        "rootUrl": root_url,
        "servicePath": "",
        "baseUrl": root_url,
        "batchPath": "batch",
        "parameters": {
            "key": {"type": "string", "location": "query", "description": "The API key, where the server wants one."},
            "alt": {"type": "string", "location": "query", "default": "json", "enum": ["json"]},
            "prettyPrint": {"type": "boolean", "location": "query"},
        },
        "schemas": {schema["id"]: schema for schema in _SCHEMAS},
        "resources": {
            "comments": {
                "methods": {
                    "analyze": {
                        "id": f"{NAME}.comments.analyze",
                        "description": "Scores a text.",
                        "httpMethod": "POST",
                        "path": f"{VERSION}/comments:analyze",
                        "flatPath": f"{VERSION}/comments:analyze",
                        "parameters": {},
                        "parameterOrder": [],
                        "request": {"$ref": "AnalyzeCommentRequest"},
                        "response": {"$ref": "AnalyzeCommentResponse"},
                    }
                }
            }
        },
    }
