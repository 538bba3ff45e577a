"""JSON schemas and request examples of the inference port, for `openapi.document`."""

from __future__ import annotations

from typing import Any

from plaza_core.inference import DEFAULT_PRIORITY, LOWEST_PRIORITY
from plaza_core.tensors import DType
from plaza_serving.doors.asking import MAX_TEXTS

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBERS: Schema = {"type": "array", "items": {"type": "number"}}
GAPPY: Schema = {"type": "array", "items": {"type": ["number", "null"]}, "minItems": 1}
QUANTILES: Schema = {
    "type": "array",
    "items": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
}
_DATATYPE: Schema = {"type": "string", "enum": [datatype.value for datatype in DType]}
SHAPE: Schema = {"type": "array", "items": {"type": "integer", "minimum": -1}}
_PARAMETERS: Schema = {"type": "object"}
_OUTPUT_PARAMETERS: Schema = {
    "type": "object",
    "properties": {
        "binary_data": {"type": "boolean"},
        "classification": {
            "type": "integer",
            "minimum": 0,
            "description": "So many of the greatest entries, as texts `value:index[:label]`",
        },
    },
}
TEXTS: Schema = {
    "oneOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1, "maxItems": MAX_TEXTS}]
}


def object_(required: Schema, optional: Schema | None = None) -> Schema:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
    }


def list_(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_TENSOR_SPEC = object_({"name": TEXT, "datatype": _DATATYPE, "shape": SHAPE})
_DATA: Schema = {
    "type": "array",
    "description": "Flat row-major, or nested as `shape` says. In answers flat; null stands for "
    "NaN and Infinity, which JSON cannot carry.",
}
_STICKY: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 256,
    "description": "Requests with the same word meet the same version of an alias whose requests "
    "are divided. The header `x-plaza-sticky` goes before it.",
}
REQUEST_FIELDS: Schema = {
    "version": {
        "type": ["integer", "string"],
        "description": "An integer or an alias; default `champion`",
    },
    "timeout_us": {"type": "integer", "minimum": 1, "description": "Deadline, in microseconds"},
    "sticky": _STICKY,
}
PROBLEM: Schema = {
    "code": {"type": "string", "description": "Stable, for programs"},
    "input": {"type": ["string", "null"], "description": "The offending input"},
    "request_id": TEXT,
}
"""What every dialect's errors carry beside its own fields."""
MODEL_FIELD: Schema = {
    "model": {"type": "string", "description": "Left out: the only one of the family"}
}
_ANSWER_FIELDS: Schema = {
    "model": TEXT,
    "version": {"type": "integer"},
    "timing": object_(
        {
            "queue_us": COUNT,
            "prepare_us": COUNT,
            "run_us": COUNT,
            "interpret_us": COUNT,
            "compute_us": {**COUNT, "description": "What the request was charged"},
        }
    ),
}


def task_request(required: Schema, optional: Schema | None = None) -> Schema:
    return object_(required, {**MODEL_FIELD, **REQUEST_FIELDS, **(optional or {})})


def task_response(fields: Schema, optional: Schema | None = None) -> Schema:
    return object_({**_ANSWER_FIELDS, **fields}, optional)


SCHEMAS: dict[str, Schema] = {
    "Error": object_(
        {
            "error": {"type": "string", "description": "For people; may change"},
            "code": {"type": "string", "description": "Stable, for programs"},
            "input": {"type": ["string", "null"], "description": "The offending input"},
            "request_id": {
                "type": ["string", "null"],
                "description": "null: the ingress refused what never became a request of the hub",
            },
        }
    ),
    "Live": object_({"live": {"type": "boolean"}}),
    "Ready": object_({"ready": {"type": "boolean"}, "live": {"type": "boolean"}}),
    "Server": object_({"name": TEXT, "version": TEXT, "extensions": list_(TEXT)}),
    "ModelReady": object_({"name": TEXT, "ready": {"type": "boolean"}}),
    "Metadata": object_(
        {
            "name": TEXT,
            "versions": list_(TEXT),
            "platform": TEXT,
            "inputs": list_(_TENSOR_SPEC),
            "outputs": list_(_TENSOR_SPEC),
        },
        {"properties": {"type": "object", "additionalProperties": TEXT}},
    ),
    "InferRequest": object_(
        {
            "inputs": {
                **list_(
                    object_(
                        {"name": TEXT, "datatype": _DATATYPE, "shape": SHAPE},
                        {"data": _DATA, "parameters": _PARAMETERS},
                    )
                ),
                "minItems": 1,
            }
        },
        {
            "id": {"type": "string", "description": "Echoed"},
            "parameters": object_(
                {},
                {
                    "timeout": {
                        **COUNT,
                        "description": "Deadline, in microseconds; the model's own is the limit",
                    },
                    "priority": {
                        **COUNT,
                        "description": "Among the waiting requests of the same key: 1 goes first, "
                        f"{LOWEST_PRIORITY} last; 0, none or beyond is {DEFAULT_PRIORITY}",
                    },
                    "binary_data_output": {"type": "boolean"},
                    "sticky": _STICKY,
                },
            ),
            "outputs": list_(object_({"name": TEXT}, {"parameters": _OUTPUT_PARAMETERS})),
        },
    ),
    "InferResponse": object_(
        {
            "model_name": TEXT,
            "model_version": TEXT,
            "outputs": list_(
                object_(
                    {"name": TEXT, "datatype": _DATATYPE, "shape": SHAPE},
                    {"data": _DATA, "parameters": _PARAMETERS},
                )
            ),
        },
        {"id": TEXT},
    ),
    "ClassifyRequest": task_request(
        {"input": TEXTS}, {"top_k": {"type": "integer", "minimum": 1, "default": 3}}
    ),
    "ClassifyResponse": task_response(
        {
            "results": {
                **list_(list_(object_({"label": TEXT, "score": {"type": "number"}}))),
                "description": "For each text its labels, best first",
            }
        }
    ),
}


def example(summary: str, value: Schema) -> Schema:
    return {"summary": summary, "value": value}


EXAMPLES: dict[str, Schema] = {
    "InferRequest": {
        "flat": example(
            "One row, flat",
            {
                "id": "a-1",
                "inputs": [
                    {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [0.5, 1, -2]}
                ],
            },
        ),
        "nested": example(
            "Two rows, nested, one output, half a second at most",
            {
                "inputs": [
                    {
                        "name": "x",
                        "datatype": "FP32",
                        "shape": [2, 3],
                        "data": [[0.5, 1, -2], [3, 4, 5]],
                    }
                ],
                "outputs": [{"name": "y"}],
                "parameters": {"timeout": 500_000},
            },
        ),
    },
    "ClassifyRequest": {
        "one": example(
            "One text", {"model": "classifier", "input": "The delivery was late.", "top_k": 2}
        )
    },
}
