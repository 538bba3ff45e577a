"""What an ONNX file says of its inputs and outputs, read field by field: nothing is run or loaded.

Field numbers are those of onnx.proto (IR version 13); a test compares them with the installed onnx.
For the owner of a file, who wants a first manifest of it. It proves nothing: a stranger's file is
looked at in the sandbox.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from plaza_core.errors import InvalidBundle
from plaza_core.protobuf import Malformed, fields
from plaza_core.tensors import DType
from plaza_registry.onnx_header import check_model_header

DATATYPES = {
    1: DType.FP32, 2: DType.UINT8, 3: DType.INT8, 4: DType.UINT16, 5: DType.INT16, 6: DType.INT32,
    7: DType.INT64, 8: DType.BYTES, 9: DType.BOOL, 10: DType.FP16, 11: DType.FP64,
    12: DType.UINT32, 13: DType.UINT64,
}  # fmt: skip
"""TensorProto.DataType -> what is served; other types are not."""

Axis = int | str | None
"""A size, the graph's symbol for a variable one, or nothing said."""


@dataclass(frozen=True, slots=True)
class Declared:
    """An input or output. `datatype` None: no tensor that is served; `shape` None: not said."""

    name: str
    datatype: DType | None
    shape: tuple[Axis, ...] | None


@dataclass(frozen=True, slots=True)
class Outline:
    """A graph from outside. `external` are the files that its weights lie in."""

    inputs: Sequence[Declared]
    outputs: Sequence[Declared]
    external: Sequence[str]


def read_outline(path: Path) -> Outline:
    """Raises InvalidBundle when the file is no ONNX model."""
    with path.open("rb") as file:
        check_model_header(file, name=path.name)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            try:
                return _outline(bytes(mapped))
            except (Malformed, UnicodeDecodeError):
                raise InvalidBundle("not an ONNX model", input=path.name) from None


def _outline(data: bytes) -> Outline:
    inputs, outputs = list[Declared](), list[Declared]()
    weights, external = set[str](), set[str]()
    graph = next(value for number, value in _messages(memoryview(data)) if number == 7)
    for number, value in _messages(graph):
        if number == 11:
            inputs.append(_declared(value))
        elif number == 12:
            outputs.append(_declared(value))
        elif number == 5:
            weights.add(_text(value, 8))
            external.update(_locations(value))
        elif number == 15:  # a sparse weight is named by its values
            weights.update(_text(inner, 8) for which, inner in _messages(value) if which == 1)
    # Up to IR version 3 a weight was listed among the inputs too.
    return Outline([i for i in inputs if i.name not in weights], outputs, sorted(external))


def _declared(info: memoryview) -> Declared:
    name, kind = _text(info, 1), _only(info, 2)
    tensor = None if kind is None else _only(kind, 1)
    if tensor is None:
        return Declared(name, None, None)
    element = next((int(v) for n, _, v in fields(tensor) if n == 1 and isinstance(v, int)), 0)
    shape = _only(tensor, 2)
    dims = None if shape is None else tuple(_axis(d) for n, d in _messages(shape) if n == 1)
    return Declared(name, DATATYPES.get(element), dims)


def _axis(dim: memoryview) -> Axis:
    for number, _, value in fields(dim):
        if number == 1 and isinstance(value, int):
            return value if 0 < value < 1 << 63 else None  # older exporters wrote 0 or -1
        if number == 2 and isinstance(value, memoryview):
            return bytes(value).decode() or None
    return None


def _locations(tensor: memoryview) -> Iterator[str]:
    for number, entry in _messages(tensor):
        if number == 13 and _text(entry, 1) == "location":
            yield _text(entry, 2)


def _only(data: memoryview, wanted: int) -> memoryview | None:
    return next((value for number, value in _messages(data) if number == wanted), None)


def _text(data: memoryview, wanted: int) -> str:
    found = _only(data, wanted)
    return "" if found is None else bytes(found).decode()


def _messages(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    for number, _, value in fields(data):
        if isinstance(value, memoryview):
            yield number, value
