"""The OpenAPI 3.1 document of the inference port, and a plain page that shows it.

`contracts/openapi-inference.json` is its snapshot, written by
`python -m plaza_serving.doors.openapi > contracts/openapi-inference.json`. Tests send every request
example through the door and check each answer against its schema: an example here is a promise.
"""

from __future__ import annotations

import html
import json
import sys
from typing import Any

from plaza_serving.doors import openapi_repository as repository
from plaza_serving.doors.openapi_schemas import EXAMPLES, SCHEMAS

_ERRORS = {
    400: "Malformed: JSON, tensor name, shape, datatype or byte count",
    401: "No key, or not a valid one",
    403: "The key's role does not include this",
    404: "No such model or version, or it belongs to somebody else",
    409: "The first request with this Idempotency-Key is not answered yet, or cannot be replayed",
    413: "The body is over the limit",
    415: "A body of a kind this endpoint does not take",
    422: "Well-formed, but its meaning is refused; `input` names the field",
    429: "Too many requests, or a budget is used up; see Retry-After",
    500: "The hub or the model failed",
    503: "Overloaded, or the model is still loading; see Retry-After",
    504: "The deadline passed",
}
_COSTS = {
    "x-plaza-charge": "Compute units charged for this request",
    "x-plaza-compute-us": "Its share of the device's time, µs × the provider's weight",
    "x-plaza-host-us": "Host time it took, µs: decoding, tokenising, reading the outputs",
    "x-plaza-batch-rows": "Rows of the run it shared",
}
_READ_ERRORS = (401, 403, 404, 500)
_INFER_ERRORS = tuple(_ERRORS)
_MODEL = {
    "name": "model",
    "in": "path",
    "required": True,
    "description": "`model`, `project.model` or `organisation.project.model`",
    "schema": {"type": "string"},
}
_VERSION = {
    "name": "version",
    "in": "path",
    "required": True,
    "description": "An integer or an alias such as `champion`",
    "schema": {"type": "string"},
}


_ONCE = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "1 to 255 characters. A repetition within 24 hours gets the first answer again, "
    "with `idempotency-replayed: true`, and is not charged",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_STICKY = {
    "name": "X-Plaza-Sticky",
    "in": "header",
    "description": "Requests with the same word meet the same version of an alias whose requests "
    "are divided",
    "schema": {"type": "string", "minLength": 1, "maxLength": 256},
}


def document() -> dict[str, Any]:
    """The document as JSON-ready values, always equal for the same source."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Plaza inference",
            "version": "1",
            "description": "Open Inference Protocol v2 and task endpoints of a Plaza hub.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"key": []}],
        "paths": {**_protocol_paths(), **_repository_paths(), **_task_paths(), **_page_paths()},
        "components": {
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`Authorization: Bearer plz_…`; never in a URL.",
                }
            },
            "responses": {
                f"Error{status}": {
                    "description": description,
                    "headers": {
                        "x-plaza-charge": {
                            "description": "Of an inference, where it is certain: what it cost",
                            "schema": {"type": "integer", "minimum": 0},
                        }
                    },
                    "content": {"application/json": {"schema": _ref("Error")}},
                }
                for status, description in _ERRORS.items()
            },
            "schemas": SCHEMAS | repository.SCHEMAS,
        },
    }


def text() -> str:
    """The document as it stands in `contracts/`."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _ok(description: str, schema: str) -> dict[str, Any]:
    return {
        "description": description,
        "headers": {
            "x-request-id": {
                "description": "Made by the hub for this request",
                "required": True,
                "schema": {"type": "string"},
            }
        },
        "content": {"application/json": {"schema": _ref(schema)}},
    }


def _errors(*statuses: int) -> dict[str, Any]:
    return {str(status): {"$ref": f"#/components/responses/Error{status}"} for status in statuses}


