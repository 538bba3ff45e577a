"""A replica as small as it can be, and the truth about everything it was asked: for the machine.

The replica follows the same rules as the data plane's: reserve from a lease, settle at most the
reserve, write the spool before the answer leaves, ship until control has confirmed.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from plaza_core.accounts import AccountId
from plaza_core.budget import Branch, Grant, LeaseAsk
from plaza_core.inference import UsageRecord
from tests.tenancy.banks import Bank, charge

_requests = itertools.count(1)


class Lost(Exception):
    """The call to control, or its answer, did not arrive."""


@dataclass
class Held:
    """One lease as its replica knows it."""

    lease: str
    until: int
    granted: int = 0
    returned: int = 0
    used: int = 0
    reserved: int = 0

    @property
    def free(self) -> int:
        return self.granted - self.returned - self.used - self.reserved


@dataclass
class Request:
    """Admitted and not yet ended."""

    branch: Branch
    held: Held | None
    reserve: int
    at: int


@dataclass
class Replica:
    name: str
    bank: Bank
    held: dict[str, list[Held]] = field(default_factory=dict)
    """Key -> its leases, also those that are over."""
    inside: list[Request] = field(default_factory=list)
    spool: list[UsageRecord] = field(default_factory=list)
    last: list[LeaseAsk] = field(default_factory=list)

    # ── admission ────────────────────────────────────────────────────────────────────────────────
    def reserve(self, branch: Branch, amount: int) -> Request | None:
        """From what it holds; no question asked."""
        held = self.current(branch)
        if held is None or held.free < amount:
            return None
        held.reserved += amount
        return self._enter(branch, held, amount)

    def admit_unmetered(self, branch: Branch, amount: int) -> Request:
        return self._enter(branch, None, amount)

    def _enter(self, branch: Branch, held: Held | None, amount: int) -> Request:
        request = Request(branch, held, amount, self.bank.clock.unix_us())
        self.inside.append(request)
        return request

    def current(self, branch: Branch) -> Held | None:
        """Its lease that is not over; of a key it heard of late there may be older ones."""
        now = self.bank.clock.unix_us()
        usable = [held for held in self.held.get(branch.key, []) if held.until > now]
        return usable[-1] if usable else None

    # ── settling ─────────────────────────────────────────────────────────────────────────────────
    def settle(self, request: Request, actual: int) -> UsageRecord:
        """The request ran and used `actual` ≤ its reserve."""
        self.inside.remove(request)
        if request.held is not None:
            self.release(request)
            request.held.used += actual
        record = charge(
            self.bank,
            request.branch,
            f"req-{next(_requests)}",
            actual,
            lease=request.held and request.held.lease,
            at_unix_us=request.at,
            replica=self.name,
        )
        self.spool.append(record)
        return record

    def cancel(self, request: Request) -> None:
        """The client left while the request was queued: it costs nothing."""
        self.inside.remove(request)
        if request.held is not None:
            self.release_cancelled(request)

    def release(self, request: Request) -> None:
        request.held.reserved -= request.reserve

    def release_cancelled(self, request: Request) -> None:
        self.release(request)

    # ── with control ─────────────────────────────────────────────────────────────────────────────
    def exchange(
        self, wants: dict[str, tuple[Branch, int, int]], *, live: int, lose: bool = False
    ) -> dict[str, Grant]:
        """One batch: tell of every lease, ask (need, wish) for some keys.

        `lose`: control acts, and its answer never comes.
        """
        asks = []
        for key, (branch, need, wish) in wants.items():
            current = self.current(branch)
            if current is None:
                asks.append(LeaseAsk(key=branch.key, need=need, wish=wish))
            else:
                asks.append(self._tell(key, current, need, wish))
        for key, leases in self.held.items():
            asked = {ask.lease for ask in asks}
            asks += [self._tell(key, held) for held in leases if held.lease not in asked]
        self.last = asks
        grants = self.bank.exchange(self.name, asks, live=live)
        if lose:
            raise Lost
        self.hear(grants)
        return {grant.key: grant for ask, grant in zip(asks, grants, strict=True) if ask.need > 0}

    def _tell(self, key: str, held: Held, need: int = 0, wish: int = 0) -> LeaseAsk:
        return LeaseAsk(
            key=key,
            lease=held.lease,
            granted=held.granted,
            returned=held.returned,
            need=need,
            wish=wish,
        )

    def hear(self, grants: list[Grant]) -> None:
        for grant in grants:
            if grant.lease is None:
                continue
            mine = self.held.setdefault(grant.key, [])
            held = next((held for held in mine if held.lease == grant.lease), None)
            if held is None:
                held = Held(grant.lease, grant.until_unix_us)
                mine.append(held)
            held.granted = max(held.granted, grant.granted)
            held.until = min(held.until, grant.until_unix_us)

    def trim(self, *, but: str | None = None) -> None:
        """Give back what is free; of key `but` only where the lease is over."""
        now = self.bank.clock.unix_us()
        for key, leases in self.held.items():
            for held in leases:
                if key != but or held.until <= now:
                    self.give_back(held)

    def give_back(self, held: Held) -> None:
        held.returned += max(0, held.free)

    def ship(self, count: int, outcome: str = "ok") -> None:
        """`refused`: control takes nothing. `unheard`: it does, and the answer is lost."""
        if outcome != "refused":
            self.bank.ingest(self.spool[:count])
        if outcome == "ok":
            del self.spool[:count]


def nodes_of(record: UsageRecord, branches: list[Branch]) -> set[str]:
    """All that a record counts on, given all keys there are."""
    (branch,) = (branch for branch in branches if branch.key == record.key)
    return set(branch.nodes())


def uncovered(record: UsageRecord, id_: AccountId, leases: dict, nodes: set[str]) -> bool:
    """Whether nothing of this record was reserved on the account."""
    if id_.node not in nodes:
        return False
    lease = leases.get(record.lease or "")
    return lease is None or id_ not in (*lease.draws, *lease.holds)
