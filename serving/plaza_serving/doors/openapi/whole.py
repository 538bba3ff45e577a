"""The document put together, and the paths of the Open Inference Protocol and of the tasks."""

from __future__ import annotations

import json
from typing import Any

from plaza_serving.doors.openapi import (
    openai,
    repository,
    series,
    tei,
    timeseries,
    triton,
    vision,
)
from plaza_serving.doors.openapi.parts import (
    MODEL,
    ONCE,
    STICKY,
    VERSION,
    get,
    json_body,
    ok,
    post,
    responses_of,
)
from plaza_serving.doors.openapi.schemas import EXAMPLES, SCHEMAS

_BINARY: dict[str, Any] = {
    "application/octet-stream": {
        "schema": {
            "type": "string",
            "format": "binary",
            "description": "JSON as long as the header Inference-Header-Content-Length says, "
            "then the tensors with binary_data_size in order; with 0 the whole body is the "
            "one input of the model.",
        }
    }
}
_JSON_LENGTH = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "description": "Length of the JSON part when binary tensors follow it",
    "schema": {"type": "integer", "minimum": 0},
}


def document() -> dict[str, Any]:
    """The document as JSON-ready values, always equal for the same source."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Plaza inference",
            "version": "1",
            "description": "Open Inference Protocol v2 with Triton's extensions, the hub's own "
            "task endpoints, and those of OpenAI, text-embeddings-inference and KServe's "
            "forecasts.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"key": []}],
        "paths": {
            **_protocol_paths(),
            **triton.paths(),
            **repository.paths(),
            **vision.paths(),
            **series.paths(),
            **_task_paths(),
            **openai.paths(),
            **tei.paths(),
            **timeseries.paths(),
            **_page_paths(),
        },
        "components": {
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`Authorization: Bearer plz_…`; never in a URL.",
                }
            },
            "responses": {
                **responses_of("Error"),
                **responses_of("OpenAIError"),
                **responses_of("TeiError"),
                "TeiError424": {**responses_of("TeiError")["TeiError500"]}
                | {"description": "The model failed"},
            },
            "schemas": {
                **SCHEMAS,
                **repository.SCHEMAS,
                **series.SCHEMAS,
                **openai.SCHEMAS,
                **tei.SCHEMAS,
                **timeseries.SCHEMAS,
                **triton.SCHEMAS,
                **vision.SCHEMAS,
            },
        },
    }


def text() -> str:
    """The document as it stands in `contracts/`."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def _protocol_paths() -> dict[str, Any]:
    tag = "Open Inference Protocol v2"
    ready = get("serverReady", "Ready to infer", "Ready", tag=tag, public=True)
    ready["responses"]["503"] = ok("Not ready", "Ready")
    live = get("serverLive", "The process answers", "Live", tag=tag, public=True)
    live["responses"]["503"] = ok("Not live", "Live")
    paths: dict[str, Any] = {
        "/v2/health/live": {"get": live},
        "/v2/health/ready": {"get": ready},
        "/v2": {"get": get("serverMetadata", "Name, version, extensions", "Server", tag=tag)},
    }
    return paths | _model_paths(tag)


def _model_paths(tag: str) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for suffix, path, parameters in (
        ("", "/v2/models/{model}", [MODEL]),
        ("OfVersion", "/v2/models/{model}/versions/{version}", [MODEL, VERSION]),
    ):
        model_ready = get(
            f"modelReady{suffix}", "The version is published here", "ModelReady", tag=tag
        )
        model_ready["responses"]["503"] = ok("Not published here", "ModelReady")
        infer = post(
            f"infer{suffix}",
            "Infer on raw tensors",
            {**json_body("InferRequest", EXAMPLES), **_BINARY},
            "InferResponse",
            tag,
        )
        infer["responses"]["200"]["content"] |= _BINARY
        infer["parameters"] = [ONCE, STICKY, _JSON_LENGTH]
        paths[path] = {
            "parameters": parameters,
            "get": get(f"modelMetadata{suffix}", "Inputs and outputs", "Metadata", tag=tag),
        }
        paths[f"{path}/ready"] = {"parameters": parameters, "get": model_ready}
        paths[f"{path}/infer"] = {"parameters": parameters, "post": infer}
    return paths


def _task_paths() -> dict[str, Any]:
    body = json_body("ClassifyRequest", EXAMPLES)
    classify = post("classify", "Label texts", body, "ClassifyResponse", "Tasks")
    return {"/v1/text/classify": {"post": classify}}


def _page_paths() -> dict[str, Any]:
    def fixed(name: str, summary: str, media: str, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "get": {
                "operationId": name,
                "summary": summary,
                "tags": ["About"],
                "security": [],
                "responses": {"200": {"description": summary, "content": {media: schema}}},
            }
        }

    return {
        "/openapi.json": fixed(
            "openapi", "This document", "application/json", {"schema": {"type": "object"}}
        ),
        "/docs": fixed("docs", "This document as a page", "text/html", {}),
    }