def _get(name: str, summary: str, schema: str, *, tag: str, public: bool = False) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "tags": [tag],
        "responses": {"200": _ok(summary, schema)},
    }
    if public:
        operation["security"] = []
    else:
        operation["responses"] |= _errors(*_READ_ERRORS)
    return operation


def _post(name: str, summary: str, body: dict[str, Any], schema: str, tag: str) -> dict[str, Any]:
    answer = _ok(summary, schema)
    amount = {"type": "integer", "minimum": 0}
    answer["headers"] |= {
        header: {"description": text, "required": True, "schema": amount}
        for header, text in _COSTS.items()
    }
    answer["headers"]["x-plaza-budget-remaining"] = {
        "description": "Compute units this key may still spend, where a budget limits it and the "
        "replica knows; requests under way elsewhere may lower it",
        "schema": amount,
    }
    return {
        "operationId": name,
        "summary": summary,
        "tags": [tag],
        "parameters": [_ONCE, _STICKY],
        "requestBody": {"required": True, "content": body},
        "responses": {"200": answer, **_errors(*_INFER_ERRORS)},
    }


def _json_body(schema: str) -> dict[str, Any]:
    examples = EXAMPLES.get(schema) or repository.EXAMPLES[schema]
    return {"application/json": {"schema": _ref(schema), "examples": examples}}


