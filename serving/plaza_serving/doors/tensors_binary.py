"""Tensors as raw bytes: the binary tensor data extension of the Open Inference Protocol.

Little-endian, row-major, no padding. BOOL is one byte, 0 or 1. A BYTES element is its length as an
unsigned 32-bit integer followed by its bytes. Numeric tensors are views into the body, not copies.
"""

from __future__ import annotations

from itertools import chain
from math import prod
from typing import Any

import numpy as np

from plaza_core.errors import InvalidTensor, MalformedRequest
from plaza_core.tensors import BATCH_AXIS, NUMPY, Array, DType, Signature
from plaza_serving.doors.tensors_json import check_shape, reshaped

_NUMPY = {datatype.value: dtype for datatype, dtype in NUMPY.items()}
_SMALL = 1 << 16

DATATYPES: dict[np.dtype[Any], str] = {dtype: name.value for name, dtype in NUMPY.items()}


def read(name: str, datatype: str, shape: Any, body: bytes, *, start: int, size: int) -> Array:
    """The tensor in `body[start:start + size]`, which the caller knows to exist.

    Raises MalformedRequest for what is no tensor, InvalidTensor for what does not fit its claims.
    """
    dtype = _NUMPY.get(datatype)
    if dtype is None:
        raise InvalidTensor("the protocol has no such datatype", input=name)
    count = check_shape(name, shape)
    if datatype == "BYTES":
        return reshaped(name, _read_bytes(name, body, start, start + size, count), shape)
    if count * dtype.itemsize != size:
        raise InvalidTensor(
            f"{datatype} of shape {shape} has {count * dtype.itemsize} bytes, "
            f"the binary data has {size}",
            input=name,
        )
    array: Array = np.frombuffer(body, dtype, count, start)
    if datatype == "BOOL" and count and array.view(np.uint8).max() > 1:
        raise InvalidTensor("a BOOL byte must be 0 or 1", input=name)
    if not array.flags.aligned:  # runtimes read vectors of the item's alignment
        # Slicing keeps the interpreter lock, which numpy's copy gives away and must wait for again.
        small = 0 < size <= _SMALL
        array = np.frombuffer(body[start : start + size], dtype) if small else array.copy()
    return reshaped(name, array, shape)


def _read_bytes(name: str, body: bytes, at: int, end: int, count: int) -> Array:
    elements: list[bytes] = []
    while at < end:
        start = at + 4
        at = start + int.from_bytes(body[at:start], "little")
        if start > end or at > end:
            raise MalformedRequest("a BYTES element is longer than its tensor", input=name)
        elements.append(body[start:at])
    if len(elements) != count:
        raise InvalidTensor(
            f"shape has {count} elements, the binary data has {len(elements)}", input=name
        )
    array = np.empty(count, object)
    array[:] = elements
    return array


def write(array: Array) -> Any:
    """The bytes of `array`, as something `bytes.join` takes."""
    if array.dtype == object:
        pairs = ((len(one).to_bytes(4, "little"), one) for one in array.ravel())
        return b"".join(chain.from_iterable(pairs))
    return np.ascontiguousarray(array).data.cast("B") if array.size else b""


def raw_input(signature: Signature, body: bytes) -> dict[str, Array]:
    """A body without JSON (`Inference-Header-Content-Length: 0`) as the one input of a model.

    One row. At most one further axis may be variable; its size follows from the byte count. A
    BYTES input has one element, which is the body itself. Raises InvalidTensor.
    """
    if len(signature.inputs) != 1:
        raise InvalidTensor("a raw body needs a model with exactly one input")
    spec = signature.inputs[0]
    shape = [1 if dim == BATCH_AXIS else dim for dim in spec.shape]
    if spec.datatype == DType.BYTES:
        if any(dim != 1 and isinstance(dim, int) for dim in shape):
            raise InvalidTensor("a raw body is one element, this input has more", input=spec.name)
        array = np.empty(1, object)
        array[0] = body
        return {spec.name: array.reshape([1] * len(shape))}
    variable = [axis for axis, dim in enumerate(shape) if isinstance(dim, str)]
    if len(variable) > 1:
        raise InvalidTensor("a raw body leaves more than one axis open", input=spec.name)
    row = prod(dim for dim in shape if isinstance(dim, int)) * NUMPY[spec.datatype].itemsize
    if variable:
        shape[variable[0]] = len(body) // row
    sizes = [int(dim) for dim in shape]
    return {spec.name: read(spec.name, spec.datatype.value, sizes, body, start=0, size=len(body))}
