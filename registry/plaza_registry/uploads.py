"""Uploads: bundles that arrive file by file, before they are anything.

    begin ──▶ open/DIR ──put, put, …──▶ open/DIR ──claim──▶ claimed/DIR ──▶ gone
                  └──────────── abort, or no activity for an hour ────────────▶ gone

An upload belongs to the key that began it; for everybody else it does not exist. A claim moves the
directory in one rename, so no late write can change what is being examined. All state is on disk,
and so a restart loses nothing but the writes that were under way.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from plaza_core.clock import Clock
from plaza_core.errors import BadRequest, NotFound, PayloadTooLarge, QuotaExceeded
from plaza_core.ids import Digest, RandomBytes, new_id
from plaza_core.principal import TenantScope
from plaza_core.table import FileEntry
from plaza_registry.bundle import BundleLimits, valid_path

_ID = re.compile(r"up_[0-9A-Za-z]{17}")
_OWNER = "owner.json"
_FILES = "files"
_PARTS = "parts"


class StagedFile:
    """One file being received: `write` counts, hashes and stores. Not thread-safe by itself."""

    def __init__(self, file: BinaryIO, path: str, spend: Allowance) -> None:
        self._file = file
        self._path = path
        self._spend = spend
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, chunk: bytes) -> None:
        """Raises PayloadTooLarge before the bundle's limit is passed."""
        self._spend.take(len(chunk))
        self._size += len(chunk)
        self._digest.update(chunk)
        self._file.write(chunk)

    def entry(self) -> FileEntry:
        """What has been written so far."""
        digest = Digest(self._digest.hexdigest())
        return FileEntry(path=self._path, size=self._size, sha256=digest)


class Allowance:
    """Bytes that one upload may still receive, exact under concurrent writers."""

    def __init__(self, left: int) -> None:
        self._left = left
        self._lock = threading.Lock()

    def take(self, count: int) -> None:
        with self._lock:
            if count > self._left:
                raise PayloadTooLarge("the bundle is larger than allowed")
            self._left -= count

    def give_back(self, count: int) -> None:
        with self._lock:
            self._left += count


