"""Reading protocol buffers field by field, without generated classes and without copying.

Enough of the encoding (protobuf.dev, "Encoding") to look at an untrusted file before any library
does: memory stays that of the file's mapping, and the work is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5

Value = int | memoryview


class Malformed(Exception):
    """Not a protocol buffer, or one that no ordinary writer produces."""


def fields(data: memoryview) -> Iterator[tuple[int, int, Value]]:
    """(field number, wire type, value) in file order; fixed-size values come as memoryviews.

    Groups, field number 0, varints over 64 bits and lengths past the end raise Malformed.
    """
    position, end = 0, len(data)
    while position < end:
        key, position = varint(data, position)
        number, kind = key >> 3, key & 7
        value: Value
        if number == 0:
            raise Malformed("field number 0")
        if kind == VARINT:
            value, position = varint(data, position)
        elif kind in {BYTES, FIXED64, FIXED32}:
            size, position = (
                varint(data, position) if kind == BYTES else (8 if kind == FIXED64 else 4, position)
            )
            if size > end - position:
                raise Malformed("a field runs past the end")
            value = data[position : position + size]
            position += size
        else:
            raise Malformed(f"wire type {kind}")
        yield number, kind, value


def varint(data: memoryview, position: int) -> tuple[int, int]:
    """(value, position after it)."""
    value = shift = 0
    for position in range(position, min(position + 10, len(data))):  # noqa: B020, PLR1704 resumes there
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position + 1
        shift += 7
    raise Malformed("a varint does not end")
