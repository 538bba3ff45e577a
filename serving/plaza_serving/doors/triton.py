"""What Triton's clients ask beside inference: a model's configuration, and statistics.

    GET /v2/models/{model}[/versions/{version}]/config
    GET /v2/models/stats, /v2/models/{model}[/versions/{version}]/stats

Shapes after Triton's `extension_model_configuration.md` (the JSON form of its ModelConfig) and
`extension_statistics.md`. Statistics are those of the replica that answers, since it started, of
the caller's organisation alone. There is no response cache, so its counts stay 0.
"""

from __future__ import annotations

from typing import Any

from plaza_core.inference import DEFAULT_PRIORITY, LOWEST_PRIORITY
from plaza_core.principal import Right
from plaza_core.tensors import DType, Signature, TensorSpec
from plaza_serving.doors.exchange import Exchange
from plaza_serving.doors.routes import Route
from plaza_serving.doors.tensors_json import dumps
from plaza_serving.plane import ModelView, Plane
from plaza_serving.reply import JSON, Reply
from plaza_serving.statistics import BatchStatistics, Lasting, VersionStatistics

EXTENSIONS = ["model_configuration", "statistics"]
PLATFORM = "onnx_onnxv1"
_TYPES = {datatype: f"TYPE_{datatype}" for datatype in DType} | {DType.BYTES: "TYPE_STRING"}


class TritonExtensions:
    """Handlers of `config` and `stats`."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def routes(self) -> tuple[Route, ...]:
        model, versioned = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"
        read = Right.MODELS_READ
        return (
            Route("GET", "/v2/models/stats", read, self.statistics),
            Route("GET", f"{model}/stats", read, self.statistics),
            Route("GET", f"{versioned}/stats", read, self.statistics),
            Route("GET", f"{model}/config", read, self.config),
            Route("GET", f"{versioned}/config", read, self.config),
        )

    async def config(self, exchange: Exchange) -> Reply:
        view = self._plane.model(exchange.principal, exchange.model, exchange.version)
        return Reply(200, JSON, dumps(config_of(view)))

    async def statistics(self, exchange: Exchange) -> Reply:
        found = self._plane.statistics(exchange.principal, exchange.model or None, exchange.version)
        return Reply(200, JSON, dumps({"model_stats": [statistics_of(one) for one in found]}))


def config_of(view: ModelView) -> dict[str, Any]:
    """A version as Triton's ModelConfig. A model whose rows cannot be joined has the size 0."""
    signature = view.signature
    return {
        "name": view.name,
        "platform": PLATFORM,
        "backend": "onnxruntime",
        "version_policy": {"specific": {"versions": list(view.versions)}},
        "max_batch_size": view.manifest.limits.max_batch if signature.batched else 0,
        "input": [
            {
                **_tensor(spec, signature),
                "format": "FORMAT_NONE",
                "is_shape_tensor": False,
                "allow_ragged_batch": False,
                "optional": False,
            }
            for spec in signature.inputs
        ],
        "output": [
            {**_tensor(spec, signature), "label_filename": "", "is_shape_tensor": False}
            for spec in signature.outputs
        ],
        "default_model_filename": "model.onnx",
        "instance_group": [{"name": view.provider, "kind": "KIND_AUTO", "count": 1}],
        **({"dynamic_batching": _batching()} if signature.batched else {}),
        "parameters": {
            "family": {"string_value": view.manifest.family},
            "digest": {"string_value": view.digest},
            "deadline_ms": {"string_value": str(view.manifest.limits.deadline_ms)},
        },
        "model_transaction_policy": {"decoupled": False},
        "response_cache": {"enable": False},
    }


def _tensor(spec: TensorSpec, signature: Signature) -> dict[str, Any]:
    """There the batch axis is left out of `dims`, which may not be empty."""
    shape = spec.wire_shape()[1:] if signature.batched else spec.wire_shape()
    form = {"dims": shape} if shape else {"dims": [1], "reshape": {"shape": []}}
    return {"name": spec.name, "data_type": _TYPES[spec.datatype], **form}


def _batching() -> dict[str, Any]:
    return {
        "max_queue_delay_microseconds": 0,
        "preserve_ordering": False,
        "priority_levels": LOWEST_PRIORITY,
        "default_priority_level": DEFAULT_PRIORITY,
    }


def statistics_of(one: VersionStatistics) -> dict[str, Any]:
    return {
        "name": one.name,
        "version": str(one.version),
        "last_inference": one.last_ms,
        "inference_count": one.rows,
        "execution_count": one.runs,
        "inference_stats": {
            "success": _lasting(one.succeeded),
            "fail": _lasting(one.failed),
            "queue": _lasting(one.queued),
            "compute_input": _lasting(one.prepare),
            "compute_infer": _lasting(one.run),
            "compute_output": _lasting(one.interpret),
            "cache_hit": _lasting(Lasting()),
            "cache_miss": _lasting(Lasting()),
        },
        "response_stats": {},
        "batch_stats": [_batch(batch) for batch in one.batches],
        "memory_usage": [],
    }


def _batch(batch: BatchStatistics) -> dict[str, Any]:
    return {
        "batch_size": batch.size,
        "compute_input": _lasting(batch.prepare),
        "compute_infer": _lasting(batch.run),
        "compute_output": _lasting(batch.interpret),
    }


def _lasting(one: Lasting) -> dict[str, int]:
    return {"count": one.count, "ns": one.ns}