class Uploads:
    """Staging area in one directory; one process uses it at a time. Every method blocks."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        *,
        limits: BundleLimits | None = None,
        random: RandomBytes = os.urandom,
        open_per_key: int = 8,
        expire_after_s: float = 3600.0,
    ) -> None:
        self._open = directory / "open"
        self._claimed = directory / "claimed"
        for folder in (self._open, self._claimed):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._clock = clock
        self._limits = limits or BundleLimits()
        self._random = random
        self._open_per_key = open_per_key
        self._expire_after_us = round(expire_after_s * 1e6)
        self._lock = threading.Lock()
        self._allowances: dict[str, Allowance] = {}

    def begin(self, scope: TenantScope) -> str:
        """A new upload of this key. Raises QuotaExceeded when too many are open."""
        with self._lock:
            mine = sum(_owner(folder) == _identity(scope) for folder in self._open.iterdir())
            if mine >= self._open_per_key:
                raise QuotaExceeded(f"{mine} uploads of this key are open; commit or abort one")
            upload = new_id("up", self._random)
            folder = self._open / upload
            (folder / _FILES).mkdir(parents=True, mode=0o700)
            (folder / _PARTS).mkdir(mode=0o700)
            (folder / _OWNER).write_text(json.dumps(_identity(scope)))
            self._touch(folder)
        return upload

    @contextmanager
    def receive(self, scope: TenantScope, upload: str, path: str) -> Iterator[StagedFile]:
        """Write one file; it becomes part of the upload when the block ends without an error.

        A path that was sent before is replaced. Raises NotFound, InvalidBundle for an unsafe path,
        PayloadTooLarge, QuotaExceeded for too many files.
        """
        valid_path(path)
        folder = self._find(scope, upload)
        allowance = self._allowance(folder)
        target = folder / _FILES / path
        if not target.exists() and _count(folder) >= self._limits.files:
            raise QuotaExceeded(f"a bundle has {self._limits.files} files at most", input=path)
        try:
            handle, name = tempfile.mkstemp(dir=folder / _PARTS)
        except FileNotFoundError:  # claimed since it was found
            raise NotFound("the upload has ended", input="upload") from None
        part = Path(name)
        staged: StagedFile | None = None
        try:
            with os.fdopen(handle, "wb") as file:
                staged = StagedFile(file, path, allowance)
                yield staged
            replaced = self._place(folder, part, target)
        except BaseException:
            part.unlink(missing_ok=True)
            if staged is not None:
                allowance.give_back(staged.entry().size)
            raise
        allowance.give_back(replaced)

    def put(self, scope: TenantScope, upload: str, path: str, chunks: Iterable[bytes]) -> FileEntry:
        """`receive` for a body that is at hand."""
        with self.receive(scope, upload, path) as staged:
            for chunk in chunks:
                staged.write(chunk)
        return staged.entry()

    @contextmanager
    def claim(self, scope: TenantScope, upload: str) -> Iterator[Path]:
        """The directory of a finished upload, which from here on nobody can change.

        It is consumed on success and by a BadRequest (the bundle itself is wrong). After any other
        error the upload is open again, so that the commit may be repeated.
        """
        folder = self._find(scope, upload)
        claimed = self._claimed / upload
        try:
            folder.rename(claimed)
        except OSError:
            raise NotFound("no such upload", input="upload") from None
        try:
            yield claimed / _FILES
        except BadRequest:
            self._discard(claimed)
            raise
        except BaseException:
            claimed.rename(folder)
            raise
        self._discard(claimed)

    def abort(self, scope: TenantScope, upload: str) -> None:
        """Forget an upload. Raises NotFound."""
        with self.claim(scope, upload):
            pass

    def expire(self) -> int:
        """Delete what nobody has touched for long enough; return how many. Call now and then."""
        before = self._clock.unix_us() - self._expire_after_us
        expired = 0
        for folder in (*self._open.iterdir(), *self._claimed.iterdir()):
            if folder.stat().st_mtime_ns // 1000 < before:
                self._discard(folder)
                expired += 1
        return expired

    def _find(self, scope: TenantScope, upload: str) -> Path:
        folder = self._open / upload
        if not _ID.fullmatch(upload) or _owner(folder) != _identity(scope):
            raise NotFound("no such upload", input="upload")
        return folder

    def _allowance(self, folder: Path) -> Allowance:
        with self._lock:
            if folder.name not in self._allowances:
                used = sum(p.stat().st_size for p in _files(folder))
                self._allowances[folder.name] = Allowance(self._limits.total_bytes - used)
            return self._allowances[folder.name]

    def _place(self, folder: Path, part: Path, target: Path) -> int:
        """Move a finished part to its name; return the bytes that it replaced."""
        try:
            with self._lock:
                target.parent.mkdir(mode=0o700, exist_ok=True)
                replaced = target.stat().st_size if target.exists() else 0
                part.replace(target)
                self._touch(folder)
        except FileNotFoundError:
            raise NotFound("the upload has ended", input="upload") from None
        return replaced

    def _touch(self, folder: Path) -> None:
        now = self._clock.unix_us() * 1000
        os.utime(folder, ns=(now, now))

    def _discard(self, folder: Path) -> None:
        with self._lock:
            self._allowances.pop(folder.name, None)
        shutil.rmtree(folder)


def _identity(scope: TenantScope) -> list[str | None]:
    return [scope.organisation, scope.actor]


def _owner(folder: Path) -> list[str | None] | None:
    try:
        owner: list[str | None] = json.loads((folder / _OWNER).read_text())
    except FileNotFoundError:
        return None
    return owner


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in (folder / _FILES).rglob("*") if path.is_file())


def _count(folder: Path) -> int:
    return sum(1 for _ in _files(folder))
