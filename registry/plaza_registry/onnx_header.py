"""Whether bytes can be an ONNX model at all: one walk over the outermost protobuf fields.

Source: onnx.proto3, message ModelProto, and the protobuf wire format. The walk seeks over contents
and so costs microseconds for any size. It proves nothing about the graph; that is the sandboxed
examination's work. It does keep every archive, pickle and checkpoint out, whatever its name.
"""

from __future__ import annotations

import os
from typing import BinaryIO

from plaza_core.errors import InvalidBundle

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_IR_VERSION, _GRAPH, _OPSET_IMPORT = 1, 7, 8
_FIELDS = {
    1: _VARINT,  # ir_version
    2: _BYTES,  # producer_name
    3: _BYTES,  # producer_version
    4: _BYTES,  # domain
    5: _VARINT,  # model_version
    6: _BYTES,  # doc_string
    7: _BYTES,  # graph
    8: _BYTES,  # opset_import
    14: _BYTES,  # metadata_props
    20: _BYTES,  # training_info
    25: _BYTES,  # functions
    26: _BYTES,  # configuration
}
_MOST_FIELDS = 10_000
_NEWEST_IR = 64


def check_model_header(file: BinaryIO, *, name: str) -> None:
    """Raise InvalidBundle naming `name` unless `file` is laid out as one ModelProto."""
    size = os.fstat(file.fileno()).st_size
    seen: dict[int, int] = {}
    ir_version = 0
    while file.tell() < size:
        key = _varint(file, name)
        number, wire = key >> 3, key & 7
        if _FIELDS.get(number) != wire or sum(seen.values()) >= _MOST_FIELDS:
            raise InvalidBundle("not an ONNX model", input=name)
        seen[number] = seen.get(number, 0) + 1
        value = _varint(file, name)
        if wire == _BYTES:
            if value > size - file.tell():
                raise InvalidBundle("the ONNX model is cut short", input=name)
            file.seek(value, os.SEEK_CUR)
        if number == _IR_VERSION:
            ir_version = value
    if seen.get(_GRAPH) != 1 or not seen.get(_OPSET_IMPORT) or not 1 <= ir_version <= _NEWEST_IR:
        raise InvalidBundle("not an ONNX model", input=name)


def _varint(file: BinaryIO, name: str) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise InvalidBundle("the ONNX model is cut short", input=name)
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise InvalidBundle("not an ONNX model", input=name)
