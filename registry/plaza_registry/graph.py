"""What an ONNX file says of its inputs and outputs, read field by field: nothing is run or loaded.

Field numbers are those of onnx.proto (IR version 13); a test compares them with the installed onnx.
For a first manifest. It proves nothing: what the runtime makes of the file is seen in the sandbox.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from plaza_core.errors import InvalidBundle
from plaza_core.protobuf import Malformed, Value, fields
from plaza_core.tensors import DType
from plaza_registry.onnx_header import check_model_header

DATATYPES = {
    1: DType.FP32, 2: DType.UINT8, 3: DType.INT8, 4: DType.UINT16, 5: DType.INT16, 6: DType.INT32,
    7: DType.INT64, 8: DType.BYTES, 9: DType.BOOL, 10: DType.FP16, 11: DType.FP64,
    12: DType.UINT32, 13: DType.UINT64,
}  # fmt: skip
"""TensorProto.DataType -> what is served; other types are not."""

_MOST_FIELDS = 2_000_000

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
        # Not closed here: views of it may still be in the frames of an error. Freed with the last.
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        return _Reader().outline(memoryview(mapped))
    except (Malformed, UnicodeDecodeError):
        raise InvalidBundle("not an ONNX model", input=path.name) from None


class _Reader:
    """Walks messages of one file, counting: a stranger's file may be nothing but fields."""

    def __init__(self) -> None:
        self._left = _MOST_FIELDS

    def outline(self, data: memoryview) -> Outline:
        inputs, outputs = list[Declared](), list[Declared]()
        weights, external = set[str](), set[str]()
        graph = next(value for number, value in self._messages(data) if number == 7)
        for number, value in self._messages(graph):
            if number == 11:
                inputs.append(self._declared(value))
            elif number == 12:
                outputs.append(self._declared(value))
            elif number == 5:
                weights.add(self._text(value, 8))
                external.update(self._locations(value))
            elif number == 15:  # a sparse weight is named by its values
                values = (inner for which, inner in self._messages(value) if which == 1)
                weights.update(self._text(inner, 8) for inner in values)
        # Up to IR version 3 a weight was listed among the inputs too.
        return Outline([i for i in inputs if i.name not in weights], outputs, sorted(external))

    def _declared(self, info: memoryview) -> Declared:
        name, kind = self._text(info, 1), self._only(info, 2)
        tensor = None if kind is None else self._only(kind, 1)
        if tensor is None:
            return Declared(name, None, None)
        numbers = (value for at, value in self._fields(tensor) if at == 1)
        element = next((value for value in numbers if isinstance(value, int)), 0)
        shape = self._only(tensor, 2)
        dims = None
        if shape is not None:
            dims = tuple(self._axis(dim) for number, dim in self._messages(shape) if number == 1)
        return Declared(name, DATATYPES.get(element), dims)

    def _axis(self, dim: memoryview) -> Axis:
        for number, value in self._fields(dim):
            if number == 1 and isinstance(value, int):
                return value if 0 < value < 1 << 63 else None  # older exporters wrote 0 or -1
            if number == 2 and isinstance(value, memoryview):
                return bytes(value).decode() or None
        return None

    def _locations(self, tensor: memoryview) -> Iterator[str]:
        for number, entry in self._messages(tensor):
            if number == 13 and self._text(entry, 1) == "location":
                yield self._text(entry, 2)

    def _only(self, data: memoryview, wanted: int) -> memoryview | None:
        return next((value for number, value in self._messages(data) if number == wanted), None)

    def _text(self, data: memoryview, wanted: int) -> str:
        found = self._only(data, wanted)
        return "" if found is None else bytes(found).decode()

    def _messages(self, data: memoryview) -> Iterator[tuple[int, memoryview]]:
        for number, value in self._fields(data):
            if isinstance(value, memoryview):
                yield number, value

    def _fields(self, data: memoryview) -> Iterator[tuple[int, Value]]:
        for number, _, value in fields(data):
            self._left -= 1
            if self._left < 0:
                raise Malformed("more fields than any model has")
            yield number, value
