"""The usage spool: one file per replica incarnation, written before an answer leaves.

    append ──▶ state/spool/<replica>-<n>.log ──ship (every second)──▶ control ──▶ ledger
    owner dies ──▶ its lock falls ──▶ control adopts its files: ingest all, close its leases, delete

Shipping the same line twice changes nothing (the ledger is unique by organisation and request), so
a position need not survive a crash. A line without its newline was never acknowledged and is
ignored. A write that fails is cut off again and nothing of it counts.

From its start to its end a replica has at least one named, locked file here, even if it never wrote
a line: while there is one, it may hold leases, and nobody else decides that it is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from plaza_core.errors import LedgerUnavailable, PlazaError
from plaza_core.inference import UsageRecord
from plaza_core.usage_wire import from_lines, to_lines

log = logging.getLogger(__name__)

Ship = Callable[[bytes], object]
"""Takes whole lines; returns once they are in the ledger. Raises Unavailable."""
Ingest = Callable[[Sequence[UsageRecord]], object]
Gone = Callable[[str], object]
"""Told the name of a dead replica once all its usage is ingested. May be told twice."""

_ROTATE_BYTES = 8 << 20
_FULL_BYTES = 64 << 20
_SHIP_BYTES = 2 << 20
_SHIP_EVERY_S = 1.0
"""A larger portion costs the ledger less per record: 43 µs in hundreds, 10 µs in thousands."""
_ADOPT_RECORDS = 5_000


class Spool:
    """UsageSink of one replica. `append` is called by workers and on the loop, shipping by a thread
    of its own."""

    def __init__(self, directory: Path, replica: str, ship: Ship) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory = directory
        self._replica = replica
        self._send = ship
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._part = 0
        self._shipped = 0
        self._size = 0
        self._file = self._begin()
        self._thread = threading.Thread(target=self._ship_forever, name="spool", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def append(self, records: Sequence[UsageRecord]) -> None:
        """Raises LedgerUnavailable; then nothing was recorded."""
        data = to_lines(records)
        with self._lock:
            if self._size - self._shipped > _FULL_BYTES:
                raise LedgerUnavailable("usage waits to be shipped", retry_after=5)
            try:
                written = os.write(self._file, data)
                if written != len(data):
                    raise OSError("short write")  # noqa: TRY301 one place to undo a torn line
            except OSError as error:
                os.ftruncate(self._file, self._size)
                log.exception("the spool cannot be written")
                raise LedgerUnavailable("usage cannot be recorded now", retry_after=5) from error
            self._size += written

    def ship(self) -> bool:
        """Ship one portion; True if there is more. Raises Unavailable when control is away."""
        with self._lock:
            file, start, end = self._file, self._shipped, self._size
        if start == end:
            self._rotate()
            return False
        chunk = os.pread(file, min(end - start, _SHIP_BYTES), start)
        chunk = chunk[: chunk.rfind(b"\n") + 1]
        self._send(chunk)
        with self._lock:
            self._shipped = start + len(chunk)
        return self._shipped < end

    def close(self, *, leases_returned: bool = True) -> None:
        """Ship what can be shipped and leave. What remains is adopted by control: usage that could
        not be shipped, and the replica's leases where it could not return them."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        try:
            while self.ship():
                pass
        except PlazaError as error:
            log.warning("usage stays in the spool: %s", error.message)
        else:
            if leases_returned:
                self._path.unlink(missing_ok=True)
        os.close(self._file)

    def _begin(self) -> int:
        """A new file, locked before it has the name by which an adopter could find it."""
        self._path = self._directory / f"{self._replica}-{self._part}.log"
        fresh = self._path.with_suffix(".new")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND
        file = os.open(fresh, flags, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        fresh.rename(self._path)
        return file

    def _rotate(self) -> None:
        """Start a new file once a large one is shipped whole."""
        with self._lock:
            if self._size < _ROTATE_BYTES or self._shipped != self._size:
                return
            old_file, old_path = self._file, self._path
            self._part += 1
            self._file = self._begin()
            self._size = self._shipped = 0
        old_path.unlink()  # takes as long as the file is large: nobody waits for it
        os.close(old_file)

    def _ship_forever(self) -> None:
        while not self._stop.wait(_SHIP_EVERY_S):
            try:
                while self.ship():
                    pass
            except PlazaError as error:
                log.warning("usage waits: %s", error.message)
                self._stop.wait(0.5)


def adopt(directory: Path, ingest: Ingest, gone: Gone = lambda _: None) -> int:
    """Ingest and delete spool files of dead replicas; return how many records they held.

    A replica's files are adopted together or not at all. Whoever has all their locks owns them, so
    two adopters never disturb one another.
    """
    replicas = {path.name.rpartition("-")[0] for path in directory.glob("*.log")}
    return sum(_adopt(directory, replica, ingest, gone) for replica in sorted(replicas))


def _adopt(directory: Path, replica: str, ingest: Ingest, gone: Gone) -> int:
    with contextlib.ExitStack() as locks:
        paths = _files_of(directory, replica)
        if not all(_locked(path, locks) for path in paths) or not paths:
            return 0
        if _files_of(directory, replica) != paths:
            return 0  # its owner has just begun another
        count = 0
        for path in paths:
            records = list(_whole_lines(path))
            for start in range(0, len(records), _ADOPT_RECORDS):
                ingest(records[start : start + _ADOPT_RECORDS])
            count += len(records)
        gone(replica)
        for path in paths:
            path.unlink(missing_ok=True)
        return count


def _files_of(directory: Path, replica: str) -> list[Path]:
    return sorted(p for p in directory.glob("*.log") if p.name.rpartition("-")[0] == replica)


def _locked(path: Path, locks: contextlib.ExitStack) -> bool:
    """Lock a file until `locks` ends; False while its owner lives, or has just removed it."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    locks.callback(os.close, file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _whole_lines(path: Path) -> Iterator[UsageRecord]:
    for line in path.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            return
        try:
            yield from from_lines(line)
        except PlazaError:
            log.exception("a foreign line in %s is left out", path.name)
