"""Paths and schemas of Triton's configuration and statistics, for `openapi.document`."""

from __future__ import annotations

from typing import Any

from plaza_serving.doors.openapi.parts import MODEL, VERSION, get
from plaza_serving.doors.openapi.schemas import COUNT, SHAPE, TEXT, Schema, list_, object_

_LASTING: Schema = object_({"count": COUNT, "ns": COUNT})
_PHASES = ("compute_input", "compute_infer", "compute_output")
_FATES = ("success", "fail", "queue", *_PHASES, "cache_hit", "cache_miss")
_TENSOR: Schema = object_({"name": TEXT, "data_type": TEXT, "dims": SHAPE})

SCHEMAS: dict[str, Schema] = {
    "ModelConfig": object_(
        {
            "name": TEXT,
            "platform": TEXT,
            "max_batch_size": COUNT,
            "input": list_(_TENSOR),
            "output": list_(_TENSOR),
            "model_transaction_policy": object_({"decoupled": {"const": False}}),
        }
    ),
    "Statistics": object_(
        {
            "model_stats": list_(
                object_(
                    {
                        "name": TEXT,
                        "version": TEXT,
                        "last_inference": {**COUNT, "description": "ms since 1970; 0: never"},
                        "inference_count": {**COUNT, "description": "Rows that were answered"},
                        "execution_count": {**COUNT, "description": "Runs of the model"},
                        "inference_stats": object_(dict.fromkeys(_FATES, _LASTING)),
                        "batch_stats": list_(
                            object_({"batch_size": COUNT, **dict.fromkeys(_PHASES, _LASTING)})
                        ),
                    }
                )
            )
        }
    ),
}
_WHOSE = (
    "Since the replica that answers started, and of the requests of the caller's organisation "
    "alone. Another replica has counts of its own."
)


def paths() -> dict[str, Any]:
    tag = "Triton extensions"

    def statistics(name: str) -> dict[str, Any]:
        operation = get(name, "Counts and times of requests", "Statistics", tag=tag)
        operation["description"] = _WHOSE
        return operation

    found: dict[str, Any] = {"/v2/models/stats": {"get": statistics("allStatistics")}}
    for suffix, path, parameters in (
        ("", "/v2/models/{model}", [MODEL]),
        ("OfVersion", "/v2/models/{model}/versions/{version}", [MODEL, VERSION]),
    ):
        config = get(f"modelConfig{suffix}", "As Triton's ModelConfig", "ModelConfig", tag=tag)
        found[f"{path}/config"] = {"parameters": parameters, "get": config}
        found[f"{path}/stats"] = {"parameters": parameters, "get": statistics(f"stats{suffix}")}
    return found
