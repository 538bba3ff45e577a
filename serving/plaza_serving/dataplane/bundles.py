"""The node's cache of bundles: fetched by digest, verified before every load, bounded in bytes.

A directory appears under its digest only when complete. Files are addressed by sha256, so a bad
copy is replaced by fetching again, and what does not match its digest is never opened.

All replicas of a node share it, by file locks that end with their process:

    .DIGEST.use    shared while a replica has the bundle open; its time says when it was last used
    .DIGEST.lock   held while the directory is verified or filled
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from plaza_core.clock import Clock
from plaza_core.errors import InvalidBundle
from plaza_core.ids import Digest
from plaza_core.table import FileEntry, VersionEntry

log = logging.getLogger(__name__)

OpenBlob = Callable[[str], contextlib.AbstractContextManager[Iterator[bytes]]]
"""sha256 -> chunks. Raises Unavailable or NotFound."""


class Bundles(Protocol):
    """Where verified bundle directories come from; blocks, called on loader threads."""

    def fetch(self, entry: VersionEntry) -> Path:
        """The directory; it stays until as many `release` as `fetch` were called."""

    def release(self, entry: VersionEntry) -> None: ...


class BundleCache:
    """Thread-safe; blocks. At most `limit_bytes` of files, unless more than that is open."""

    def __init__(
        self, directory: Path, open_blob: OpenBlob, *, limit_bytes: int, clock: Clock
    ) -> None:
        self._directory = directory
        self._open_blob = open_blob
        self._limit = limit_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._uses: dict[Digest, list[int]] = {}

    def fetch(self, entry: VersionEntry) -> Path:
        """The bundle's directory, every file verified; it stays until `release`.

        Raises InvalidBundle, Unavailable.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        use = self._mark(entry.digest)
        place = self._directory / entry.digest
        try:
            # One replica of the node at a time: nobody replaces a copy that another has verified.
            with _locked(self._beside(entry.digest, "lock"), fcntl.LOCK_EX):
                if not place.is_dir() or not _intact(place, entry):
                    self._fill(place, entry)
        except BaseException:
            os.close(use)
            raise
        with self._lock:
            self._uses.setdefault(entry.digest, []).append(use)
        return place

    def release(self, entry: VersionEntry) -> None:
        """Once per `fetch`, when what was made of the files is closed."""
        with self._lock:
            uses = self._uses.get(entry.digest, [])
            use = uses.pop() if uses else None
        if use is not None:
            self._touch(use)
            os.close(use)

    def _mark(self, digest: Digest) -> int:
        """Say that this replica uses the bundle: a descriptor with a shared lock on its mark."""
        use = _take(self._beside(digest, "use"), fcntl.LOCK_SH)
        assert use is not None, "a lock that is waited for is got"
        self._touch(use)
        return use

    def _touch(self, use: int) -> None:
        now = self._clock.unix_us() * 1000
        os.utime(use, ns=(now, now))

    def _beside(self, digest: str, what: str) -> Path:
        return self._directory / f".{digest}.{what}"

    # ── filling ──────────────────────────────────────────────────────────────────────────────────
    def _fill(self, place: Path, entry: VersionEntry) -> None:
        """With the bundle's lock held: so what is there, whole or half-made, is garbage."""
        for left in (place, *self._directory.glob(f".{entry.digest}.fresh-*")):
            shutil.rmtree(left, ignore_errors=True)
        fresh = self._make_room(entry)
        try:
            for file in entry.files:
                self._download(fresh / file.path, file)
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

    # ── the bound ────────────────────────────────────────────────────────────────────────────────
    def _make_room(self, entry: VersionEntry) -> Path:
        """A directory to fill, whose name reserves its bytes, after evicting what was used longest
        ago and is open nowhere."""
        coming = sum(file.size for file in entry.files)
        fresh = self._directory / f".{entry.digest}.fresh-{coming}-{secrets.token_hex(4)}"
        with _locked(self._directory / ".room.lock", fcntl.LOCK_EX):
            held = coming + sum(self._reserved(left) for left in self._directory.glob(".*.fresh-*"))
            whole = [p for p in self._directory.iterdir() if not p.name.startswith(".")]
            sizes = {path.name: _size(path) for path in whole}
            held += sum(sizes.values())
            for name in sorted(sizes, key=self._last_used):
                if held > self._limit and self._evict(name):
                    held -= sizes[name]
            if held > self._limit:
                log.warning(
                    "open bundles hold %d bytes more than the cache may", held - self._limit
                )
            fresh.mkdir()
        return fresh

    def _reserved(self, fresh: Path) -> int:
        """The bytes that a filler at work will need; what a killed one has left is removed."""
        with _locked(self._beside(fresh.name[1:65], "lock"), fcntl.LOCK_EX | fcntl.LOCK_NB) as mine:
            if mine:
                shutil.rmtree(fresh, ignore_errors=True)
                return 0
        return int(fresh.name.split("-")[1])

    def _last_used(self, name: str) -> int:
        try:
            return self._beside(name, "use").stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def _evict(self, name: str) -> bool:
        """False while some replica has it open. A killed one has not: its locks ended with it."""
        use = self._beside(name, "use")
        with _locked(use, fcntl.LOCK_EX | fcntl.LOCK_NB) as mine:
            if mine:
                gone = self._directory / f".{name}.fresh-0-{secrets.token_hex(4)}"
                (self._directory / name).rename(gone)  # at once: nobody finds half a bundle
                shutil.rmtree(gone, ignore_errors=True)
                self._beside(name, "lock").unlink(missing_ok=True)  # only users of it lock it
                use.unlink(missing_ok=True)
        return mine


@contextlib.contextmanager
def _locked(path: Path, how: int) -> Iterator[bool]:
    """Hold a file lock; False, with LOCK_NB, when another holds it."""
    handle = _take(path, how)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def _take(path: Path, how: int) -> int | None:
    """A descriptor that holds a lock on the file of this name; None if it could not be had."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, how)
        except BlockingIOError:
            os.close(handle)
            return None
        if os.fstat(handle).st_nlink:
            return handle
        os.close(handle)  # deleted between the two steps: the name is another file's now


def _intact(place: Path, entry: VersionEntry) -> bool:
    return all(_matches(place / file.path, file) for file in entry.files)


def _matches(path: Path, file: FileEntry) -> bool:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256
    except OSError:
        return False


def _size(place: Path) -> int:
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
