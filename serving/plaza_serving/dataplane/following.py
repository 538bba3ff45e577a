"""Following control: the hub table as it changes, and a heartbeat every second.

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


async def beat_forever(
    beat: Beat, describe: Callable[[], Heartbeat], share: Callable[[int], None]
) -> None:
    """Report every second; learn how many replicas share the rates. Until cancelled."""
    while True:
        try:
            reply = await beat(describe())
            share(reply.live_replicas)
        except PlazaError as error:
            log.debug("no heartbeat: %s", error.message)
        await asyncio.sleep(1)
