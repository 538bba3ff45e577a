"""The broker: keeps this replica's leases filled, with as few words to control as will do.

    somebody waits ─▶ one exchange for all keys that need or tell ─▶ … next when it is back
    every 500 ms   ─▶ spending measured, idle balances given back, busy ones filled ahead
    control recalls ─▶ idle balances below the named nodes given back, and said so

At most one exchange of needs is in flight. What it says is cumulative, so an exchange that is lost,
late or repeated changes nothing; what may have been granted in a lost answer is asked for again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from plaza_core.budget import FOREVER, Grant, Grants, LeaseAsks, Recall
from plaza_core.clock import Clock
from plaza_core.errors import PlazaError, QuotaExceeded, Unavailable
from plaza_core.ids import KeyId
from plaza_serving.dataplane.budgets import Budgets
from plaza_serving.dataplane.purses import Asked, Denial, Purse

log = logging.getLogger(__name__)

TICK_S = 0.5
DENIED_NS = 100_000_000
"""How long a no from control stands for requests that ask for as much."""
_DRY_NS = 2_000_000_000
"""How long nothing is asked ahead of a budget that was short."""
_RECALL_WAIT_S = 20.0
_AGAIN_S = 0.5
_CLOSE_ROUNDS = 3

Sleep = Callable[[float], Awaitable[object]]


class LeaseChannel(Protocol):
    """The way to control; both raise Unavailable when it cannot be reached."""

    async def exchange(self, asks: LeaseAsks, *, recall: int | None = None) -> Grants:
        """One grant per ask, in order. `recall`: these are the returns to that recall."""

    async def recalls(self, replica: str, after: int, wait_s: float) -> Recall | None:
        """All recalls after number `after` as one, or None after `wait_s`."""


class Broker:
    """Made and used on the loop of its budgets."""

    def __init__(
        self,
        budgets: Budgets,
        channel: LeaseChannel,
        *,
        replica: str,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._budgets = budgets
        self._channel = channel
        self._replica = replica
        self._clock = clock
        self._sleep = sleep
        self._pending: dict[KeyId, Purse] = {}
        self._wake = asyncio.Event()
        self._ticked_ns = clock.monotonic_ns()
        self._doubtful = False
        budgets.on_need = self._on_need

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._exchange_forever())
            tasks.create_task(self._tick_forever())
            tasks.create_task(self._recall_forever())

    async def close(self) -> bool:
        """Give everything back; whether control has confirmed all of it.

        Where an exchange was ever lost, control may hold a lease of an old period, or open one yet,
        that nobody here knows of: then the answer is no, and control closes what is left.
        """
        self._budgets.on_need = None
        for purse in self._budgets.purses.values():
            gone = Unavailable("this replica is closing", retry_after=1)
            self._budgets.refuse(purse, purse.waiters, gone)
        self._pending.clear()
        for _ in range(_CLOSE_ROUNDS):
            if not self._still_held() or not await self.exchange():
                break
        return not self._still_held() and not self._doubtful

    def _still_held(self) -> bool:
        """Make all that is not yet given back pending; whether there is any."""
        for purse in self._budgets.purses.values():
            with self._budgets.lock:
                purse.retire()
            if purse.owes or purse.unsure:
                self._pending[purse.branch.key] = purse
        return bool(self._pending)

    def keep_only(self, keys: set[KeyId]) -> None:
        """Keys that are gone, or no longer metered, need their leases no more."""
        for key in [k for k in self._budgets.purses if k not in keys]:
            purse = self._budgets.purses[key]
            with self._budgets.lock:
                purse.retire()
                purse.forget(self._clock.unix_us())
            if purse.past or purse.unsure or purse.waiters:
                self._pending[key] = purse
            else:
                del self._budgets.purses[key]

    # ── exchanging ───────────────────────────────────────────────────────────────────────────────
    async def exchange(self) -> bool:
        """Say all that is pending and apply the answer; False when control did not answer."""
        asked = self._gather()
        return await self._send(asked) if asked else True

    async def _send(self, asked: list[Asked], recall: int | None = None) -> bool:
        asks = LeaseAsks(replica=self._replica, asks=[one.ask for one in asked])
        try:
            answer = await self._channel.exchange(asks, recall=recall)
            if len(answer.grants) != len(asked):
                raise Unavailable("control answered something else")
        except PlazaError as error:
            log.warning("leases cannot be exchanged: %s", error.message)
            self._lost(asked)
            return False
        except asyncio.CancelledError:
            self._lost(asked)
            raise
        for one, grant in zip(asked, answer.grants, strict=True):
            self._apply(one, grant)
        return True

    def _gather(self) -> list[Asked]:
        pending, self._pending = self._pending, {}
        asked: list[Asked] = []
        for purse in pending.values():
            self._budgets.hand_out(purse)
            with self._budgets.lock:
                asked.extend(purse.asks(self._clock.unix_us(), self._clock.monotonic_ns()))
        return asked

    def _apply(self, one: Asked, grant: Grant) -> None:
        purse = one.purse
        with self._budgets.lock:
            purse.note(one, grant, self._clock.unix_us())
            if purse.owes:
                self._pending[purse.branch.key] = purse
        if grant.lease is None and grant.short_of is None and one.ask.need:
            self._budgets.free_all(purse)
            return
        self._budgets.hand_out(purse)
        if grant.short_of is not None:
            self._deny(one, grant, grant.short_of)
        if purse.waiters:
            self._on_need(purse)

    def _deny(self, one: Asked, grant: Grant, short_of: str) -> None:
        """Control had less than was needed: refuse whoever waited then for as much or more."""
        now_ns = self._clock.monotonic_ns()
        one.purse.dry_until_ns = now_ns + _DRY_NS
        if not one.waiters:
            return
        least = one.waiters[0].amount
        error = _refusal(one.purse, short_of, grant.resets_unix_us, self._clock.unix_us())
        one.purse.denial = Denial(least, error, now_ns + DENIED_NS)
        self._budgets.refuse(one.purse, [w for w in one.waiters if w.amount >= least], error)

    def _lost(self, asked: Sequence[Asked]) -> None:
        """What was told may or may not have been heard: say it again with the next tick."""
        error = Unavailable("no budget can be asked for now", retry_after=1)
        self._doubtful |= bool(asked)
        for one in asked:
            if not one.past:
                one.purse.unsure = True
            self._pending[one.purse.branch.key] = one.purse
            self._budgets.refuse(one.purse, one.waiters, error)
            if one.purse.waiters:
                self._wake.set()

    def _on_need(self, purse: Purse) -> None:
        self._pending[purse.branch.key] = purse
        self._wake.set()

    # ── by the clock ─────────────────────────────────────────────────────────────────────────────
    def tick(self) -> None:
        """Measure spending, give back what lies idle, and ask ahead for what will be short."""
        now_ns, now_us = self._clock.monotonic_ns(), self._clock.unix_us()
        passed_us = max(1, (now_ns - self._ticked_ns) // 1000)
        self._ticked_ns = now_ns
        for key, purse in list(self._budgets.purses.items()):
            with self._budgets.lock:
                purse.measure(passed_us)
                purse.forget(now_us)
                if purse.trim(now_us) or purse.unsure or purse.low(now_ns):
                    self._pending[key] = purse
        if self._pending:
            self._wake.set()

    async def answer(self, recall: Recall) -> None:
        """Give back what lies idle below the nodes of a recall, and say that this is all."""
        nodes = set(recall.nodes)
        asked: list[Asked] = []
        for purse in self._budgets.purses.values():
            if purse.waiters or not nodes.intersection(purse.branch.nodes()):
                continue
            with self._budgets.lock:
                held = purse.current
                if held is None or not held.free:
                    continue
                held.give_back(held.free)
                asked.append(Asked(purse, held, past=True, ask=purse.telling(held)))
        await self._send(asked, recall.number)

    # ── tasks ────────────────────────────────────────────────────────────────────────────────────
    async def _exchange_forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.exchange()

    async def _tick_forever(self) -> None:
        while True:
            await self._sleep(TICK_S)
            self.tick()

    async def _recall_forever(self) -> None:
        known = 0
        while True:
            try:
                recall = await self._channel.recalls(self._replica, known, _RECALL_WAIT_S)
            except PlazaError as error:
                log.debug("recalls cannot be heard: %s", error.message)
                await self._sleep(_AGAIN_S)
                continue
            if recall is not None:
                known = recall.number
                await self.answer(recall)


def _refusal(purse: Purse, short_of: str, resets_unix_us: int | None, now_us: int) -> QuotaExceeded:
    branch = purse.branch
    whose = "organisation" if short_of == branch.organisation else "key"
    if short_of == branch.project:
        whose = "project"
    wait, more = None, "have it raised"
    if resets_unix_us is not None and resets_unix_us < FOREVER:
        wait = max(0.0, (resets_unix_us - now_us) / 1e6)
        anew = datetime.fromtimestamp(resets_unix_us / 1e6, UTC)
        more = f"it begins anew on {anew:%Y-%m-%d at %H:%M} UTC, or have it raised"
    said = f"the compute budget of this {whose} has too little left for this request; {more}"
    return QuotaExceeded(said, input=whose, retry_after=wait)
