"""Reading a blob and its digest at once: the end of it comes only after all of it was checked.

Whoever reads to the end has the content; whoever gets an error had not. A stream cut off by this
error is short of its last block, so nothing that was made from it can pass for the whole.
"""

from __future__ import annotations

import hashlib
import io
from typing import BinaryIO, Protocol

from plaza_core.errors import Unavailable
from plaza_core.ids import Digest

_BLOCK = 1 << 20


class Source(Protocol):
    """What bytes are read from: a file, or the body of an HTTP answer."""

    def read(self, size: int, /) -> bytes: ...
    def close(self) -> None: ...


class _Checked(io.RawIOBase):
    """Holds one block back: it is handed out when more follows, or when the digest is right."""

    def __init__(self, source: Source, expected: Digest) -> None:
        self._source = source
        self._expected = expected
        self._digest = hashlib.sha256()
        self._block = memoryview(b"")
        self._ahead: bytes | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int:
        target = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # what the base class says
        if not self._block:
            self._advance()
        count = min(len(target), len(self._block))
        target[:count] = self._block[:count]
        self._block = self._block[count:]
        return count

    def _advance(self) -> None:
        current = self._source.read(_BLOCK) if self._ahead is None else self._ahead
        self._digest.update(current)
        self._ahead = self._source.read(_BLOCK) if current else b""
        if not self._ahead and self._digest.hexdigest() != self._expected:
            raise Unavailable("a stored blob is damaged", input=self._expected)
        self._block = memoryview(current)

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()


def checked(source: Source, expected: Digest) -> BinaryIO:
    """`source` as a file. Reading its last bytes raises Unavailable unless all had the digest."""
    return io.BufferedReader(_Checked(source, expected), _BLOCK)
