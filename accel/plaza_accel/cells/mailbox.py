"""The memory that a channel of a cell shares with its parent, and what a message in it is.

    memfd, sealed in size:  [ request area | answer area ]      one channel, one call at a time
    message: header · array entries · document (JSON, UTF-8) · data of the arrays, aligned to 64

Who reads copies each part once and checks the copy: the other side may change the memory at any
moment. Nothing outside the area is ever touched, and no more is copied than the area holds.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import prod
from typing import Final, NamedTuple

import numpy as np

from plaza_core.tensors import NUMPY, Array, DType

_MAGIC: Final = b"plz2"
_HEADER: Final = struct.Struct("<4sIIIQQ")
"""Magic, bytes of the document, arrays, verb, sequence number, nanoseconds."""
_DIMS: Final = 16
_ENTRY: Final = struct.Struct(f"<BB6xQQ{_DIMS}Q")
"""Datatype, dimensions, offset from the start of the area, bytes, sizes (unused ones 0)."""
_UNUSED: Final = tuple((0,) * (_DIMS - ndim) for ndim in range(_DIMS + 1))
_ALIGN: Final = 64
_WINDOW: Final = 4096
"""Bytes that a reader copies at once: all of most messages."""
_MOST_ARRAYS: Final = 1024
_MOST_TEXTS: Final = 1 << 20
"""Elements of BYTES arrays in a message: each costs its reader ten times what it costs here."""
_KINDS: Final = tuple(DType)
_TYPES: Final = tuple(NUMPY[kind] for kind in _KINDS)
_CODES: Final = {kind: code for code, kind in enumerate(_TYPES)}
_BYTES, _BOOL = _KINDS.index(DType.BYTES), _KINDS.index(DType.BOOL)
_GIVE_BACK: Final = 1 << 20

BRIEF_NS: Final = 500_000
"""Calls shorter than this want no second processor: to wake one would take longer."""


class Lies(Exception):
    """A message that is not what the protocol allows; the words are for the log."""


class TooLarge(Exception):
    """What should be sent does not fit into the area."""


class Verb(IntEnum):
    OPEN = 0
    RUN = 1
    PREPARE = 2
    INTERPRET = 3


class Message(NamedTuple):
    document: bytes = b""
    arrays: Sequence[Array] = ()
    time_ns: int = 0
    """Of a request: by when it must have ended (monotonic). Of an answer: the processor time that
    the work took, as its sender says."""
    verb: int = Verb.OPEN
    """What is asked for; nothing in an answer."""


def write(area: memoryview, sequence: int, message: Message) -> int:
    """Put `message` into `area`; return the bytes taken. Raises TooLarge, and changes nothing."""
    document, arrays, time_ns, verb = message
    if len(arrays) > _MOST_ARRAYS:
        raise TooLarge(f"{len(arrays)} arrays")
    end = _HEADER.size + _ENTRY.size * len(arrays) + len(document)
    parts = [b""]
    places: list[tuple[int, int, bytes | memoryview]] = []
    for array in arrays:
        block, shape = _block(array), array.shape
        ndim, size = len(shape), len(block)
        if ndim > _DIMS:
            raise TooLarge(f"{ndim} dimensions")
        start = -(-end // _ALIGN) * _ALIGN
        end = start + size
        places.append((start, end, block))
        parts.append(_ENTRY.pack(_CODES[array.dtype], ndim, start, size, *shape, *_UNUSED[ndim]))
    if end > len(area):
        raise TooLarge(f"{end} bytes")
    parts[0] = _HEADER.pack(_MAGIC, len(document), len(arrays), verb, sequence, time_ns)
    parts.append(document)
    head = b"".join(parts)
    area[: len(head)] = head
    for start, stop, block in places:
        area[start:stop] = block
    return end


def read(area: memoryview, sequence: int) -> Message:
    """A copy of the message in `area`. Raises Lies unless it is whole and number `sequence`."""
    window = bytearray(area[:_WINDOW])
    magic, length, count, verb, number, time_ns = _HEADER.unpack_from(window)
    if magic != _MAGIC or number != sequence:
        raise Lies("not the message that was awaited")
    start = _HEADER.size + _ENTRY.size * count
    stop = start + length
    if count > _MOST_ARRAYS or stop > len(area):
        raise Lies("the message is longer than its area")
    head = window if stop <= _WINDOW else window + area[_WINDOW:stop]
    budget = _Budget(len(area))
    arrays = [
        _array(area, window, _ENTRY.unpack_from(head, at), budget)
        for at in range(_HEADER.size, start, _ENTRY.size)
    ]
    return Message(bytes(head[start:stop]), arrays, time_ns, verb)


@dataclass(slots=True)
class _Budget:
    """What one message may still make its reader hold: arrays may lie upon one another."""

    left: int
    texts: int = _MOST_TEXTS


def _array(area: memoryview, window: bytearray, entry: tuple[int, ...], budget: _Budget) -> Array:
    """The array of an entry: in `window`, which is the reader's own, or a copy out of `area`."""
    code, ndim, offset, length = entry[:4]
    if code >= len(_KINDS) or ndim > _DIMS or offset % _ALIGN:
        raise Lies("an array of no known type")
    shape = entry[4 : 4 + ndim]
    budget.left -= length
    stop = offset + length
    if stop > len(area) or budget.left < 0:
        raise Lies("an array lies outside the area")
    if code == _BYTES:
        budget.texts -= prod(shape)
        if budget.texts < 0:
            raise Lies("too many texts")
        return _texts(bytes(area[offset:stop]), shape)
    kind = _TYPES[code]
    if prod(shape) * kind.itemsize != length:
        raise Lies("the size of an array is not that of its shape")
    try:
        array: Array
        if stop <= len(window):
            array = np.ndarray(shape, kind, window, offset)
        else:
            array = np.ndarray(shape, kind, bytearray(area[offset:stop]))
    except (ValueError, OverflowError):  # no elements, and sizes beyond what numpy can hold
        raise Lies("a shape that no array has") from None
    if code == _BOOL:
        return np.not_equal(array.view(np.uint8), 0)  # numpy takes any other byte amiss
    return array


