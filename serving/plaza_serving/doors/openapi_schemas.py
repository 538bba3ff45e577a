"""JSON schemas and request examples of the inference port, for `openapi.document`."""

from __future__ import annotations

from typing import Any

from plaza_core.tensors import DType
from plaza_serving.doors.asking import MAX_TEXTS
from plaza_serving.doors.tasks import MAX_DETECTIONS

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBERS: Schema = {"type": "array", "items": {"type": "number"}}
_QUANTILES: Schema = {
    "type": "array",
    "items": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
}
_DATATYPE: Schema = {"type": "string", "enum": [datatype.value for datatype in DType]}
_SHAPE: Schema = {"type": "array", "items": {"type": "integer", "minimum": -1}}
_PARAMETERS: Schema = {"type": "object"}
_TEXTS: Schema = {
    "oneOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MAX_TEXTS}]
}


def _object(required: Schema, optional: Schema | None = None) -> Schema:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_TENSOR_SPEC = _object({"name": _TEXT, "datatype": _DATATYPE, "shape": _SHAPE})
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
_REQUEST_FIELDS: Schema = {
    "version": {
        "type": ["integer", "string"],
        "description": "An integer or an alias; default `champion`",
    },
    "timeout_us": {"type": "integer", "minimum": 1, "description": "Deadline, in microseconds"},
    "sticky": _STICKY,
}
_MODEL_FIELD: Schema = {"model": {"type": "string", "description": "Name of the model"}}
_ANSWER_FIELDS: Schema = {
    "model": _TEXT,
    "version": {"type": "integer"},
    "timing": _object(
        {
            "queue_us": _COUNT,
            "prepare_us": _COUNT,
            "run_us": _COUNT,
            "interpret_us": _COUNT,
            "compute_us": {**_COUNT, "description": "What the request was charged"},
        }
    ),
}


def _task_request(required: Schema, optional: Schema | None = None) -> Schema:
    return _object({**_MODEL_FIELD, **required}, {**_REQUEST_FIELDS, **(optional or {})})


def _task_response(fields: Schema) -> Schema:
    return _object({**_ANSWER_FIELDS, **fields})


