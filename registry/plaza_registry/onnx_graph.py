"""What an ONNX file says of itself without being opened as a model: inputs, outputs, data files.

Source: onnx.proto3 and the protobuf wire format. Contents of tensors are stepped over, so a file
of any size costs what its structure costs. What is read is a claim; the sandboxed examination
compares it with the graph as the runtime sees it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from plaza_core.errors import InvalidBundle
from plaza_core.tensors import DType

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SKIP = {_FIXED64: 8, _FIXED32: 4}
_TEXT_LIMIT = 4096
_MOST_FIELDS = 2_000_000
_TYPES = {
    1: DType.FP32,
    2: DType.UINT8,
    3: DType.INT8,
    4: DType.UINT16,
    5: DType.INT16,
    6: DType.INT32,
    7: DType.INT64,
    8: DType.BYTES,
    9: DType.BOOL,
    10: DType.FP16,
    11: DType.FP64,
    12: DType.UINT32,
    13: DType.UINT64,
}

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class GraphTensor:
    """One input or output. A variable axis has the graph's name for it, "" for none."""

    name: str
    datatype: DType
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class GraphFacts:
    inputs: tuple[GraphTensor, ...]
    outputs: tuple[GraphTensor, ...]
    data_files: frozenset[str]
    """Names, as the graph spells them, of files beside it that hold weights."""


def read_graph(path: Path) -> GraphFacts:
    """Raises InvalidBundle when the file is not laid out as a model, or names a tensor kind that
    requests cannot carry."""
    with path.open("rb") as file:
        reader = _Reader(file, path.name)
        graph = reader.only((0, os.fstat(file.fileno()).st_size), 7)
        if graph is None:
            raise InvalidBundle("not an ONNX model", input=path.name)
        weights, files = set(), set()
        inputs: list[Span] = []
        outputs: list[Span] = []
        for number, span in reader.parts(graph):
            if number == 5:  # initializer
                weights.add(reader.text(reader.only(span, 8)))
                files |= _data_files(reader, span)
            elif number in {11, 12}:
                (inputs if number == 11 else outputs).append(span)
        given = [_tensor(reader, span) for span in inputs]
        return GraphFacts(
            tuple(tensor for tensor in given if tensor.name not in weights),
            tuple(_tensor(reader, span) for span in outputs),
            frozenset(files),
        )


def _data_files(reader: _Reader, tensor: Span) -> set[str]:
    pairs = [span for number, span in reader.parts(tensor) if number == 13]
    named = ((reader.only(pair, 1), reader.only(pair, 2)) for pair in pairs)
    return {reader.text(value) for key, value in named if reader.text(key) == "location"}


def _tensor(reader: _Reader, value: Span) -> GraphTensor:
    name = reader.text(reader.only(value, 1))
    kind = reader.only(value, 2)
    tensor = None if kind is None else reader.only(kind, 1)
    if tensor is None:
        raise InvalidBundle("an input or output that is no tensor", input=name[:200])
    element = reader.number(tensor, 1)
    if element not in _TYPES:
        raise InvalidBundle("an element type that requests cannot carry", input=name[:200])
    shape = reader.only(tensor, 2)
    dims = [] if shape is None else [span for number, span in reader.parts(shape) if number == 1]
    return GraphTensor(name, _TYPES[element], tuple(_dim(reader, dim) for dim in dims))


def _dim(reader: _Reader, dim: Span) -> int | str:
    length = reader.number(dim, 1)
    return length if length > 0 else reader.text(reader.only(dim, 2))


class _Reader:
    """Walks messages of one file; a span is (start, end) of a message's content."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._left = _MOST_FIELDS

    def parts(self, message: Span) -> Iterator[tuple[int, Span]]:
        """Number and content of each field of `message` that has a length."""
        for number, wire, start, end in self._fields(message):
            if wire == _BYTES:
                yield number, (start, end)

    def only(self, message: Span, number: int) -> Span | None:
        """The last such field, as protobuf reads a field that is not repeated."""
        found = [span for at, span in self.parts(message) if at == number]
        return found[-1] if found else None

    def number(self, message: Span, number: int) -> int:
        found = 0
        for at, wire, start, _ in self._fields(message):
            if at == number and wire == _VARINT:
                self._file.seek(start)
                found = self._varint()
        return found if found < 1 << 63 else found - (1 << 64)

    def text(self, span: Span | None) -> str:
        if span is None:
            return ""
        if span[1] - span[0] > _TEXT_LIMIT:
            raise self._wrong()
        self._file.seek(span[0])
        try:
            return self._file.read(span[1] - span[0]).decode()
        except UnicodeDecodeError:
            raise self._wrong() from None

    def _fields(self, message: Span) -> Iterator[tuple[int, int, int, int]]:
        at, last = message
        while at < last:
            self._left -= 1
            self._file.seek(at)
            key = self._varint()
            wire, start = key & 7, self._file.tell()
            if wire == _VARINT:
                self._varint()
                end = self._file.tell()
            elif wire == _BYTES:
                length = self._varint()
                start = self._file.tell()
                end = start + length
            elif wire in _SKIP:
                end = start + _SKIP[wire]
            else:
                raise self._wrong()
            if end > last or self._left < 0:
                raise self._wrong()
            yield key >> 3, wire, start, end
            at = end

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._file.read(1)
            if not byte:
                raise self._wrong()
            value |= (byte[0] & 0x7F) << shift
            if byte[0] < 0x80:
                return value
        raise self._wrong()

    def _wrong(self) -> InvalidBundle:
        return InvalidBundle("not an ONNX model", input=self._name)
