"""Tensors as JSON in the Open Inference Protocol: `data` in, `data` out.

In: flat row-major, or nested exactly as `shape` says. Each element must be of the JSON type that
belongs to the datatype (true/false for BOOL, integers for INT and UINT, numbers for FP, strings as
UTF-8 for BYTES); nothing is rounded to an integer, wrapped around or made infinite.
Out: flat row-major. JSON has no NaN or Infinity: both become null. Clients that need them exactly
ask for binary outputs.
"""

from __future__ import annotations

from itertools import chain
from math import prod
from typing import Any

import numpy as np
import orjson

from plaza_core.errors import InvalidInput, InvalidTensor, MalformedRequest
from plaza_core.tensors import NUMPY, Array, DType

_INTEGER = frozenset({int})
_NUMBER = frozenset({int, float})
_ELEMENTS: dict[str, tuple[np.dtype[Any], frozenset[type], str]] = {
    datatype.value: (
        NUMPY[datatype],
        *{
            "b": (frozenset({bool}), "true and false"),
            "i": (_INTEGER, "integers"),
            "u": (_INTEGER, "integers"),
            "f": (_NUMBER, "numbers"),
            "O": (frozenset({str}), "strings"),
        }[NUMPY[datatype].kind],
    )
    for datatype in DType
}
_INFINITE = {"FP16": 65520.0, "FP32": 2.0**128 - 2.0**103}
"""The least number that rounds to infinity: half a unit in the last place above the largest."""
_FEW = 64
"""Up to here Python's own max and min are quicker than numpy's."""
_MAX_DIMS = 32


def check_shape(name: str, shape: Any) -> int:
    """The number of elements of a `shape` from the wire. Raises MalformedRequest."""
    if type(shape) is not list or len(shape) > _MAX_DIMS:
        raise MalformedRequest(f"shape must be a list of at most {_MAX_DIMS} sizes", input=name)
    for size in shape:
        if type(size) is not int or size < 0:
            raise MalformedRequest("each size in shape must be an integer of 0 or more", input=name)
    return prod(shape)


def reshaped(name: str, array: Array, shape: list[int]) -> Array:
    """`array` in `shape`, whose product is known to fit. Raises InvalidTensor for absurd sizes."""
    try:
        return array.reshape(shape)
    except (ValueError, OverflowError):  # an empty tensor with a dimension beyond numpy's range
        raise InvalidTensor("a dimension is too large", input=name) from None


def read(name: str, datatype: str, shape: Any, data: Any) -> Array:
    """An array from the `data` of one tensor.

    Raises MalformedRequest for what is no tensor, InvalidTensor for what does not fit its claims.
    """
    if datatype not in _ELEMENTS:
        raise InvalidTensor("the protocol has no such datatype", input=name)
    dtype, allowed, wanted = _ELEMENTS[datatype]
    count = check_shape(name, shape)
    if type(data) is not list:
        raise MalformedRequest("data must be a list", input=name)
    if data and type(data[0]) is list:
        data = _flatten(name, data, shape)
    if len(data) != count:
        raise InvalidTensor(f"shape {shape} has {count} elements, data has {len(data)}", input=name)
    if not set(map(type, data)) <= allowed:
        raise InvalidTensor(f"data of {datatype} must be {wanted}", input=name)
    if datatype == "BYTES":
        array = np.empty(count, object)
        array[:] = [text.encode() for text in data]
        return reshaped(name, array, shape)
    try:
        array = (
            np.array(data, dtype)
            if datatype not in _INFINITE
            else _real(data, dtype, _INFINITE[datatype])
        )
    except OverflowError:
        raise InvalidTensor(f"a number is out of the range of {datatype}", input=name) from None
    return reshaped(name, array, shape)


def _real(data: list[Any], dtype: np.dtype[Any], infinite: float) -> Array:
    """Finite numbers as FP16 or FP32. Raises OverflowError where numpy would make one infinite."""
    if len(data) <= _FEW:
        if data and (max(data) >= infinite or min(data) <= -infinite):
            raise OverflowError
        return np.array(data, dtype)
    wide = np.array(data, np.float64)
    if max(wide.max(), -wide.min()) >= infinite:
        raise OverflowError
    return wide.astype(dtype)


def _flatten(name: str, data: list[Any], shape: list[int]) -> list[Any]:
    """One flat list of `data` nested exactly as `shape`."""
    if shape and len(data) == shape[0]:
        for size in shape[1:]:
            kinds = set(map(type, data))
            if kinds and (kinds != {list} or set(map(len, data)) != {size}):
                break
            data = list(chain.from_iterable(data))
        else:
            return data
    raise InvalidTensor(f"the nesting of data does not match shape {shape}", input=name)


def write(name: str, array: Array) -> Any:
    """`array` as something orjson (OPT_SERIALIZE_NUMPY) writes as one flat list.

    Raises InvalidInput for a BYTES element that is not UTF-8.
    """
    if array.dtype == object:
        try:
            return [element.decode() for element in array.ravel()]
        except UnicodeDecodeError:
            raise InvalidInput(
                "this output is not UTF-8 text; ask for it with binary_data", input=name
            ) from None
    return array.reshape(-1)


def dumps(document: Any) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