SCHEMAS: dict[str, Schema] = {
    "Error": _object(
        {
            "error": {"type": "string", "description": "For people; may change"},
            "code": {"type": "string", "description": "Stable, for programs"},
            "input": {"type": ["string", "null"], "description": "The offending input"},
            "request_id": _TEXT,
        }
    ),
    "Live": _object({"live": {"type": "boolean"}}),
    "Ready": _object({"ready": {"type": "boolean"}, "live": {"type": "boolean"}}),
    "Server": _object({"name": _TEXT, "version": _TEXT, "extensions": _list(_TEXT)}),
    "ModelReady": _object({"name": _TEXT, "ready": {"type": "boolean"}}),
    "Metadata": _object(
        {
            "name": _TEXT,
            "versions": _list(_TEXT),
            "platform": _TEXT,
            "inputs": _list(_TENSOR_SPEC),
            "outputs": _list(_TENSOR_SPEC),
        },
        {"properties": {"type": "object", "additionalProperties": _TEXT}},
    ),
    "InferRequest": _object(
        {
            "inputs": {
                **_list(
                    _object(
                        {"name": _TEXT, "datatype": _DATATYPE, "shape": _SHAPE},
                        {"data": _DATA, "parameters": _PARAMETERS},
                    )
                ),
                "minItems": 1,
            }
        },
        {
            "id": {"type": "string", "description": "Echoed"},
            "parameters": _object(
                {},
                {
                    "timeout": {**_COUNT, "description": "Deadline, in microseconds"},
                    "binary_data_output": {"type": "boolean"},
                    "sticky": _STICKY,
                },
            ),
            "outputs": _list(_object({"name": _TEXT}, {"parameters": _PARAMETERS})),
        },
    ),
    "InferResponse": _object(
        {
            "model_name": _TEXT,
            "model_version": _TEXT,
            "outputs": _list(
                _object(
                    {"name": _TEXT, "datatype": _DATATYPE, "shape": _SHAPE},
                    {"data": _DATA, "parameters": _PARAMETERS},
                )
            ),
        },
        {"id": _TEXT},
    ),
    "Models": _object(
        {
            "object": {"const": "list"},
            "data": _list(
                _object(
                    {
                        "id": {"type": "string", "description": "What to send as `model`"},
                        "object": {"const": "model"},
                        "owned_by": _TEXT,
                        "family": _TEXT,
                        "version": {"type": "integer"},
                        "ready": {"type": "boolean"},
                    }
                )
            ),
        }
    ),
    "DetectRequest": _task_request(
        {"image": {"type": "string", "contentEncoding": "base64"}},
        {
            "threshold": {"type": "number", "minimum": 0, "maximum": 1},
            "max_detections": {"type": "integer", "minimum": 1, "maximum": MAX_DETECTIONS},
        },
    ),
    "DetectResponse": _task_response(
        {
            "width": _COUNT,
            "height": _COUNT,
            "detections": _list(
                _object(
                    {
                        "label": _TEXT,
                        "score": {"type": "number", "minimum": 0, "maximum": 1},
                        "box": {
                            **_NUMBERS,
                            "minItems": 4,
                            "maxItems": 4,
                            "description": "x1, y1, x2, y2 in pixels of the picture as sent",
                        },
                    }
                )
            ),
        }
    ),
    "ForecastRequest": _task_request(
        {
            "values": {**_NUMBERS, "minItems": 1, "description": "Oldest first, evenly spaced"},
            "horizon": {"type": "integer", "minimum": 1, "description": "Steps ahead"},
        },
        {"quantiles": _QUANTILES},
    ),
    "ForecastResponse": _task_response(
        {
            "quantiles": _QUANTILES,
            "values": {**_list(_NUMBERS), "description": "One row per quantile"},
        }
    ),
    "ClassifyRequest": _task_request(
        {"input": _TEXTS}, {"top_k": {"type": "integer", "minimum": 1, "default": 3}}
    ),
    "ClassifyResponse": _task_response(
        {
            "results": {
                **_list(_list(_object({"label": _TEXT, "score": {"type": "number"}}))),
                "description": "For each text its labels, best first",
            }
        }
    ),
    "EmbedRequest": _task_request(
        {"input": _TEXTS},
        {
            "encoding_format": {"enum": ["float", "base64"], "default": "float"},
            "dimensions": {"type": "integer", "description": "Only the model's own length"},
            "user": {"type": "string", "description": "Ignored"},
        },
    ),
    "EmbedResponse": _task_response(
        {
            "object": {"const": "list"},
            "data": _list(
                _object(
                    {
                        "object": {"const": "embedding"},
                        "index": _COUNT,
                        "embedding": {
                            "oneOf": [
                                _NUMBERS,
                                {
                                    "type": "string",
                                    "contentEncoding": "base64",
                                    "description": "Little-endian float32",
                                },
                            ]
                        },
                    }
                )
            ),
            "usage": _object({"prompt_tokens": _COUNT, "total_tokens": _COUNT}),
        }
    ),
}

_PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFUlEQVR42mOMqljAgA0wMeAAg1MCACT9AYI2UeHnAAAA"
    "AElFTkSuQmCC"
)
"""An 8 × 8 PNG of one colour."""


def _example(summary: str, value: Schema) -> Schema:
    return {"summary": summary, "value": value}


EXAMPLES: dict[str, Schema] = {
    "InferRequest": {
        "flat": _example(
            "One row, flat",
            {
                "id": "a-1",
                "inputs": [
                    {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [0.5, 1, -2]}
                ],
            },
        ),
        "nested": _example(
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
    "DetectRequest": {
        "base64": _example(
            "A picture in base64", {"model": "detector", "image": _PICTURE, "threshold": 0.4}
        )
    },
    "ForecastRequest": {
        "fan": _example(
            "Three steps ahead with an 80 % band",
            {
                "model": "forecaster",
                "values": [112, 118, 132, 129, 121, 135, 148, 148],
                "horizon": 3,
                "quantiles": [0.1, 0.5, 0.9],
            },
        )
    },
    "ClassifyRequest": {
        "one": _example(
            "One text", {"model": "classifier", "input": "The delivery was late.", "top_k": 2}
        )
    },
    "EmbedRequest": {
        "float": _example(
            "Two texts", {"model": "embedder", "input": ["a red lorry", "ein roter Lastwagen"]}
        ),
        "base64": _example(
            "One text, compact",
            {"model": "embedder", "input": "a red lorry", "encoding_format": "base64"},
        ),
    },
}
