"""What all parts of the OpenAPI document are made of: operations, bodies, answers, errors."""

from __future__ import annotations

from typing import Any

ERRORS = {
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
COSTS = {
    "x-plaza-charge": "Compute units charged for this request",
    "x-plaza-compute-us": "Its share of the device's time, µs × the provider's weight",
    "x-plaza-host-us": "Host time it took, µs: decoding, tokenising, reading the outputs",
    "x-plaza-batch-rows": "Rows of the run it shared",
}
READ_ERRORS = (401, 403, 404, 500)
INFER_ERRORS = tuple(ERRORS)


def in_path(name: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string"},
    }


MODEL = in_path("model", "`model`, `project.model` or `organisation.project.model`")
VERSION = in_path("version", "An integer or an alias such as `champion`")
ONCE = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "1 to 255 characters. A repetition within 24 hours gets the first answer again, "
    "with `idempotency-replayed: true`, and is not charged",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
STICKY = {
    "name": "X-Plaza-Sticky",
    "in": "header",
    "description": "Requests with the same word meet the same version of an alias whose requests "
    "are divided",
    "schema": {"type": "string", "minLength": 1, "maxLength": 256},
}


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def ok(description: str, schema: str) -> dict[str, Any]:
    return {
        "description": description,
        "headers": {
            "x-request-id": {
                "description": "Made by the hub for this request",
                "required": True,
                "schema": {"type": "string"},
            }
        },
        "content": {"application/json": {"schema": ref(schema)}},
    }


def errors(*statuses: int, kind: str = "Error") -> dict[str, Any]:
    """`kind` names the schema of the dialect's errors."""
    return {str(status): {"$ref": f"#/components/responses/{kind}{status}"} for status in statuses}


def responses_of(kind: str) -> dict[str, Any]:
    """What `errors` refers to."""
    return {
        f"{kind}{status}": {
            "description": description,
            "headers": {
                "x-plaza-charge": {
                    "description": "Of an inference, where it is certain: what it cost",
                    "schema": {"type": "integer", "minimum": 0},
                }
            },
            "content": {"application/json": {"schema": ref(kind)}},
        }
        for status, description in ERRORS.items()
    }


def get(
    name: str,
    summary: str,
    schema: str,
    *,
    tag: str,
    public: bool = False,
    kind: str = "Error",
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "tags": [tag],
        "responses": {"200": ok(summary, schema)},
    }
    if public:
        operation["security"] = []
    else:
        operation["responses"] |= errors(*READ_ERRORS, kind=kind)
    return operation


def post(
    name: str, summary: str, body: dict[str, Any], schema: str, tag: str, *, kind: str = "Error"
) -> dict[str, Any]:
    answer = ok(summary, schema)
    amount = {"type": "integer", "minimum": 0}
    answer["headers"] |= {
        header: {"description": text, "required": True, "schema": amount}
        for header, text in COSTS.items()
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
        "parameters": [ONCE, STICKY],
        "requestBody": {"required": True, "content": body},
        "responses": {"200": answer, **errors(*INFER_ERRORS, kind=kind)},
    }


def json_body(schema: str, examples: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": ref(schema), "examples": examples[schema]}}
