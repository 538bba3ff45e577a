"""Does the graph say what the manifest says? Compared once, when a model is opened.

The manifest may be narrower than the graph (a fixed size where the graph is free, fewer outputs),
never wider: a promise that the graph cannot keep is refused before the model takes traffic.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from plaza_accel.sessions.native import DTYPES
from plaza_core.errors import InvalidBundle
from plaza_core.tensors import NUMPY, Array, Dim, DType, Signature, TensorSpec


@dataclass(frozen=True, slots=True)
class GraphTensor:
    """One input or output as the graph declares it."""

    name: str
    datatype: DType | None
    """None for what is not served: sequences, maps, optional values, float8 …"""
    shape: tuple[int | str | None, ...]
    """A size, the name of a symbolic size, or None for an unnamed one.

    ONNX Runtime shows an undeclared shape as an empty one, the same as a scalar's.
    """


def graph_tensors(declared: Iterable[Any]) -> list[GraphTensor]:
    """Convert `session.get_inputs()` or `get_outputs()`."""
    return [GraphTensor(node.name, DTYPES.get(node.type), tuple(node.shape)) for node in declared]


def compare(
    signature: Signature, inputs: Sequence[GraphTensor], outputs: Sequence[GraphTensor]
) -> None:
    """Raise InvalidBundle, naming the tensor, at the first disagreement."""
    given = {tensor.name: tensor for tensor in inputs}
    made = {tensor.name: tensor for tensor in outputs}
    promised = {spec.name for spec in signature.inputs}
    for name in given:
        if name not in promised:
            raise InvalidBundle("the manifest does not list this input of the graph", input=name)
    axes: dict[str, tuple[str, str]] = {}
    for spec in signature.inputs:
        tensor = given.get(spec.name)
        if tensor is None:
            raise InvalidBundle("the graph has no such input", input=spec.name)
        _compare_tensor(spec, tensor)
        _compare_axes(spec, tensor, axes)
    for spec in signature.outputs:
        tensor = made.get(spec.name)
        if tensor is None:
            raise InvalidBundle("the graph has no such output", input=spec.name)
        _compare_tensor(spec, tensor)


def _compare_tensor(spec: TensorSpec, tensor: GraphTensor) -> None:
    if tensor.datatype is not spec.datatype:
        known = tensor.datatype or "a type that is not served"
        raise InvalidBundle(
            f"the manifest says {spec.datatype}, the graph has {known}", input=spec.name
        )
    if not tensor.shape:
        return  # a scalar or an undeclared shape: the warm-up run decides
    if len(tensor.shape) != len(spec.shape):
        raise InvalidBundle(
            f"the manifest says {len(spec.shape)} dimensions, the graph has {len(tensor.shape)}",
            input=spec.name,
        )
    for axis, (want, have) in enumerate(zip(spec.shape, tensor.shape, strict=True)):
        if isinstance(have, int) and want != have:
            raise InvalidBundle(
                f"dimension {axis} is '{want}' in the manifest and {have} in the graph",
                input=spec.name,
            )


def _compare_axes(spec: TensorSpec, tensor: GraphTensor, axes: dict[str, tuple[str, str]]) -> None:
    """One symbol of the graph must not be two axes of the manifest, which could then differ."""
    for want, have in zip(spec.shape, tensor.shape, strict=False):
        if isinstance(want, str) and isinstance(have, str):
            first, where = axes.setdefault(have, (want, spec.name))
            if first != want:
                raise InvalidBundle(
                    f"axis '{want}' and axis '{first}' of '{where}' are one axis in the graph",
                    input=spec.name,
                )


def synthetic(spec: TensorSpec, rows: int = 1) -> Array:
    """Zeros (or empty strings) in the shape of `spec`: `batch` has `rows`, other axes 1.

    Zero is the one value that is a valid token, class and index everywhere.
    """
    shape = tuple(_size(dim, rows) for dim in spec.shape)
    if spec.datatype is DType.BYTES:
        return np.full(shape, b"", dtype=object)
    return np.zeros(shape, NUMPY[spec.datatype])


def _size(dim: Dim, rows: int) -> int:
    if isinstance(dim, int):
        return dim
    return rows if dim == "batch" else 1


def check_answer(signature: Signature, answer: dict[str, Array], rows: int = 1) -> None:
    """Raise InvalidBundle unless a synthetic run gave what the manifest promises.

    An output with the axis `batch` must have as many rows as went in, or the batcher could not
    hand them back.
    """
    for spec in signature.outputs:
        array = answer[spec.name]
        if array.ndim != len(spec.shape):
            raise InvalidBundle(
                f"the manifest says {len(spec.shape)} dimensions, a run gave {array.ndim}",
                input=spec.name,
            )
        for axis, (want, have) in enumerate(zip(spec.shape, array.shape, strict=True)):
            expected = rows if want == "batch" else want
            if isinstance(expected, int) and expected != have:
                raise InvalidBundle(
                    f"dimension {axis} is '{want}' in the manifest; a run with {rows} row(s) "
                    f"gave {have}",
                    input=spec.name,
                )