def _protocol_paths() -> dict[str, Any]:
    tag = "Open Inference Protocol v2"
    binary = {
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
    ready = _get("serverReady", "Ready to infer", "Ready", tag=tag, public=True)
    ready["responses"]["503"] = _ok("Not ready", "Ready")
    live = _get("serverLive", "The process answers", "Live", tag=tag, public=True)
    live["responses"]["503"] = _ok("Not live", "Live")
    paths: dict[str, Any] = {
        "/v2/health/live": {"get": live},
        "/v2/health/ready": {"get": ready},
        "/v2": {"get": _get("serverMetadata", "Name, version, extensions", "Server", tag=tag)},
    }
    for suffix, path, parameters in (
        ("", "/v2/models/{model}", [_MODEL]),
        ("OfVersion", "/v2/models/{model}/versions/{version}", [_MODEL, _VERSION]),
    ):
        model_ready = _get(
            f"modelReady{suffix}", "The version is published here", "ModelReady", tag=tag
        )
        model_ready["responses"]["503"] = _ok("Not published here", "ModelReady")
        infer = _post(
            f"infer{suffix}",
            "Infer on raw tensors",
            {**_json_body("InferRequest"), **binary},
            "InferResponse",
            tag,
        )
        infer["parameters"] = [
            _ONCE,
            _STICKY,
            {
                "name": "Inference-Header-Content-Length",
                "in": "header",
                "description": "Length of the JSON part when binary tensors follow it",
                "schema": {"type": "integer", "minimum": 0},
            },
        ]
        paths[path] = {
            "parameters": parameters,
            "get": _get(f"modelMetadata{suffix}", "Inputs and outputs", "Metadata", tag=tag),
        }
        paths[f"{path}/ready"] = {"parameters": parameters, "get": model_ready}
        paths[f"{path}/infer"] = {"parameters": parameters, "post": infer}
    return paths


def _repository_paths() -> dict[str, Any]:
    def verb(name: str, summary: str, text: str, body: str, schema: str) -> dict[str, Any]:
        return {
            "operationId": name,
            "summary": summary,
            "description": text,
            "tags": ["Model repository"],
            "parameters": [_ONCE],
            "requestBody": {"required": False, "content": _json_body(body)},
            "responses": {"200": _ok(summary, schema), **_errors(*_INFER_ERRORS)},
        }

    index = ("repositoryIndex", "Versions and their states", repository.INDEX)
    paths: dict[str, Any] = {
        "/v2/repository/index": {
            "post": verb(*index, "RepositoryIndexRequest", "RepositoryIndex"),
        }
    }
    for suffix, path, parameters in (
        ("", "/v2/repository/models/{model}", [_MODEL]),
        ("OfVersion", "/v2/repository/models/{model}/versions/{version}", [_MODEL, _VERSION]),
    ):
        for name, text in (("load", repository.LOAD), ("unload", repository.UNLOAD)):
            about = (f"{name}{suffix}", f"{name.capitalize()} a version", text)
            operation = verb(*about, "RepositoryRequest", "RepositoryDone")
            paths[f"{path}/{name}"] = {"parameters": parameters, "post": operation}
    return paths


def _task_paths() -> dict[str, Any]:
    tag = "Tasks"
    picture = {"schema": {"type": "string", "format": "binary"}}
    detect = _post(
        "detect",
        "Find objects in a picture",
        {
            **_json_body("DetectRequest"),
            **{
                f"image/{kind}": picture
                for kind in ("jpeg", "png", "webp")
            },
            "application/octet-stream": picture,
        },
        "DetectResponse",
        tag,
    )  # fmt: skip
    detect["description"] = (
        "The body is the picture itself, with the fields in the query string, or JSON with the "
        "picture in base64."
    )
    fields = SCHEMAS["DetectRequest"]["properties"]
    detect["parameters"] = [_ONCE, _STICKY] + [
        {
            "name": name,
            "in": "query",
            "description": "For a picture as the body",
            "schema": fields[name],
        }
        for name in ("model", "version", "threshold", "max_detections", "timeout_us", "sticky")
    ]
    paths = {"/v1/vision/detect": {"post": detect}}
    for path, name, summary, schema in (
        ("/v1/forecast", "forecast", "Continue a series, with quantiles", "Forecast"),
        ("/v1/text/classify", "classify", "Label texts", "Classify"),
        ("/v1/embeddings", "embed", "Vectors of texts (OpenAI-compatible)", "Embed"),
    ):
        body = _json_body(f"{schema}Request")
        paths[path] = {"post": _post(name, summary, body, f"{schema}Response", tag)}
    return {
        "/v1/models": {"get": _get("listModels", "Models this key may use", "Models", tag=tag)},
        **paths,
    }


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


_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 58rem; margin: 2rem auto; padding: 0 1rem }
section { border-top: 1px solid #8886; padding: .5rem 0 }
b.method { display: inline-block; min-width: 3.5rem } h2 code { font-size: 1rem }
h2 { font-size: 1rem; font-weight: 600; margin: .5rem 0 } pre { overflow: auto; padding: .75rem;
background: #8882; border-radius: 6px; font-size: .85rem } .note { opacity: .75 }
"""


def page(doc: dict[str, Any]) -> bytes:
    """`doc` as one HTML page that loads nothing from anywhere."""
    sections = [
        _section(path, method, operation)
        for path, item in doc["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    ]
    title = html.escape(doc["info"]["title"])
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>"
        f"<h1>{title}</h1><p>{html.escape(doc['info']['description'])} Every call needs "
        "<code>Authorization: Bearer plz_…</code> unless it says public. "
        "<a href=openapi.json>openapi.json</a></p>" + "".join(sections)
    ).encode()


def _section(path: str, method: str, operation: dict[str, Any]) -> str:
    note = " <span class=note>public</span>" if operation.get("security") == [] else ""
    text = html.escape(operation.get("description", ""))
    parts = [
        f"<section><h2><b class=method>{method.upper()}</b> <code>{html.escape(path)}</code> "
        f"{html.escape(operation['summary'])}{note}</h2>{f'<p>{text}</p>' if text else ''}"
    ]
    for body in operation.get("requestBody", {}).get("content", {}).values():
        for example in body.get("examples", {}).values():
            shown = html.escape(json.dumps(example["value"], indent=1, ensure_ascii=False))
            parts.append(f"<p>{html.escape(example['summary'])}</p><pre>{shown}</pre>")
    statuses = ", ".join(operation["responses"])
    return "".join(parts) + f"<p class=note>Answers: {statuses}</p></section>"


if __name__ == "__main__":
    sys.stdout.write(text())
