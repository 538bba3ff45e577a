"""A segment as bytes, with a checksum over all of it: how it is stored.

    magic │ length of the header │ header (JSON) │ arrays, each at a multiple of 16 │ SHA-256

Reading copies no array but the vectors, which are kept with 16 bits. What does not fit its checksum
or its own header is refused whole; a segment is never half there.
"""

from __future__ import annotations

import json
import struct
from hashlib import sha256
from typing import Any, NoReturn

import numpy as np

from plaza_core.errors import DamagedIndex
from plaza_models.search.segment import Segment, Texts

_MAGIC = b"PLZSEG1\n"
_ALIGNED = 16
_TEXTS = ("ids", "removes", "texts", "facts")
_ARRAYS = {
    "vectors": "<f2", "terms": "<u8", "ends": "<i8", "places": "<i4", "counts": "<i4",
    "lengths": "<i8",
}  # fmt: skip
_SUM = 32


def to_bytes(segment: Segment) -> bytes:
    columns: dict[str, np.ndarray[Any, Any]] = {}
    for name in _TEXTS:
        texts: Texts = getattr(segment, name)
        columns[f"{name}.blob"] = np.frombuffer(texts.blob, "<u1")
        columns[f"{name}.ends"] = texts.ends.astype("<i8")
    for name, kind in _ARRAYS.items():
        columns[name] = np.ascontiguousarray(getattr(segment, name), kind)
    shapes = {name: [column.dtype.str, *column.shape] for name, column in columns.items()}
    header = json.dumps(shapes).encode()
    parts = [_MAGIC, struct.pack("<I", len(header)), header]
    at = len(_MAGIC) + 4 + len(header)
    for column in columns.values():
        gap = -at % _ALIGNED
        parts += [bytes(gap), column.tobytes()]
        at += gap + column.nbytes
    body = b"".join(parts)
    return body + sha256(body).digest()


def from_bytes(data: bytes) -> Segment:
    """Raises DamagedIndex."""
    whole = memoryview(data)
    body = whole[:-_SUM]
    if not data.startswith(_MAGIC) or sha256(body).digest() != whole[-_SUM:]:
        _damaged()
    start = len(_MAGIC) + 4
    (length,) = struct.unpack("<I", body[len(_MAGIC) : start])
    at = start + length
    columns: dict[str, np.ndarray[Any, Any]] = {}
    for name, (kind, *shape) in json.loads(bytes(body[start:at])).items():
        at += -at % _ALIGNED
        count = int(np.prod(shape, dtype=np.int64))
        columns[name] = np.frombuffer(body, kind, count, at).reshape(shape)
        at += columns[name].nbytes
    if at != len(body):
        _damaged()
    parts: dict[str, Any] = {name: columns[name] for name in _ARRAYS}
    parts["vectors"] = parts["vectors"].astype(np.float32)
    for name in _TEXTS:
        parts[name] = Texts(columns[f"{name}.blob"].tobytes(), columns[f"{name}.ends"])
    return Segment(**parts)


def _damaged() -> NoReturn:
    raise DamagedIndex("a stored part of this index is damaged")
