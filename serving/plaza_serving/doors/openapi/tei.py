"""Paths, schemas and examples of text-embeddings-inference, for `openapi.document`.

Without a model in the path the only one of the family is meant.
"""

from __future__ import annotations

from typing import Any

from plaza_serving.doors.asking import MAX_TEXTS
from plaza_serving.doors.openapi.parts import MODEL, errors, get, json_body, ok, post, ref
from plaza_serving.doors.openapi.schemas import (
    COUNT,
    NUMBERS,
    PROBLEM,
    REQUEST_FIELDS,
    TEXT,
    TEXTS,
    Schema,
    example,
    list_,
    object_,
)

_NAMED: Schema = {
    "model": {"type": "string", "description": "For a path without one; else ignored"},
    **REQUEST_FIELDS,
}
_FLAG: Schema = {"type": ["boolean", "null"], "default": False}
_TRUNCATION: Schema = {
    "truncate": {**_FLAG, "description": "Cut a text that is too long instead of refusing it"},
    "truncation_direction": {"enum": ["Right", "Left", "right", "left"], "default": "Right"},
}
_SEVERAL: Schema = {
    "type": "array",
    "items": TEXT,
    "minItems": 1,
    "maxItems": MAX_TEXTS - 1,
}
_SENTENCE: Schema = {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 1}
_PREDICTIONS: Schema = list_(object_({"label": TEXT, "score": {"type": "number"}}))
_VECTORS: Schema = list_(NUMBERS)
_INFO_NUMBERS = (
    "max_concurrent_requests",
    "max_input_length",
    "max_batch_tokens",
    "max_client_batch_size",
    "tokenization_workers",
)
SCHEMAS: dict[str, Schema] = {
    "TeiError": object_(
        {
            "error": {"type": "string", "description": "For people; may change"},
            "error_type": {"enum": ["Unhealthy", "Backend", "Overloaded", "Validation"]},
            **PROBLEM,
        }
    ),
    "TeiEmbedRequest": object_(
        {"inputs": TEXTS},
        {
            "normalize": {"type": ["boolean", "null"], "default": True},
            "dimensions": {"type": "integer", "description": "Only the model's own length"},
            **_TRUNCATION,
            **_NAMED,
        },
    ),
    "TeiEmbedResponse": _VECTORS,
    "TeiSimilarityRequest": object_(
        {"inputs": object_({"source_sentence": TEXT, "sentences": _SEVERAL})},
        {"parameters": {"type": ["object", "null"], "properties": _TRUNCATION}, **_NAMED},
    ),
    "TeiSimilarityResponse": NUMBERS,
    "TeiRerankRequest": object_(
        {"query": TEXT, "texts": _SEVERAL},
        {"raw_scores": _FLAG, "return_text": _FLAG, **_TRUNCATION, **_NAMED},
    ),
    "TeiRerankResponse": {
        **list_(object_({"index": COUNT, "score": {"type": "number"}}, {"text": TEXT})),
        "description": "Best first; a score is the cosine of the text's vector with the query's",
    },
    "TeiPredictRequest": object_(
        {
            "inputs": {
                "oneOf": [
                    TEXT,
                    _SENTENCE,
                    {"type": "array", "items": _SENTENCE, "minItems": 1, "maxItems": MAX_TEXTS},
                ]
            }
        },
        {"raw_scores": _FLAG, **_TRUNCATION, **_NAMED},
    ),
    "TeiPredictResponse": {
        "anyOf": [_PREDICTIONS, list_(_PREDICTIONS)],
        "description": "All labels, best first; a list of such lists where a batch was sent",
    },
    "TeiRequest": {
        "anyOf": [ref(f"Tei{one}Request") for one in ("Embed", "Similarity", "Rerank", "Predict")]
    },
    "TeiResponse": {
        "anyOf": [ref(f"Tei{one}Response") for one in ("Embed", "Similarity", "Rerank", "Predict")]
    },
    "TeiHealth": object_({"healthy": {"type": "boolean"}}),
    "TeiInfo": object_(
        {
            "model_id": TEXT,
            "model_dtype": TEXT,
            "model_type": {"type": "object"},
            **dict.fromkeys(_INFO_NUMBERS, COUNT),
            "auto_truncate": {"type": "boolean"},
            "version": TEXT,
        },
        {"model_sha": TEXT},
    ),
}

EXAMPLES: dict[str, Schema] = {
    "TeiEmbedRequest": {
        "one": example("One text", {"inputs": "a red lorry"}),
        "raw": example(
            "Two texts, as the model gives them",
            {"inputs": ["a red lorry", "ein roter Lastwagen"], "normalize": False},
        ),
    },
    "TeiSimilarityRequest": {
        "two": example(
            "Two with one",
            {"inputs": {"source_sentence": "a red lorry", "sentences": ["a lorry", "late again"]}},
        )
    },
    "TeiRerankRequest": {
        "two": example(
            "Two texts",
            {"query": "red", "texts": ["a red lorry", "late again"], "return_text": True},
        )
    },
    "TeiPredictRequest": {
        "one": example("One text", {"inputs": "The delivery was late."}),
        "batch": example("Two texts", {"inputs": [["The delivery was late."], ["Thank you"]]}),
    },
    "TeiRequest": {"one": example("What the model is for", {"inputs": "a red lorry"})},
}

_TEI_VERBS = (
    ("embed", "Vectors of texts", "Embed", ""),
    ("similarity", "Cosines of one sentence with others", "Similarity", ""),
    (
        "rerank",
        "Texts in the order of their likeness to a query",
        "Rerank",
        "By the vectors of an embedder: no model here reads query and text together.",
    ),
    ("predict", "All labels of texts", "Predict", ""),
)


def paths() -> dict[str, Any]:
    tag = "text-embeddings-inference"
    found: dict[str, Any] = {}

    def add(path: str, name: str, summary: str, schema: str, text: str = "") -> None:
        body = json_body(f"Tei{schema}Request", EXAMPLES)
        answer = f"Tei{schema}Response"
        operation = post(name, summary, body, answer, tag, kind="TeiError")
        operation["responses"] |= errors(424, kind="TeiError")
        if text:
            operation["description"] = text
        found[path] = {"post": operation}
        if "{model}" in path:
            found[path]["parameters"] = [MODEL]

    for verb, summary, schema, text in _TEI_VERBS:
        add(f"/{verb}", f"tei{schema}", summary, schema, text)
        add(f"/tei/{{model}}/{verb}", f"tei{schema}OfModel", summary, schema, text)
    add("/tei/{model}", "teiOfModel", "What the model is for", "")
    health = get("teiHealth", "Ready to infer", "TeiHealth", tag=tag, public=True)
    health["responses"]["503"] = ok("Not ready", "TeiHealth")
    found["/health"] = {"get": health}
    of_model = get(
        "teiHealthOfModel", "The model is open here", "TeiHealth", tag=tag, kind="TeiError"
    )
    of_model["responses"]["503"] = ok("Not open here", "TeiHealth")
    found["/tei/{model}/health"] = {"parameters": [MODEL], "get": of_model}
    for path, name in (("/info", "teiInfo"), ("/tei/{model}/info", "teiInfoOfModel")):
        about = get(name, "About the model", "TeiInfo", tag=tag, kind="TeiError")
        about["responses"] |= errors(422, kind="TeiError")
        found[path] = {"get": about} | ({"parameters": [MODEL]} if "{model}" in path else {})
    return found
