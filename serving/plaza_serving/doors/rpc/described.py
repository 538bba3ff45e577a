"""What a model is and did, in the protocol's shapes: metadata, configuration, statistics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from plaza_core.tensors import BATCH_AXIS, DType, TensorSpec
from plaza_serving.doors.rpc.schema import message
from plaza_serving.doors.triton import PLATFORM
from plaza_serving.plane import ModelView
from plaza_serving.statistics import BatchStatistics, Lasting, VersionStatistics


def metadata(view: ModelView) -> Any:
    """A ModelMetadataResponse."""
    made = message("ModelMetadataResponse")(
        name=view.name,
        versions=[str(version) for version in view.versions],
        platform=PLATFORM,
    )
    for into, specs in (
        (made.inputs, view.signature.inputs),
        (made.outputs, view.signature.outputs),
    ):
        for spec in specs:
            into.add(name=spec.name, datatype=spec.datatype.value, shape=spec.wire_shape())
    return made


def config(view: ModelView) -> Any:
    """A ModelConfig. Where the model has a batch axis, dims leave it out and `max_batch_size` says
    how many rows one run may have, as Triton's clients expect it."""
    batched = view.signature.batched
    made = message("ModelConfig")(
        name=view.name,
        platform=PLATFORM,
        backend="onnxruntime",
        max_batch_size=view.manifest.limits.max_batch if batched else 0,
        default_model_filename="model.onnx",
    )
    _tensors(made.input, view.signature.inputs, batched=batched)
    _tensors(made.output, view.signature.outputs, batched=batched)
    if batched:
        made.dynamic_batching.SetInParent()
    made.model_transaction_policy.decoupled = False
    for name, text in (
        ("version", str(view.version)),
        ("family", view.manifest.family),
        ("provider", view.provider),
        ("digest", view.digest),
    ):
        made.parameters[name].string_value = text
    return made


def _tensors(into: Any, specs: Iterable[TensorSpec], *, batched: bool) -> None:
    for spec in specs:
        dims = spec.wire_shape()
        assert not batched or spec.shape[0] == BATCH_AXIS
        into.add(name=spec.name, data_type=_type(spec.datatype), dims=dims[1:] if batched else dims)


def _type(datatype: DType) -> str:
    return "TYPE_STRING" if datatype is DType.BYTES else f"TYPE_{datatype.value}"


def statistics(found: Iterable[VersionStatistics]) -> Any:
    """A ModelStatisticsResponse. This hub has no response cache: its two counts stay 0."""
    made = message("ModelStatisticsResponse")()
    for one in found:
        into = made.model_stats.add(
            name=one.name,
            version=str(one.version),
            last_inference=one.last_ms,
            inference_count=one.rows,
            execution_count=one.runs,
        )
        inside = into.inference_stats
        _lasting(inside.success, one.succeeded)
        _lasting(inside.fail, one.failed)
        _lasting(inside.queue, one.queued)
        _phases(inside, one)
        inside.cache_hit.SetInParent()
        inside.cache_miss.SetInParent()
        for batch in one.batches:
            _phases(into.batch_stats.add(batch_size=batch.size), batch)
    return made


def _phases(into: Any, of: VersionStatistics | BatchStatistics) -> None:
    _lasting(into.compute_input, of.prepare)
    _lasting(into.compute_infer, of.run)
    _lasting(into.compute_output, of.interpret)


def _lasting(into: Any, lasting: Lasting) -> None:
    into.SetInParent()
    into.count, into.ns = lasting.count, lasting.ns
