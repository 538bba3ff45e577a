"""Paths, schemas and examples of OpenAI's API, for `openapi.document`."""

from __future__ import annotations

from typing import Any

from plaza_serving.doors.openapi.parts import MODEL, get, json_body, post, ref
from plaza_serving.doors.openapi.schemas import (
    COUNT,
    NUMBERS,
    PROBLEM,
    TEXT,
    TEXTS,
    Schema,
    example,
    list_,
    object_,
    task_request,
    task_response,
)

SCHEMAS: dict[str, Schema] = {
    "OpenAIError": object_(
        {
            "error": object_(
                {
                    "message": {"type": "string", "description": "For people; may change"},
                    "type": TEXT,
                    "param": {"type": ["string", "null"]},
                    "code": TEXT,
                }
            ),
            **PROBLEM,
        }
    ),
    "Model": object_(
        {
            "id": {"type": "string", "description": "What to send as `model`"},
            "object": {"const": "model"},
            "created": COUNT,
            "owned_by": TEXT,
            "family": TEXT,
            "version": {"type": "integer"},
            "ready": {"type": "boolean"},
        }
    ),
    "Models": object_({"object": {"const": "list"}, "data": list_(ref("Model"))}),
    "EmbedRequest": task_request(
        {"input": TEXTS},
        {
            "encoding_format": {"enum": ["float", "base64"], "default": "float"},
            "dimensions": {"type": "integer", "description": "Only the model's own length"},
            "user": {"type": "string", "description": "Ignored"},
        },
    ),
    "EmbedResponse": task_response(
        {
            "object": {"const": "list"},
            "data": list_(
                object_(
                    {
                        "object": {"const": "embedding"},
                        "index": COUNT,
                        "embedding": {
                            "oneOf": [
                                NUMBERS,
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
            "usage": object_({"prompt_tokens": COUNT, "total_tokens": COUNT}),
        }
    ),
}

EXAMPLES: dict[str, Schema] = {
    "EmbedRequest": {
        "float": example(
            "Two texts", {"model": "embedder", "input": ["a red lorry", "ein roter Lastwagen"]}
        ),
        "base64": example(
            "One text, compact",
            {"model": "embedder", "input": "a red lorry", "encoding_format": "base64"},
        ),
    },
}


def paths() -> dict[str, Any]:
    tag, kind = "OpenAI", "OpenAIError"
    body = json_body("EmbedRequest", EXAMPLES)
    one = get("retrieveModel", "One model", "Model", tag=tag, kind=kind)
    models = get("listModels", "Models this key may use", "Models", tag=tag, kind=kind)
    return {
        "/v1/models": {"get": models},
        "/v1/models/{model}": {"parameters": [MODEL], "get": one},
        "/v1/embeddings": {
            "post": post("embed", "Vectors of texts", body, "EmbedResponse", tag, kind=kind)
        },
    }
