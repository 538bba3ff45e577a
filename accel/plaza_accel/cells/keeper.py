"""The keeper: starts cells, watches them, and counts their crashes.

One thread of its own starts every child, because the kernel kills a child with the thread that
started it, and because a child inherits that thread's priority: loader threads have the lowest.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

from plaza_accel.cells.cell import UNCONFINED, Cell, start
from plaza_accel.cells.documents import Vocabulary
from plaza_accel.cells.mailbox import Message, Verb
from plaza_accel.cells.proxy import CellFamily, CellRunner, Line
from plaza_accel.cells.quarantine import Quarantine
from plaza_accel.providers.cpu import CpuProvider
from plaza_core.clock import Clock
from plaza_core.errors import CellDied, DeadlineExceeded, SandboxUnavailable, Unavailable
from plaza_core.ids import OrganisationId
from plaza_core.manifest import Manifest
from plaza_core.table import VersionEntry

log = logging.getLogger(__name__)

WATCH_S: Final = 0.25
CELL_BYTES: Final = 80 << 20
"""What a cell holds before it opens anything: interpreter, numpy, ONNX Runtime. Measured: see
docs/decisions/0025-cells.md."""
_RESERVED: Final = 384 << 20
"""Address space beyond memory in use: libraries, stacks and arenas that are mapped, not touched."""
_PLENTY: Final = 2
"""How many times its estimate a version may take before its cell is ended."""
_IDLE_CPU_NS: Final = 1_000_000_000
"""Processor time that a cell may use between calls before it is held for busy with its own things.
"""


@dataclass(frozen=True, slots=True)
class Point:
    """Where a cell finds the family of a manifest, and what it is told besides."""

    value: str
    """`module:attribute`, as in an entry point."""
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CellOptions:
    channels: int
    """Calls that may be in one cell at once: the replica's worker threads."""
    headroom_bytes: int
    """What a version may take beyond twice its estimate."""
    idle_ns: int
    """Unused for longer, a cell is given back; 0: never."""
    vocabulary: str
    """Module whose dataclasses are payloads and answers of tasks."""
    area_bytes: int = 64 << 20
    """Largest message in one direction."""
    open_ns: int = 60_000_000_000


class CellKeeper:
    """Opens versions in cells of their own. Thread-safe, but for `close`."""

    def __init__(
        self, options: CellOptions, find_family: Callable[[Manifest], Point], clock: Clock
    ) -> None:
        self.quarantine = Quarantine(clock)
        self._options = options
        self._find_family = find_family
        self._vocabulary = Vocabulary.of(options.vocabulary)
        self._clock = clock
        self._cells: dict[Cell, OrganisationId] = {}
        self._wanted: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._keeper = threading.Thread(target=self._keep, name="cells", daemon=True)
        self._keeper.start()

    def weigh(self, directory: Path, entry: VersionEntry) -> int:
        """The most memory that the version's cell may hold; beyond that it is ended."""
        estimate = CpuProvider().weigh(directory, entry.manifest)
        most = max(estimate, entry.resident_bytes)
        return CELL_BYTES + _PLENTY * most + self._options.headroom_bytes

    def open(
        self, directory: Path, entry: VersionEntry, organisation: OrganisationId
    ) -> tuple[CellRunner, CellFamily]:
        """Raises Quarantined, CellDied, SandboxUnavailable; as `RunnerFactory.open`."""
        self.quarantine.check(entry.digest)
        point = self._find_family(entry.manifest)
        cap = self.weigh(directory, entry)
        request = {
            "directory": str(directory.resolve()),
            "manifest": entry.manifest.model_dump(mode="json", by_alias=True),
            "family": point.value,
            "options": dict(point.options),
            "vocabulary": self._options.vocabulary,
            "address_space": cap
            + _RESERVED
            + 2 * self._options.channels * self._options.area_bytes,
        }
        cell = self._start(request, cap, entry, organisation)
        line = Line(cell, entry.manifest, self._vocabulary, self._clock)
        try:
            until_ns = self._clock.monotonic_ns() + self._options.open_ns
            line.ask(Message(verb=Verb.OPEN), until_ns)
        except CellDied:
            if cell.reap(5) == UNCONFINED:
                raise SandboxUnavailable(
                    "this machine cannot confine a model that nobody has vouched for"
                ) from None
            self._crashed(entry, "while it was opened")
            raise
        except DeadlineExceeded:
            cell.end("it took too long to open")
            raise Unavailable("this version takes too long to open", input="model") from None
        except BaseException:
            cell.end("it could not be opened")
            raise
        cell.on_crash = lambda why: self._crashed(entry, why)
        runner = CellRunner(line, entry.manifest, cap, self._options.idle_ns)
        return runner, CellFamily(line, entry.manifest)

    def running(self) -> dict[int, OrganisationId]:
        """Process -> whose version it runs."""
        return {c.pid: owner for c, owner in list(self._cells.items()) if c.ended is None}

    def close(self) -> None:
        """End all cells."""
        self._wanted.put(None)
        self._keeper.join()

    # ── the keeper's thread ──────────────────────────────────────────────────────────────────────
    def _start(
        self,
        request: Mapping[str, Any],
        cap: int,
        entry: VersionEntry,
        organisation: OrganisationId,
    ) -> Cell:
        done: Future[Cell] = Future()

        def begin() -> None:
            try:
                options = self._options
                process, channels = start(request, options.channels, options.area_bytes)
                cell = Cell(process, channels, self._clock, cap_bytes=cap)
            except OSError as error:
                log.exception("a cell could not be started")
                refusal = Unavailable("no process can be started for this version")
                refusal.__cause__ = error
                done.set_exception(refusal)
            else:
                self._cells[cell] = organisation
                log.info("cell %d runs %s of %s", cell.pid, entry.manifest.name, organisation)
                done.set_result(cell)

        self._wanted.put(begin)
        return done.result(timeout=30)

    def _keep(self) -> None:
        while True:
            try:
                begin = self._wanted.get(timeout=WATCH_S if self._cells else None)
            except Empty:
                self._watch()
                continue
            if begin is None:
                break
            begin()
        for cell in self._cells:
            cell.end("the replica ends")
            cell.reap(5)
        self._cells.clear()

    def _watch(self) -> None:
        for cell in list(self._cells):
            try:
                cell.watch(_IDLE_CPU_NS)
                if cell.ended is not None and cell.reap(0) is not None:
                    del self._cells[cell]
            except Exception:
                # Whatever one cell does, the others must be watched.
                log.exception("cell %d could not be watched", cell.pid)

    def _crashed(self, entry: VersionEntry, why: str) -> None:
        if self.quarantine.crashed(entry.digest):
            log.warning("version %s is in quarantine: %s", entry.digest, why)