def _block(array: Array) -> bytes | memoryview:
    """The bytes of an array as they travel."""
    if array.dtype.hasobject:
        texts = [bytes(item) for item in array.flat]
        lengths = struct.pack(f"<{len(texts)}I", *map(len, texts))
        return lengths + b"".join(texts)
    if array.dtype not in _CODES:
        raise TooLarge(f"no such datatype on the wire: {array.dtype}")
    if array.nbytes <= _WINDOW:
        return array.tobytes()
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _texts(data: bytes, shape: tuple[int, ...]) -> Array:
    count = prod(shape)
    if len(data) < 4 * count:
        raise Lies("the lengths of texts are cut off")
    at = 4 * count
    items: list[bytes] = []
    for (length,) in struct.iter_unpack("<I", data[:at]):
        items.append(data[at : at + length])
        at += length
    if at != len(data):
        raise Lies("texts and their lengths disagree")
    array = np.empty(count, dtype=object)
    array[:] = items
    try:
        return array.reshape(shape)
    except ValueError:
        raise Lies("a shape that no array has") from None


def make_memory(area_bytes: int) -> int:
    """A file descriptor of memory for one channel, whose size nobody can change any more.

    Could the child shrink it, its parent's next access would be a bus error.
    """
    descriptor = os.memfd_create("cell", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, 2 * area_bytes)
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


class Mailbox:
    """One side's view of a channel's memory. One call at a time."""

    def __init__(self, descriptor: int, area_bytes: int, *, parent: bool) -> None:
        self._map = mmap.mmap(descriptor, 2 * area_bytes)
        whole = memoryview(self._map)
        request, answer = whole[:area_bytes], whole[area_bytes:]
        self._out, self._in = (request, answer) if parent else (answer, request)
        self._used = 0

    def post(self, sequence: int, message: Message) -> None:
        self._used = max(self._used, write(self._out, sequence, message))

    def take(self, sequence: int) -> Message:
        message = read(self._in, sequence)
        self._used = max(self._used, sum(array.nbytes for array in message.arrays))
        return message

    def give_back(self) -> None:
        """Of the parent, between two calls: let the system have the pages of a large message."""
        if self._used > _GIVE_BACK:
            self._map.madvise(mmap.MADV_REMOVE)
            self._used = 0
