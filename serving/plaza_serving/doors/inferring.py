"""What both doors of the Open Inference Protocol share: a read request, its parameters, outputs.

`parameters` are plain values, from JSON or from the messages of gRPC. Sources: Triton's
`extension_schedule_policy.md`, `extension_classification.md`, `extension_parameters.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from msgspec import structs

from plaza_core.errors import BadRequest, InvalidTensor, MalformedRequest
from plaza_core.inference import DEFAULT_PRIORITY, LOWEST_PRIORITY, Outcome
from plaza_core.tensors import Array
from plaza_serving.doors import classification
from plaza_serving.plane import ModelView

_MAX_TIMEOUT_US: Final = 10**12
"""Eleven days; whoever allows more means the same. The model's own limit comes far before."""
_UINT64: Final = 2**64 - 1
_MAX_CLASSES: Final = 1 << 20


class InferRequest(NamedTuple):
    """A parsed request. `outputs` maps a requested output to whether it goes out as binary; None
    means all, each as `binary` says."""

    tensors: dict[str, Array]
    id: str | None = None
    timeout_us: int | None = None
    outputs: dict[str, bool] | None = None
    binary: bool = False
    sticky: Any = None
    priority: int = DEFAULT_PRIORITY
    classes: Mapping[str, int] = MappingProxyType({})
    """Outputs of which so many of the best entries are wanted, as texts."""


def timeout_us(parameters: Mapping[str, Any]) -> int | None:
    """0 stands for "no timeout of this request's own"."""
    return min(_integer(parameters, "timeout", most=_UINT64), _MAX_TIMEOUT_US) or None


def priority(parameters: Mapping[str, Any]) -> int:
    """0, and what lies behind the last level, stand for the usual one, as at Triton."""
    asked = _integer(parameters, "priority", most=_UINT64)
    return asked if 0 < asked <= LOWEST_PRIORITY else DEFAULT_PRIORITY


def classes(parameters: Mapping[str, Any]) -> int:
    """Of an output: how many of its best entries are wanted as texts; 0: the output itself."""
    return _integer(parameters, "classification", most=_MAX_CLASSES)


def refuse_unoffered(parameters: Mapping[str, Any], name: str) -> None:
    """Of a tensor. Raises BadRequest."""
    if "shared_memory_region" in parameters:
        raise BadRequest("this hub does not share memory with its callers", input=name)


def refuse_sequences(parameters: Mapping[str, Any]) -> None:
    """0, "" and false say that a request belongs to none. Raises BadRequest."""
    for key in ("sequence_id", "sequence_start", "sequence_end"):
        if parameters.get(key):
            raise BadRequest("models of this hub keep no state between requests", input=key)


def check_outputs(view: ModelView, request: InferRequest) -> None:
    """Raises InvalidTensor naming the first that the model does not have, or that has no order to
    classify by."""
    known = {spec.name for spec in view.signature.outputs}
    for name in request.outputs or ():
        if name not in known:
            raise InvalidTensor("the model has no such output", input=name)
    classification.check(view.signature, request.classes)


def classified(request: InferRequest, outcome: Outcome, view: ModelView) -> Outcome:
    """The outcome with texts in place of the outputs that are wanted so."""
    tensors = dict(outcome.tensors)
    for name, most in request.classes.items():
        tensors[name] = classification.classified(
            tensors[name], most, view.labels, batched=view.signature.batched
        )
    return structs.replace(outcome, tensors=tensors)


def _integer(parameters: Mapping[str, Any], key: str, *, most: int) -> int:
    """0 when absent."""
    value = parameters.get(key)
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value <= most:
        raise MalformedRequest(f"{key} must be an integer from 0 to {most}", input=key)
    return value
