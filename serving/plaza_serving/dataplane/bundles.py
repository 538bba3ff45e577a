"""The node's cache of bundles: fetched by digest, verified before every load, shared by replicas.

A directory appears under its digest only when complete. Files are addressed by sha256, so a bad
copy is replaced by fetching again, and what does not match its digest is never opened.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from plaza_core.errors import InvalidBundle
from plaza_core.table import FileEntry, VersionEntry

OpenBlob = Callable[[str], contextlib.AbstractContextManager[Iterator[bytes]]]
"""sha256 -> chunks. Raises Unavailable or NotFound."""


class BundleCache:
    def __init__(self, directory: Path, open_blob: OpenBlob) -> None:
        self._directory = directory
        self._open_blob = open_blob

    def fetch(self, entry: VersionEntry) -> Path:
        """The bundle's directory, every file verified. Raises InvalidBundle, Unavailable."""
        place = self._directory / entry.digest
        self._directory.mkdir(parents=True, exist_ok=True)
        # One replica of the node at a time: nobody replaces a copy that another has just verified.
        with (self._directory / f".{entry.digest}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not place.is_dir() or not self._intact(place, entry):
                self._fill(place, entry)
        return place

    @staticmethod
    def _intact(place: Path, entry: VersionEntry) -> bool:
        return all(_matches(place / file.path, file) for file in entry.files)

    def _fill(self, place: Path, entry: VersionEntry) -> None:
        fresh = self._directory / f".{entry.digest[:16]}-{secrets.token_hex(4)}"
        fresh.mkdir(parents=True)
        try:
            for file in entry.files:
                self._download(fresh / file.path, file)
            shutil.rmtree(place, ignore_errors=True)
            fresh.rename(place)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def _download(self, path: Path, file: FileEntry) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        with self._open_blob(file.sha256) as chunks, path.open("xb") as out:
            for chunk in chunks:
                size += len(chunk)
                if size > file.size:
                    break
                digest.update(chunk)
                out.write(chunk)
        if size != file.size or digest.hexdigest() != file.sha256:
            raise InvalidBundle("a file does not match its digest", input=file.path)


def _matches(path: Path, file: FileEntry) -> bool:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256
    except OSError:
        return False
