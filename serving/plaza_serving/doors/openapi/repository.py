"""Paths and schemas of the model repository extension, for `openapi.document`."""

from __future__ import annotations

from typing import Any

from plaza_serving.doors.openapi.parts import (
    INFER_ERRORS,
    MODEL,
    ONCE,
    VERSION,
    errors,
    json_body,
    ok,
)

_TEXT = {"type": "string"}
_STATES = ["READY", "LOADING", "UNAVAILABLE"]
_MOST_US = 600_000_000

SCHEMAS: dict[str, Any] = {
    "RepositoryIndexRequest": {
        "type": "object",
        "properties": {"ready": {"type": "boolean", "default": False}},
        "additionalProperties": False,
    },
    "RepositoryIndex": {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["name", "version", "state", "reason"],
            "properties": {
                "name": _TEXT,
                "version": _TEXT,
                "state": {"type": "string", "enum": _STATES},
                "reason": _TEXT,
            },
        },
    },
    "RepositoryRequest": {
        "type": "object",
        "properties": {
            "parameters": {
                "type": "object",
                "properties": {
                    "timeout": {
                        "type": "integer",
                        "minimum": 1,
                        "maximum": _MOST_US,
                        "description": "Microseconds to wait at most",
                    },
                    "unload_dependents": {"type": "boolean", "description": "Of an unload"},
                },
                "additionalProperties": False,
            }
        },
        "additionalProperties": False,
    },
    "RepositoryDone": {
        "type": "object",
        "required": ["name", "version"],
        "properties": {"name": _TEXT, "version": _TEXT},
    },
}

EXAMPLES: dict[str, Any] = {
    "RepositoryIndexRequest": {
        "ready": {"summary": "Only what is open on this replica", "value": {"ready": True}},
        "all": {"summary": "Every version that this key may call", "value": {}},
    },
    "RepositoryRequest": {
        "patient": {
            "summary": "Wait half a minute at most",
            "value": {"parameters": {"timeout": 30_000_000}},
        },
    },
}

_INDEX = (
    "Every version that this key may call, and whether the replica that answers has it open. A "
    "version that is not open is opened on its first use."
)
_LOAD = (
    "Keep a version open on every replica; answers once it is open on this one. Without a version "
    "the default is meant: `champion`, else the newest. Needs a key that may change the model; "
    "configurations and files cannot be sent."
)
_UNLOAD = (
    "Keep a version open no longer. An alias that means it keeps it open all the same, and it "
    "closes only when its room is needed."
)


def paths() -> dict[str, Any]:
    def verb(name: str, summary: str, text: str, body: str, schema: str) -> dict[str, Any]:
        return {
            "operationId": name,
            "summary": summary,
            "description": text,
            "tags": ["Model repository"],
            "parameters": [ONCE],
            "requestBody": {"required": False, "content": json_body(body, EXAMPLES)},
            "responses": {"200": ok(summary, schema), **errors(*INFER_ERRORS)},
        }

    index = ("repositoryIndex", "Versions and their states", _INDEX)
    found: dict[str, Any] = {
        "/v2/repository/index": {
            "post": verb(*index, "RepositoryIndexRequest", "RepositoryIndex"),
        }
    }
    for suffix, path, parameters in (
        ("", "/v2/repository/models/{model}", [MODEL]),
        ("OfVersion", "/v2/repository/models/{model}/versions/{version}", [MODEL, VERSION]),
    ):
        for name, text in (("load", _LOAD), ("unload", _UNLOAD)):
            about = (f"{name}{suffix}", f"{name.capitalize()} a version", text)
            operation = verb(*about, "RepositoryRequest", "RepositoryDone")
            found[f"{path}/{name}"] = {"parameters": parameters, "post": operation}
    return found
