"""Hosting: which versions are open on this replica, and how they come and go.

    table ──wanted──▶ fetch + verify ──▶ room ──▶ open + warm ──▶ publish      (loader threads)
    left the table, or others need the room ──▶ retired ──last user gone──▶ closed

Versions that an alias names, gives traffic to, or that are staged are opened before the table that
says so is published, as far as they fit beside what is in use; others open on first use. Who has to
leave for them is the business of `rooms`. Loader threads have a low priority: opening a model must
not slow those that answer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from plaza_core.clock import Clock
from plaza_core.errors import NotCertified, PlazaError, Unavailable
from plaza_core.ids import ModelId, VersionKey
from plaza_core.manifest import Manifest
from plaza_core.running import Family, Runner
from plaza_core.table import HubTable, ModelEntry, VersionEntry
from plaza_serving.dataplane.bundles import Bundles
from plaza_serving.dataplane.catalogue import kept_warm, wanted_warm
from plaza_serving.dataplane.certified import OPEN, Gate
from plaza_serving.dataplane.hosted import Hosted
from plaza_serving.dataplane.lane import Lane
from plaza_serving.dataplane.memory import Memory
from plaza_serving.dataplane.opening import Opening
from plaza_serving.dataplane.rooms import Rooms
from plaza_serving.pools import Elsewhere

log = logging.getLogger(__name__)

_T = TypeVar("_T")
MakeLane = Callable[[Runner, Family, Manifest], Lane]

_RETRY_NS = 5_000_000_000
_LOADER_NICE = 19
"""The lowest: a replica starts at 10, and only root may go back up."""
_LOOK_AGAIN_S = 1.0


class _NoRoomAhead(Exception):
    """Opening it now would make others leave, and nobody has asked for it yet."""


@dataclass(frozen=True, slots=True)
class _Failure:
    error: PlazaError
    retry_ns: int


class ModelHost:
    """All methods run on the event loop; opening happens on its loader threads."""

    def __init__(
        self,
        *,
        bundles: Bundles,
        how: Opening,
        make_lane: MakeLane,
        budget_bytes: int,
        clock: Clock,
        loaders: int = 2,
        gate: Gate = OPEN,
        idle_ns: int = 0,
    ) -> None:
        self._bundles = bundles
        self._how = how
        self._gate = gate
        self._make_lane = make_lane
        self._memory = Memory[int](budget_bytes)
        self._rooms = Rooms(self._memory, clock, self._retire)
        self._clock = clock
        self._idle_ns = idle_ns
        self._loaders = ThreadPoolExecutor(loaders, "loader", initializer=_step_back)
        self._closer = ThreadPoolExecutor(1, "closer", initializer=_step_back)
        self._open: dict[VersionKey, Hosted] = {}
        self._opening: dict[VersionKey, asyncio.Task[Hosted]] = {}
        self._failed: dict[VersionKey, _Failure] = {}
        self._warm: set[VersionKey] = set()
        self._kept: set[VersionKey] = set()
        self._former: dict[ModelId, VersionKey] = {}
        """Of each model the version that was last wanted warm and is not now."""
        self._resting: set[VersionKey] = set()

    def get(self, key: VersionKey) -> Hosted | None:
        """The open version, marked as used now."""
        hosted = self._open.get(key)
        if hosted is None:
            return None
        if hosted.ended:
            self._retire(hosted)
            return None
        self._memory.used(hosted.room)
        hosted.touched = True
        return hosted

    async def demand(self, key: VersionKey, entry: VersionEntry) -> Hosted:
        """The version, opened if need be. Loads of distinct versions run side by side.

        Raises Unavailable (or the load's own error) at once while a recent failure is remembered.
        """
        while True:
            try:
                return await self._get_open(key, entry, ahead=False)
            except _NoRoomAhead:
                continue  # it had begun as an opening ahead of use; now somebody needs it

    async def _get_open(self, key: VersionKey, entry: VersionEntry, *, ahead: bool) -> Hosted:
        hosted = self.get(key)
        if hosted is not None:
            return hosted
        failure = self._failed.get(key)
        if failure is not None and self._clock.monotonic_ns() < failure.retry_ns:
            raise failure.error
        task = self._opening.get(key)
        if task is None:
            task = asyncio.create_task(self._load(key, entry, ahead=ahead))
            self._opening[key] = task
        return await asyncio.shield(task)

    def want(self, key: VersionKey, entry: VersionEntry) -> PlazaError | None:
        """Open it in the background; what kept it from being opened a moment ago, if anything."""
        failure = self._failed.get(key)
        due = failure is None or self._clock.monotonic_ns() >= failure.retry_ns
        if due and key not in self._opening and key not in self._open:
            task = self._opening[key] = asyncio.create_task(self._load(key, entry, ahead=False))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return None if failure is None else failure.error

    async def prepare(self, table: HubTable) -> None:
        """Open what `table` wants warm; failures are remembered, not raised.

        The successor of a version that is open is opened in any case, so that nobody waits for it
        when it takes over; what is only wanted ahead is opened as long as nobody must leave for it.
        """
        self._how.learn(table)
        known = {model for model, _ in self._open}
        ahead = self._memory.free
        left: dict[asyncio.Task[Hosted], VersionKey] = {}
        for key, model, version in self._missing(table):
            if model.id in known:
                self._use_all(model)  # else the one it takes over from may be who must leave
                left[asyncio.create_task(self.demand(key, version))] = key
                continue
            ahead -= sum(file.size for file in version.files)
            if ahead >= 0:
                opening = self._get_open(key, version, ahead=True)
                left[asyncio.create_task(opening)] = key
        # What waits long for a room may wait for the very version that it takes over from: that one
        # is left only when the table that says so is published.
        while left and not self._rooms.stuck(left.values()):
            done, _ = await asyncio.wait(
                left, timeout=_LOOK_AGAIN_S, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                del left[task]
                error = task.exception()
                if error is not None and not isinstance(error, PlazaError | _NoRoomAhead):
                    raise error
        for task in left:
            task.cancel()  # opening goes on without it

    def _missing(self, table: HubTable) -> list[tuple[VersionKey, ModelEntry, VersionEntry]]:
        """What is wanted warm, may be opened and is not open."""
        for key in [k for k, f in self._failed.items() if isinstance(f.error, NotCertified)]:
            del self._failed[key]  # this table may bring its certificate
        self._resting -= {(m.id, v.version) for m in table.models for v in kept_warm(m)}
        wanted = (((m.id, v.version), m, v) for m in table.models for v in wanted_warm(m))
        return [
            (key, model, version)
            for key, model, version in wanted
            if key not in self._open
            and key not in self._resting
            and not self._gate.refusal(version)
        ]

    def _use_all(self, model: ModelEntry) -> None:
        for version in model.versions:
            self.get((model.id, version.version))

    def keep_only(self, table: HubTable) -> None:
        """Retire what the published `table` has no more use for.

        Versions that it no longer has go at once. One that it no longer wants warm stays open for
        a roll-back, until another of its model takes its place or the room is needed.
        """
        present = {(m.id, v.version) for m in table.models for v in m.versions}
        warm = {(m.id, v.version) for m in table.models for v in wanted_warm(m)}
        for key in sorted(self._warm - warm):
            before = self._former.get(key[0])
            if before is not None and before not in warm and before != key:
                self._retire_open(before)
            self._former[key[0]] = key
        self._warm = warm
        self._kept = {(m.id, v.version) for m in table.models for v in kept_warm(m)}
        for key in self._open.keys() - present:
            self._retire_open(key)
        for hosted in list(self._open.values()):
            if hosted.home != self._how.home(hosted.key[0]):
                self._retire(hosted)  # vouched for, or no longer: the next use opens it elsewhere
        self._resting &= warm
        self._former = {m: key for m, key in self._former.items() if key in present}
        self._failed = {k: f for k, f in self._failed.items() if k in present}

    def sweep(self) -> None:
        """Let go of versions whose process has ended, or that nobody used for long. Where a table
        wants them warm they rest until somebody asks for them: a new one alone does not bring them
        back."""
        now = self._clock.monotonic_ns()
        for hosted in list(self._open.values()):
            if hosted.ended:
                self._retire(hosted)
            elif hosted.idle(now, self._idle_ns) and hosted.key not in self._kept:
                self._resting |= {hosted.key} & self._warm
                self._retire(hosted)

    def _retire_open(self, key: VersionKey) -> None:
        if (hosted := self._open.get(key)) is not None:
            self._retire(hosted)

    def ready(self) -> dict[str, list[int]]:
        """Model id -> open versions, for the heartbeat."""
        out: dict[str, list[int]] = {}
        for model, version in sorted(self._open):
            out.setdefault(model, []).append(version)
        return out

    def standing(self, key: VersionKey) -> Literal["open", "opening"] | PlazaError | None:
        """What keeps a version from being open, if anything; None: nobody has asked for it."""
        if key in self._open:
            return "open"
        failure = self._failed.get(key)
        return "opening" if key in self._opening else None if failure is None else failure.error

    def failed(self) -> dict[str, str]:
        return {f"{m}/{v}": f.error.code for (m, v), f in self._failed.items()}

    async def close(self) -> None:
        for task in self._opening.values():
            task.cancel()
        for hosted in list(self._open.values()):
            self._retire(hosted)
        self._loaders.shutdown(wait=False, cancel_futures=True)

    def elsewhere(self, key: VersionKey, entry: VersionEntry) -> Elsewhere | None:
        """The pools that serve a version which this one must not open."""
        return None if key in self._open else self._gate.elsewhere(entry)

    async def _load(self, key: VersionKey, entry: VersionEntry, *, ahead: bool) -> Hosted:
        try:
            hosted = await self._open_in_room(key, entry, ahead=ahead)
        except _NoRoomAhead:
            raise
        except PlazaError as error:
            self._remember(key, error)
            raise
        except Exception as error:
            log.exception("opening %s/%s failed", *key)
            refusal = Unavailable("this version cannot be opened here", input="model")
            self._remember(key, refusal)
            raise refusal from error
        finally:
            self._opening.pop(key, None)
        self._failed.pop(key, None)
        self._resting.discard(key)
        return hosted

    async def _open_in_room(self, key: VersionKey, entry: VersionEntry, *, ahead: bool) -> Hosted:
        if refusal := self._gate.refusal(entry):
            raise refusal
        directory = await self._on_loader(self._bundles.fetch, entry)
        try:
            await self._on_loader(self._gate.admit, key[0], entry, directory)
            room = await self._find_room(key, entry, directory, ahead=ahead)
            begun = self._clock.monotonic_ns()
            try:
                hosted = await self._on_loader(self._open_now, key, entry, directory, room)
            except BaseException:
                self._rooms.give_back(room)
                raise
        except BaseException:
            self._bundles.release(entry)
            raise
        self._open[key] = hosted
        self._rooms.enter(hosted)
        self._memory.opened(room, (self._clock.monotonic_ns() - begun) // 1000)
        return hosted

    async def _find_room(
        self, key: VersionKey, entry: VersionEntry, directory: Path, *, ahead: bool
    ) -> int:
        size = await self._on_loader(self._how.weigh, key[0], entry, directory)
        if ahead and size > self._memory.free:
            raise _NoRoomAhead
        return await self._rooms.take(key, size)

    async def _on_loader(self, do: Callable[..., _T], *arguments: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._loaders, do, *arguments)

    def _remember(self, key: VersionKey, error: PlazaError) -> None:
        log.warning("version %s/%s is not available here: %s", *key, error.message)
        self._failed[key] = _Failure(error, self._clock.monotonic_ns() + _RETRY_NS)

    def _open_now(self, key: VersionKey, entry: VersionEntry, directory: Path, room: int) -> Hosted:
        runner, family, home = self._how.open(key[0], entry, directory)
        lane = self._make_lane(runner, family, entry.manifest)
        lane.outside = home is not None
        return Hosted(
            key=key,
            manifest=entry.manifest,
            signature=runner.signature,
            runner=runner,
            lane=lane,
            home=home,
            room=room,
            release=partial(self._bundles.release, entry),
            used_ns=self._clock.monotonic_ns(),
            on_idle=self._on_idle,
            labels=tuple(getattr(family, "labels", ())),
        )

    def _retire(self, hosted: Hosted) -> None:
        """Nobody new comes in; closed, and its room free, as soon as nobody is inside."""
        hosted.retired = True
        del self._open[hosted.key]
        if not hosted.users:
            self._on_idle(hosted)

    def _on_idle(self, hosted: Hosted) -> None:
        if hosted.retired:
            self._rooms.leave(hosted)
            # Off the loop: freeing a large session takes milliseconds.
            self._closer.submit(hosted.close)
        self._rooms.look_again()


def _step_back() -> None:
    """Of a loader thread: those who answer requests go first."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOADER_NICE)
