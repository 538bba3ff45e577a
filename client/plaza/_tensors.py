"""Tensors of the Open Inference Protocol v2, with the binary tensor data extension.

Source: Triton's `extension_binary_data.md`. Little-endian, row-major; a BYTES element is its length
as uint32 followed by its bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaza._http import Answer
from plaza.errors import PlazaError

Array = NDArray[Any]
HEADER_LENGTH = "inference-header-content-length"

_NUMPY = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(object),
}
_DATATYPE = {(dtype.kind, dtype.itemsize): name for name, dtype in _NUMPY.items()}


def numpy_type(datatype: str) -> np.dtype[Any]:
    """Raises PlazaError for a datatype that numpy has no type for."""
    try:
        return _NUMPY[datatype]
    except KeyError:
        raise PlazaError("unexpected_answer", f"unknown datatype '{datatype}'") from None


def encode(
    inputs: Mapping[str, ArrayLike], outputs: Iterable[str] | None
) -> tuple[dict[str, str], bytes]:
    """(headers, body) of an infer request. Raises ValueError naming an input that is no tensor."""
    entries, tail = [], []
    for name, value in inputs.items():
        array = np.asarray(value)
        datatype, data = _pack(name, array)
        entries.append(
            {
                "name": name,
                "datatype": datatype,
                "shape": list(array.shape),
                "parameters": {"binary_data_size": len(data)},
            }
        )
        tail.append(data)
    document: dict[str, Any] = {"inputs": entries, "parameters": {"binary_data_output": True}}
    if outputs is not None:
        document["outputs"] = [{"name": o, "parameters": {"binary_data": True}} for o in outputs]
    head = json.dumps(document, separators=(",", ":")).encode()
    headers = {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(head))}
    return headers, b"".join((head, *tail))


def decode(answer: Answer) -> tuple[dict[str, Any], dict[str, Array]]:
    """(the JSON part, tensors by name). Numeric tensors are read-only views into the answer."""
    length = answer.headers.get(HEADER_LENGTH)
    head = answer.content if length is None else answer.content[: int(length)]
    document = Answer(answer.status, answer.headers, head).json()
    at, tensors = len(head), {}
    for entry in document["outputs"]:
        size = entry.get("parameters", {}).get("binary_data_size")
        if size is None:
            tensors[entry["name"]] = _from_json(entry)
        else:
            tensors[entry["name"]] = _from_bytes(entry, answer.content[at : at + size])
            at += size
    return document, tensors


def _pack(name: str, array: Array) -> tuple[str, bytes]:
    if array.dtype.kind in "OSU":
        return "BYTES", b"".join(_element(name, one) for one in array.ravel())
    datatype = _DATATYPE.get((array.dtype.kind, array.dtype.itemsize))
    if datatype is None:
        raise ValueError(f"input '{name}': numpy type {array.dtype} is not one of the protocol's")
    return datatype, array.astype(_NUMPY[datatype], order="C", copy=False).tobytes()


def _element(name: str, element: Any) -> bytes:
    if isinstance(element, str):
        element = element.encode()
    if not isinstance(element, bytes):
        raise TypeError(f"input '{name}': elements must be str or bytes, not {type(element)}")
    return len(element).to_bytes(4, "little") + element


def _from_json(entry: Mapping[str, Any]) -> Array:
    data = entry["data"]
    if entry["datatype"] == "BYTES":
        return _objects([one.encode() for one in data], entry["shape"])
    return np.array(data, numpy_type(entry["datatype"])).reshape(entry["shape"])


def _from_bytes(entry: Mapping[str, Any], data: bytes) -> Array:
    try:
        if entry["datatype"] == "BYTES":
            return _objects(_split(data), entry["shape"])
        return np.frombuffer(data, numpy_type(entry["datatype"])).reshape(entry["shape"])
    except ValueError:
        raise PlazaError(
            "unexpected_answer", "an output is cut short", input=entry["name"]
        ) from None


def _split(data: bytes) -> list[bytes]:
    elements, at = [], 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        if end > len(data):
            raise ValueError
        elements.append(data[at + 4 : end])
        at = end
    return elements


def _objects(elements: list[bytes], shape: list[int]) -> Array:
    array = np.empty(len(elements), object)
    array[:] = elements
    return array.reshape(shape)
