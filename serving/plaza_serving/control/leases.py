"""The desk where replicas exchange leases: the bank's word, after a recall where it would be no.

A replica that dies keeps what it held until its spool is in the ledger; then `gone` gives back the
rest. Exchanges of several replicas run side by side: each is one transaction of the bank, whose row
locks order them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from plaza_core.budget import Grant, LeaseAsk, LeaseAsks, Recall
from plaza_core.clock import Clock
from plaza_core.ports import LeaseBank
from plaza_serving.control.recalls import Recalls

log = logging.getLogger(__name__)


class LeaseDesk:
    """`live` says how many replicas share the budgets now."""

    def __init__(self, bank: LeaseBank, clock: Clock, live: Callable[[], int]) -> None:
        self._bank = bank
        self._live = live
        self._recalls = Recalls(clock)

    async def exchange(self, asks: LeaseAsks, *, recall: int | None = None) -> list[Grant]:
        """One grant per ask, in order. `recall`: these are a replica's returns to that recall."""
        grants = await self._ask(asks.replica, asks.asks)
        if recall is not None:
            self._recalls.answered(asks.replica, recall)
            return grants
        short = {grant.short_of for grant in grants if grant.short_of is not None}
        if not short:
            return grants
        holders = await asyncio.to_thread(self._bank.holders, short)
        if not await self._recalls.call(short, holders):
            return grants
        again = [
            (place, _rest(ask, grant))
            for place, (ask, grant) in enumerate(zip(asks.asks, grants, strict=True))
            if grant.short_of is not None
        ]
        second = await self._ask(asks.replica, [ask for _, ask in again])
        for (place, _), grant in zip(again, second, strict=True):
            grants[place] = grant
        return grants

    async def recalls(self, replica: str, after: int, wait_s: float) -> Recall | None:
        """What is recalled after number `after`, within `wait_s`."""
        return await self._recalls.poll(replica, after, wait_s)

    def forget(self, replica: str) -> None:
        """It is dead: nobody waits for its answer to a recall. On the loop."""
        self._recalls.forget(replica)

    def gone(self, replica: str) -> None:
        """All usage of a dead replica is in the ledger. Blocks; any thread."""
        back = self._bank.close(replica)
        if back:
            log.info("leases of a replica that is gone: %d units came back", back)

    def close(self) -> None:
        """End all long polls."""
        self._recalls.close()

    async def _ask(self, replica: str, asks: Sequence[LeaseAsk]) -> list[Grant]:
        if not asks:
            return []
        live = max(1, self._live())
        return await asyncio.to_thread(self._bank.exchange, replica, asks, live=live)


def _rest(ask: LeaseAsk, grant: Grant) -> LeaseAsk:
    """What is still needed after an answer, asked by one who has heard that answer."""
    lease = grant.lease or ask.lease
    granted = max(ask.granted, grant.granted)
    need = max(1, ask.need - (granted - ask.granted))
    return ask.model_copy(update={"lease": lease, "granted": granted, "need": need, "wish": need})
