"""Purses: what this replica knows about the budget of one key, and what it says to control of it.

Of every lease: granted = returned + spent + reserved + free. Nothing here locks; whoever calls
holds the lock of `Budgets`. Amounts are compute units.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from plaza_core.budget import Branch, Grant, LeaseAsk
from plaza_core.errors import QuotaExceeded

if TYPE_CHECKING:
    from plaza_serving.dataplane.bills import Reservation

IDLE_US = 2_000_000
"""A balance that nobody used for so long goes back whole."""
LASTS_S = 20
"""Seconds of spending kept ahead where the budget is ample. It is filled up when half is used, so
control may be away for 10 s. After a kill it is back in 3 s, on a busy machine in 7."""
AMPLE = 8
"""Ample: what is kept ahead is at most so small a part of what the tightest account has left."""
SKEW_US = 50_000
"""How long a lease is used whose period is over here but, by its clock, not for control."""
REMEMBER_US = 3_600_000_000
"""How long after its period a lease is remembered. Control names it again while, by its own clock,
the period lasts; who had forgotten what was spent of it would spend it twice."""


@dataclass(slots=True, eq=False)
class Holding:
    """One lease as this replica knows it. Amounts are compute units; all but two only grow."""

    lease: str
    purse: Purse
    until_us: int
    granted: int = 0
    returned: int = 0
    spent: int = 0
    reserved: int = 0
    free: int = 0
    told: int = 0
    """How much of `returned` control has confirmed to know."""
    remaining: int | None = None
    """What the tightest account had left beside its leases, when control last said."""

    def give_back(self, amount: int) -> None:
        self.free -= amount
        self.returned += amount

    def heard(self, granted: int) -> bool:
        """Control says how much it has granted in all; whether that is more than was known."""
        more = granted - self.granted
        if more > 0:
            self.free += more
            self.granted = granted
        return more > 0

    @property
    def finished(self) -> bool:
        return not self.reserved and not self.free and self.told == self.returned


@dataclass(slots=True, eq=False)
class Waiter:
    amount: int
    future: asyncio.Future[Reservation]


@dataclass(frozen=True, slots=True)
class Denial:
    """Control's last no: who asks for as much before `until_ns` need not ask again."""

    amount: int
    error: QuotaExceeded
    until_ns: int


@dataclass(slots=True, eq=False)
class Purse:
    """All that this replica knows about the budget of one key."""

    branch: Branch
    current: Holding | None = None
    past: list[Holding] = field(default_factory=list)
    """Leases that take no more requests; remembered until control cannot name them again."""
    waiters: deque[Waiter] = field(default_factory=deque)
    denial: Denial | None = None
    dry_until_ns: int = 0
    unsure: bool = False
    """An answer was lost: control may have granted what nobody here knows of."""
    used_us: int = 0
    spent: int = 0
    """Since the last tick, as `largest` is."""
    largest: int = 0
    rate: int = 0
    """Units per second lately."""

    def find(self, lease: str) -> Holding | None:
        if self.current is not None and self.current.lease == lease:
            return self.current
        return next((h for h in self.past if h.lease == lease), None)

    def retire(self) -> None:
        """The current lease takes no more requests."""
        if self.current is not None:
            self.past.append(self.current)
            self.current = None

    # ── what is said to control ──────────────────────────────────────────────────────────────────
    def asks(self, now_us: int, now_ns: int) -> Iterable[Asked]:
        """At most one ask per lease. What is free of leases that are over goes back."""
        if self.current is not None and now_us >= self.current.until_us:
            self.retire()
        for old in self.past:
            old.give_back(old.free)
            if old.told != old.returned:
                yield Asked(self, old, past=True, ask=self.telling(old))
        held = self.current
        free = held.free if held else 0
        waiters = [w for w in self.waiters if not w.future.done()]
        need = max(0, waiters[0].amount - free) if waiters else 0
        if not need and (self.low(now_ns) or (held is None and self.unsure)):
            need = 1  # to ask ahead, and to hear of a lease whose first answer was lost
        if not need and not self.unsure and (held is None or held.told == held.returned):
            return
        wish = sum(w.amount for w in waiters) + self.ahead - free if need else 0
        update = {"need": need, "wish": max(need, wish)}
        ask = self.telling(held).model_copy(update=update)
        yield Asked(self, held, past=False, ask=ask, waiters=waiters)

    def telling(self, held: Holding | None) -> LeaseAsk:
        """What control should know of a lease, without asking for anything."""
        if held is None:
            return LeaseAsk(key=self.branch.key)
        return LeaseAsk(
            key=self.branch.key, lease=held.lease, granted=held.granted, returned=held.returned
        )

    def note(self, one: Asked, grant: Grant, now_us: int) -> None:
        """Take over what control answered to an ask of this purse."""
        if one.holding is not None:
            one.holding.told = max(one.holding.told, one.ask.returned)
        if not one.past:
            self.unsure = False
        if one.past and one.holding is not None:
            one.holding.heard(grant.granted)
        elif grant.lease is not None:
            self._note_lease(one, grant, grant.lease, now_us)

    def forget(self, now_us: int) -> None:
        """Drop leases that are over for good."""
        self.past = [h for h in self.past if not h.finished or now_us < h.until_us + REMEMBER_US]

    @property
    def owes(self) -> bool:
        """Whether a lease that is over is not yet returned whole."""
        return any(not h.finished for h in self.past)

    def _note_lease(self, one: Asked, grant: Grant, lease: str, now_us: int) -> None:
        holding = self.find(lease)
        if holding is None:
            holding = Holding(lease, self, grant.until_unix_us)
        more = holding.heard(grant.granted)
        holding.remaining = grant.remaining
        holding.until_us = grant.until_unix_us
        if (more or one.ask.lease is None) and holding.until_us <= now_us:
            holding.until_us = now_us + SKEW_US
        if holding is not self.current:
            self.retire()
            self.past = [h for h in self.past if h is not holding]
            self.current = holding

    # ── how much to keep ─────────────────────────────────────────────────────────────────────────
    @property
    def ahead(self) -> int:
        """What lasts for about a second at the present pace; longer where the budget is ample."""
        spare = (self.current.remaining or 0) // AMPLE if self.current else 0
        return max(self._second, min(LASTS_S * self.rate, spare))

    @property
    def _second(self) -> int:
        return self.rate + self.largest

    def low(self, now_ns: int) -> bool:
        """Whether to ask before anybody must wait; not while the budget is known to be short."""
        if not self.rate or now_ns < self.dry_until_ns:
            return False
        free = self.current.free if self.current else 0
        return 2 * free < self.ahead

    def measure(self, passed_us: int) -> None:
        """Spending since the last call goes into the rate, half old and half new."""
        self.rate = (self.rate + self.spent * 1_000_000 // passed_us) // 2
        self.spent = 0

    def trim(self, now_us: int) -> bool:
        """Give back what is a second's worth too much; whether there is something to tell."""
        held = self.current
        if held is None:
            return self.owes
        if not self.waiters and now_us - self.used_us >= IDLE_US:
            self.rate = self.largest = 0
        keep = self.ahead + self._second
        self.largest -= self.largest // 4
        if held.free > keep:
            held.give_back(held.free - keep)
        return self.owes or held.told != held.returned or now_us >= held.until_us


@dataclass(frozen=True, slots=True)
class Asked:
    """One ask with what the answer will be applied to. `past`: it only settles an old lease."""

    purse: Purse
    holding: Holding | None
    past: bool
    ask: LeaseAsk
    waiters: Sequence[Waiter] = ()
