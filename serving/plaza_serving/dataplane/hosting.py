"""Hosting: which versions are open on this replica, and how they come and go.

    table ──wanted──▶ fetch + verify ──▶ open + warm ──▶ publish        (loader threads)
    left the table, or over the byte budget ──▶ retired ──last user gone──▶ closed

Versions that an alias names, gives traffic to, or that are staged are opened before the table that
says so is published; others open on first use. Over the budget the least recently used idle version
leaves, never one in use.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from plaza_core.clock import Clock
from plaza_core.errors import InvalidInput, PlazaError, Unavailable
from plaza_core.ids import ModelId
from plaza_core.inference import Call
from plaza_core.manifest import Manifest
from plaza_core.ports import Family, Runner, RunnerFactory
from plaza_core.rollout import VersionState
from plaza_core.table import HubTable, ModelEntry, VersionEntry
from plaza_core.tensors import Signature
from plaza_serving.dataplane.lane import Lane

log = logging.getLogger(__name__)

VersionKey = tuple[ModelId, int]
OpenFamily = Callable[[Path, Manifest], Family]
MakeLane = Callable[[Runner, Family, Manifest], Lane]

_RETRY_NS = 5_000_000_000
_OPEN = frozenset({VersionState.STAGED, VersionState.SERVING})


class Bundles(Protocol):
    """Where verified bundle directories come from; blocks, called on loader threads."""

    def fetch(self, entry: VersionEntry) -> Path: ...


@dataclass(slots=True, eq=False)
class Hosted:
    """One open version. `users` counts requests inside; a retired one closes with its last user."""

    key: VersionKey
    manifest: Manifest
    signature: Signature
    runner: Runner
    lane: Lane
    last_used_ns: int
    users: int = 0
    retired: bool = field(default=False, init=False)

    def check(self, call: Call) -> None:
        """Refuse before admission what the model can never take: a refused request costs nothing.

        Raises InvalidTensor, InvalidInput.
        """
        if call.tensors is not None:
            self.signature.check(dict(call.tensors))
        elif call.family != self.manifest.family:
            raise InvalidInput(
                f"this model is of family '{self.manifest.family}', not '{call.family}'",
                input="model",
            )

    def leave(self) -> None:
        self.users -= 1
        if self.retired and not self.users:
            self.runner.close()

    def retire(self) -> None:
        self.retired = True
        if not self.users:
            self.runner.close()


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
        factory: RunnerFactory,
        open_family: OpenFamily,
        make_lane: MakeLane,
        budget_bytes: int,
        clock: Clock,
        loaders: int = 2,
    ) -> None:
        self._bundles = bundles
        self._factory = factory
        self._open_family = open_family
        self._make_lane = make_lane
        self._budget = budget_bytes
        self._clock = clock
        self._loaders = ThreadPoolExecutor(loaders, thread_name_prefix="loader")
        self._open: dict[VersionKey, Hosted] = {}
        self._opening: dict[VersionKey, asyncio.Task[Hosted]] = {}
        self._failed: dict[VersionKey, _Failure] = {}

    def get(self, key: VersionKey) -> Hosted | None:
        """The open version, marked as used now."""
        hosted = self._open.get(key)
        if hosted is not None:
            hosted.last_used_ns = self._clock.monotonic_ns()
        return hosted

    async def demand(self, key: VersionKey, entry: VersionEntry) -> Hosted:
        """The version, opened if need be. Loads of distinct versions run side by side.

        Raises Unavailable (or the load's own error) at once while a recent failure is remembered.
        """
        hosted = self.get(key)
        if hosted is not None:
            return hosted
        failure = self._failed.get(key)
        if failure is not None and self._clock.monotonic_ns() < failure.retry_ns:
            raise failure.error
        task = self._opening.get(key)
        if task is None:
            task = asyncio.create_task(self._load(key, entry))
            self._opening[key] = task
        return await asyncio.shield(task)

    def want(self, key: VersionKey, entry: VersionEntry) -> PlazaError | None:
        """Open it in the background; what kept it from being opened a moment ago, if anything."""
        failure = self._failed.get(key)
        due = failure is None or self._clock.monotonic_ns() >= failure.retry_ns
        if due and key not in self._opening and key not in self._open:
            task = self._opening[key] = asyncio.create_task(self._load(key, entry))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return None if failure is None else failure.error

    async def prepare(self, table: HubTable) -> None:
        """Open what `table` wants warm; failures are remembered, not raised."""
        wanted = [
            ((model.id, version.version), version)
            for model in table.models
            for warm in [_warm(model)]
            for version in model.versions
            if version.version in warm or version.state in _OPEN
        ]
        results = await asyncio.gather(
            *(self.demand(key, entry) for key, entry in wanted), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, PlazaError):
                raise result

    def keep_only(self, table: HubTable) -> None:
        """Retire versions that are no longer in the table."""
        present = {(m.id, v.version) for m in table.models for v in m.versions}
        for key in [k for k in self._open if k not in present]:
            self._open.pop(key).retire()
        self._failed = {k: f for k, f in self._failed.items() if k in present}

    def ready(self) -> dict[str, list[int]]:
        """Model id -> open versions, for the heartbeat."""
        out: dict[str, list[int]] = {}
        for model, version in sorted(self._open):
            out.setdefault(model, []).append(version)
        return out

    def failed(self) -> dict[str, str]:
        return {f"{m}/{v}": f.error.code for (m, v), f in self._failed.items()}

    async def close(self) -> None:
        for task in self._opening.values():
            task.cancel()
        for hosted in self._open.values():
            hosted.retire()
        self._open.clear()
        self._loaders.shutdown(wait=False, cancel_futures=True)

    async def _load(self, key: VersionKey, entry: VersionEntry) -> Hosted:
        loop = asyncio.get_running_loop()
        try:
            hosted = await loop.run_in_executor(self._loaders, self._open_now, key, entry)
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
        self._open[key] = hosted
        self._make_room(hosted)
        return hosted

    def _remember(self, key: VersionKey, error: PlazaError) -> None:
        log.warning("version %s/%s is not available here: %s", *key, error.message)
        self._failed[key] = _Failure(error, self._clock.monotonic_ns() + _RETRY_NS)

    def _open_now(self, key: VersionKey, entry: VersionEntry) -> Hosted:
        directory = self._bundles.fetch(entry)
        family = self._open_family(directory, entry.manifest)
        runner = self._factory.open(directory, entry.manifest)
        return Hosted(
            key=key,
            manifest=entry.manifest,
            signature=runner.signature,
            runner=runner,
            lane=self._make_lane(runner, family, entry.manifest),
            last_used_ns=self._clock.monotonic_ns(),
        )

    def _make_room(self, newest: Hosted) -> None:
        held = sum(hosted.runner.resident_bytes for hosted in self._open.values())
        idle = sorted(
            (h for h in self._open.values() if not h.users and h is not newest),
            key=lambda h: h.last_used_ns,
        )
        for hosted in idle:
            if held <= self._budget:
                return
            held -= hosted.runner.resident_bytes
            del self._open[hosted.key]
            hosted.retire()


def _warm(model: ModelEntry) -> set[int]:
    """Versions that answer, or compute too, under an alias."""
    splits = (split.versions() for split in model.splits.values())
    return set(model.aliases.values()).union(*splits)
