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
from dataclasses import dataclass, field
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plaza_core.tensors import NUMPY, Array, DType

Bytes = NDArray[np.uint8]

_MAGIC: Final = b"plz1"
_HEADER: Final = struct.Struct("<4sIIIQQ")
"""Magic, bytes of the document, arrays, unused, sequence number, processor time in nanoseconds."""
_DIMS: Final = 16
_ENTRY: Final = struct.Struct(f"<BB6xQQ{_DIMS}Q")
"""Datatype, dimensions, offset from the start of the area, bytes, sizes (unused ones 0)."""
_ALIGN: Final = 64
_MOST_ARRAYS: Final = 1024
_MOST_TEXTS: Final = 1 << 20
"""Elements of BYTES arrays in a message: each costs its reader ten times what it costs here."""
_KINDS: Final = tuple(DType)
_CODES: Final = {NUMPY[kind]: code for code, kind in enumerate(_KINDS)}
_GIVE_BACK: Final = 1 << 20


class Lies(Exception):
    """A message that is not what the protocol allows; the words are for the log."""


class TooLarge(Exception):
    """What should be sent does not fit into the area."""


@dataclass(frozen=True, slots=True)
class Message:
    document: bytes
    arrays: Sequence[Array] = field(default=())
    cpu_ns: int = 0
    """Processor time the work took, as its sender says."""


def write(area: Bytes, sequence: int, message: Message) -> int:
    """Put `message` into `area`; return the bytes taken. Raises TooLarge, and changes nothing."""
    blocks = [_block(array) for array in message.arrays]
    document = message.document
    if len(blocks) > _MOST_ARRAYS:
        raise TooLarge(f"{len(blocks)} arrays")
    at = _HEADER.size + _ENTRY.size * len(blocks)
    end = at + len(document)
    entries: list[bytes] = []
    places: list[tuple[int, int, Bytes]] = []
    for array, block in zip(message.arrays, blocks, strict=True):
        start = -(-end // _ALIGN) * _ALIGN
        end = start + block.size
        places.append((start, end, block))
        if array.ndim > _DIMS:
            raise TooLarge(f"{array.ndim} dimensions")
        sizes = (*array.shape, *(0,) * (_DIMS - array.ndim))
        entries.append(_ENTRY.pack(_CODES[array.dtype], array.ndim, start, block.size, *sizes))
    if end > area.size:
        raise TooLarge(f"{end} bytes")
    header = _HEADER.pack(_MAGIC, len(document), len(blocks), 0, sequence, message.cpu_ns)
    head = b"".join((header, *entries, document))
    area[: len(head)] = np.frombuffer(head, np.uint8)
    for start, stop, block in places:
        area[start:stop] = block
    return end


def read(area: Bytes, sequence: int) -> Message:
    """A copy of the message in `area`. Raises Lies unless it is whole and number `sequence`."""
    magic, length, count, _, number, cpu_ns = _HEADER.unpack(area[: _HEADER.size].tobytes())
    if magic != _MAGIC or number != sequence:
        raise Lies("not the message that was awaited")
    start = _HEADER.size + _ENTRY.size * count
    if count > _MOST_ARRAYS or start + length > area.size:
        raise Lies("the message is longer than its area")
    head = area[_HEADER.size : start + length].tobytes()
    budget = _Budget(area.size)
    entries = range(0, start - _HEADER.size, _ENTRY.size)
    arrays = [_array(area, _ENTRY.unpack_from(head, at), budget) for at in entries]
    return Message(head[start - _HEADER.size :], arrays, cpu_ns)


@dataclass(slots=True)
class _Budget:
    """What one message may still make its reader hold: arrays may lie upon one another."""

    left: int
    texts: int = _MOST_TEXTS


def _array(area: Bytes, entry: tuple[int, ...], budget: _Budget) -> Array:
    code, ndim, offset, length, *sizes = entry
    if code >= len(_KINDS) or ndim > _DIMS:
        raise Lies("an array of no known type")
    shape = tuple(sizes[:ndim])
    budget.left -= length
    if offset + length > area.size or budget.left < 0:
        raise Lies("an array lies outside the area")
    kind = _KINDS[code]
    if kind is DType.BYTES:
        budget.texts -= prod(shape)
        if budget.texts < 0:
            raise Lies("too many texts")
        return _texts(area[offset : offset + length].tobytes(), shape)
    if prod(shape) * NUMPY[kind].itemsize != length:
        raise Lies("the size of an array is not that of its shape")
    copy: Array = area[offset : offset + length].copy()
    try:
        if kind is DType.BOOL:
            return np.not_equal(copy, 0).reshape(shape)  # numpy takes any other byte amiss
        return copy.view(NUMPY[kind]).reshape(shape)
    except ValueError:  # no elements, and sizes beyond what numpy can hold
        raise Lies("a shape that no array has") from None


def _block(array: Array) -> Bytes:
    """The bytes of an array as they travel."""
    if array.dtype == object:
        texts = [bytes(item) for item in array.flat]
        lengths = struct.pack(f"<{len(texts)}I", *map(len, texts))
        return np.frombuffer(lengths + b"".join(texts), np.uint8)
    if array.dtype not in _CODES:
        raise TooLarge(f"no such datatype on the wire: {array.dtype}")
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


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
        whole: Any = np.frombuffer(self._map, np.uint8)
        request, answer = whole[:area_bytes], whole[area_bytes:]
        self._out, self._in = (request, answer) if parent else (answer, request)
        self._area_bytes = area_bytes
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
