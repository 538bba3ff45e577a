"""Following control: the hub table as it changes, and a heartbeat every second or when one is due.

    fetch ──▶ keys and limits take effect at once
          └─▶ new versions open and warm ──▶ names are published

A promotion therefore never meets a cold model.

The last table is kept on the node, so that a replica that starts while control is away serves what
the node served before.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from pydantic import ValidationError

from plaza_core.clock import Clock
from plaza_core.errors import PlazaError, Unavailable
from plaza_core.ports import TableSource
from plaza_core.table import Heartbeat, HeartbeatReply, HubTable

log = logging.getLogger(__name__)

Admit = Callable[[HubTable], None]
Publish = Callable[[HubTable], Awaitable[None]]
Sleep = Callable[[float], Awaitable[object]]
Beat = Callable[[Heartbeat], Awaitable[HeartbeatReply]]

_FIRST_WAIT_S = 2.0
_AGAIN_S = 0.5
_BEAT_S = 1.0
_SOONEST_S = 0.05


class TableFollower:
    """`admit` takes keys of a new table at once; `publish` opens its versions, then names them."""

    def __init__(
        self,
        source: TableSource,
        *,
        admit: Admit,
        publish: Publish,
        keep_at: Path | None,
        wait_s: float,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._source = source
        self._admit = admit
        self._publish = publish
        self._keep_at = keep_at
        self._wait_s = wait_s
        self._sleep = sleep
        self._latest: HubTable | None = None
        self._news = asyncio.Event()

    async def start(self) -> None:
        """Return once a first table is published; without control, the kept one."""
        table = await self._first()
        await self._take(table)
        self._news.clear()
        await self._publish(table)

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._fetch_forever())
            tasks.create_task(self._publish_forever())

    async def _first(self) -> HubTable:
        patience = _FIRST_WAIT_S
        while True:
            try:
                table = await self._source.fetch(None, 0)
                if table is not None:
                    return table
            except Unavailable:
                kept = self._kept()
                if patience <= 0 and kept is not None:
                    log.warning("control is away: serving the table kept on this node")
                    return kept
            await self._sleep(_AGAIN_S)
            patience -= _AGAIN_S

    async def _fetch_forever(self) -> None:
        while True:
            known = self._latest.version if self._latest else None
            try:
                table = await self._source.fetch(known, self._wait_s)
            except PlazaError as error:
                log.warning("the table cannot be fetched: %s", error.message)
                await self._sleep(_AGAIN_S)
                continue
            if table is not None:
                await self._take(table)

    async def _publish_forever(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            if self._latest is not None:
                await self._publish(self._latest)

    async def _take(self, table: HubTable) -> None:
        self._admit(table)
        self._latest = table
        await asyncio.to_thread(self._keep, table)
        self._news.set()

    def _keep(self, table: HubTable) -> None:
        if self._keep_at is None:
            return
        fresh = self._keep_at.with_suffix(f".{os.getpid()}")
        try:
            self._keep_at.parent.mkdir(parents=True, exist_ok=True)
            fresh.touch(mode=0o600)
            fresh.write_text(table.model_dump_json(by_alias=True))
            fresh.replace(self._keep_at)
        except OSError:
            log.exception("the table cannot be kept on this node")

    def _kept(self) -> HubTable | None:
        if self._keep_at is None:
            return None
        with contextlib.suppress(OSError, ValidationError):
            return HubTable.model_validate_json(self._keep_at.read_bytes())
        return None


class Beats:
    """Heartbeats of one replica, one at a time: control relies on a report being sent only after
    the answer to the last one was heeded or given up."""

    def __init__(
        self,
        beat: Beat,
        describe: Callable[[], Heartbeat],
        heed: Callable[[HeartbeatReply, int], None],
        due: asyncio.Event,
        clock: Clock,
    ) -> None:
        self._beat = beat
        self._describe = describe
        self._heed = heed
        self._due = due
        self._clock = clock

    async def once(self) -> None:
        """Report and heed the answer; that control is away is no error."""
        self._due.clear()
        sent_ns = self._clock.monotonic_ns()
        try:
            self._heed(await self._beat(self._describe()), sent_ns)
        except PlazaError as error:
            log.debug("no heartbeat: %s", error.message)

    async def forever(self) -> None:
        """Every second, and soon after `due` is set. Until cancelled."""
        while True:
            await asyncio.sleep(_SOONEST_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_BEAT_S - _SOONEST_S):
                    await self._due.wait()
            await self.once()
