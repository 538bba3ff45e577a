"""Downloading one file: https only, never more than was announced, resumed where it broke off.

What has arrived lies beside the final name as `NAME.part`. It becomes the file when its checksum is
right, in one step, so that nobody ever reads half a file.
"""

from __future__ import annotations

import fcntl
import os
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.error import HTTPError

from plaza_core.errors import InvalidInput
from plaza_training.data.dataset import SourceFile
from plaza_training.data.errors import DataChanged

CHUNK = 1 << 16
"""Bytes of one step of progress."""
_TIMEOUT_S = 60
_ATTEMPTS = 3
_UNSTATED_LIMIT = 1 << 30


class Download(Protocol):
    def __call__(self, file: SourceFile, partial: Path) -> Iterator[int]:
        """Bring `partial` to the full size of `file`, yielding the bytes of each step. Raises
        OSError when it broke off, DataChanged when the source has other bytes."""


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Over https; `context` says which authorities are believed, by default the system's."""

    context: ssl.SSLContext | None = None
    attempts: int = _ATTEMPTS

    def __call__(self, file: SourceFile, partial: Path) -> Iterator[int]:
        """A transfer that broke off goes on from its last byte. Refusals are final at once."""
        for attempt in range(1, self.attempts + 1):
            try:
                yield from self._once(file, partial)
                return
            except HTTPError:
                raise
            except (OSError, HTTPException) as error:
                if attempt == self.attempts:
                    raise OSError(f"{type(error).__name__} after {attempt} attempts") from error

    def _once(self, file: SourceFile, partial: Path) -> Iterator[int]:
        have = partial.stat().st_size if file.bytes and partial.exists() else 0
        if have and have >= file.bytes:
            return
        request = _request(file.url, have)
        opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=self.context), _SecureRedirects
        )
        with opener.open(request, timeout=_TIMEOUT_S) as answer:
            resumed = answer.status == HTTPStatus.PARTIAL_CONTENT
            with partial.open("ab" if resumed else "wb") as out:
                yield from _copy(answer, out, file, have if resumed else 0)


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    """A server may send on to https alone."""

    def redirect_request(  # noqa: PLR0917 the library calls it so
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        _secure(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _copy(answer: Any, out: IO[bytes], file: SourceFile, size: int) -> Iterator[int]:
    limit = file.bytes or _UNSTATED_LIMIT
    while chunk := answer.read(CHUNK):
        size += len(chunk)
        if size > limit:
            raise DataChanged(
                f"{file.url} has more than the {limit:,} bytes of the published file", input="data"
            )
        out.write(chunk)
        yield len(chunk)
    if file.bytes and size < file.bytes:
        raise ConnectionError(f"ended after {size:,} of {file.bytes:,} bytes")


def _request(url: str, have: int) -> urllib.request.Request:
    _secure(url)
    # Without this the server may compress, and a range of that is a range of something else.
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    return urllib.request.Request(url, headers=headers)  # noqa: S310 https, by _secure


def _secure(url: str) -> None:
    if not url.startswith("https://"):
        raise InvalidInput("data is downloaded over https only", input="url")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process at a time downloads into `folder`; the others wait."""
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)
