"""Blobs on local disk: `<directory>/ab/cd/<sha256>`, the embedded BlobStore.

A blob is written to `incoming/`, synced, then renamed to its name, and its directory is synced: a
reader sees either nothing or all of it, also after a power cut. Writing content again replaces the
file by its equal, which heals one that was damaged on disk.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from plaza_core.errors import NotFound, PayloadTooLarge, Unavailable
from plaza_core.ids import Digest, valid_digest
from plaza_registry.verified import checked

_INCOMING = "incoming"


class LocalBlobs:
    """BlobStore in a directory of this node. Without `verify`, `open` gives damaged content too."""

    def __init__(self, directory: Path, *, verify: bool = True) -> None:
        self._directory = directory
        self._incoming = directory / _INCOMING
        self._incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._verify = verify

    def check(self) -> None:
        """Raises Unavailable when nothing could be stored now."""
        if not os.access(self._incoming, os.W_OK | os.X_OK):
            raise Unavailable("the blob store cannot be written to now", retry_after=5)

    def put(self, chunks: Iterable[bytes], *, limit: int) -> tuple[Digest, int]:
        """Store and return (sha256, size). Raises PayloadTooLarge at the first byte too many."""
        handle, name = tempfile.mkstemp(dir=self._incoming)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                digest, size = _copy(chunks, file, limit)
                file.flush()
                os.fchmod(file.fileno(), 0o400)
                os.fsync(file.fileno())
            target = self._path(digest)
            self._make_folders(target.parent)
            temporary.replace(target)
            _sync_directory(target.parent)
        finally:
            temporary.unlink(missing_ok=True)
        return digest, size

    def open(self, sha256: Digest) -> BinaryIO:
        """Raises NotFound; reading it to the end raises Unavailable when it is damaged."""
        try:
            file = self._path(sha256).open("rb")
        except FileNotFoundError:
            raise NotFound("no such blob", input=sha256) from None
        return checked(file, sha256) if self._verify else file

    def exists(self, sha256: Digest) -> bool:
        return self._path(sha256).is_file()

    def delete(self, sha256: Digest) -> None:
        self._path(sha256).unlink(missing_ok=True)

    def digests(self) -> Iterator[Digest]:
        for path in self._directory.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*"):
            yield Digest(path.name)

    def remove_abandoned(self, before_unix_us: int) -> int:
        """Delete unfinished writes last touched before then; return how many."""
        removed = 0
        for path in self._incoming.iterdir():
            if path.stat().st_mtime_ns // 1000 < before_unix_us:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def _path(self, sha256: Digest) -> Path:
        valid_digest(sha256)  # also keeps a digest from the wire from naming any other file
        return self._directory / sha256[:2] / sha256[2:4] / sha256

    def _make_folders(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _sync_directory(folder.parent)
            _sync_directory(self._directory)


def _copy(chunks: Iterable[bytes], file: BinaryIO, limit: int) -> tuple[Digest, int]:
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise PayloadTooLarge(f"more than {limit} bytes")
        digest.update(chunk)
        file.write(chunk)
    return Digest(digest.hexdigest()), size


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
