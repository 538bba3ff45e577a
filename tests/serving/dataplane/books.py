"""A bank of budgets in one dictionary, and the ways to it that planes of the tests take."""

import itertools
import threading
from dataclasses import dataclass, field

from plaza_core.budget import FOREVER, Grant, Grants, Period, bounds
from plaza_core.errors import Unavailable
from plaza_serving.control.leases import LeaseDesk
from plaza_serving.dataplane.broker import Broker


@dataclass(eq=False)
class Account:
    limit: int
    end: int = FOREVER
    settled: int = 0
    leased: int = 0

    @property
    def remaining(self):
        return self.limit - self.settled - self.leased


@dataclass(eq=False)
class Lease:
    replica: str
    key: str
    accounts: dict
    until: int
    granted: int = 0
    returned: int = 0
    spent: int = 0
    closed: bool = False

    @property
    def outstanding(self):
        return 0 if self.closed else self.granted - self.returned - self.spent


@dataclass
class Books:
    """LeaseBank and ledger. `limits`: node -> (limit, period); `branches`: key -> its nodes."""

    clock: object
    limits: dict
    branches: dict
    accounts: dict = field(default_factory=dict)
    leases: dict = field(default_factory=dict)
    records: dict = field(default_factory=dict)

    def __post_init__(self):
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def exchange(self, replica, asks, *, live=1):
        with self._lock:
            for ask in asks:
                lease = self.leases.get(ask.lease)
                if lease is not None:
                    self._return(lease, ask.returned)
            return [self._answer(replica, ask, live) for ask in asks]

    def close(self, replica):
        with self._lock:
            back = 0
            for lease in self.leases.values():
                if lease.replica == replica and not lease.closed:
                    back += lease.outstanding
                    self._move(lease, -lease.outstanding)
                    lease.closed = True
            return back

    def holders(self, nodes):
        with self._lock:
            return {
                lease.replica
                for lease in self.leases.values()
                if lease.outstanding and not set(nodes).isdisjoint(self.branches[lease.key])
            }

    def ingest(self, records):
        with self._lock:
            before = len(self.records)
            for record in records:
                key = (record.organisation, record.request_id)
                if key in self.records:
                    continue
                self.records[key] = record
                if record.lease is not None:
                    lease = self.leases[record.lease]
                    assert record.charge <= lease.outstanding, "spent more than was granted"
                    lease.spent += record.charge
                    self._move(lease, -record.charge)
                    for account in lease.accounts.values():
                        account.settled += record.charge
            return len(self.records) - before

    append = ingest

    def check(self):
        """What holds at every moment, whatever was lost."""
        for name, account in self.accounts.items():
            below = [x for x in self.leases.values() if account in x.accounts.values()]
            assert account.leased == sum(x.outstanding for x in below), name
            assert account.settled == sum(x.spent for x in below), name
            assert account.settled + account.leased <= account.limit, name
        for lease in self.leases.values():
            assert lease.outstanding >= 0

    def outstanding(self, replica=None, *, current=False):
        """Of one replica, or all; `current`: of leases whose period is not over."""
        now = self.clock.unix_us() if current else 0
        mine = (x for x in self.leases.values() if replica in {None, x.replica})
        return sum(x.outstanding for x in mine if x.until > now)

    def _answer(self, replica, ask, live):
        now = self.clock.unix_us()
        accounts, until = self._accounts(ask.key, now)
        name = ask.lease
        if name is None:
            if not accounts or not ask.need:
                return Grant(key=ask.key, lease=None)
            mine = (n for n, x in self.leases.items() if (x.replica, x.key) == (replica, ask.key))
            name = next((n for n in mine if self.leases[n].accounts == accounts), None)
        if name is None:
            name = f"lease-{next(self._numbers)}"
            self.leases[name] = Lease(replica, ask.key, accounts, until)
        lease = self.leases[name]
        if lease.closed or lease.until <= now:
            return Grant(key=ask.key, lease=name, until_unix_us=now, granted=lease.granted)
        short = None
        if ask.need and ask.granted >= lease.granted:
            short = next((n for n, a in accounts.items() if a.remaining < ask.need), None)
            if short is None:
                part = min(a.remaining for a in accounts.values()) // (4 * live)
                grant = max(ask.need, min(ask.wish, part))
                lease.granted += grant
                self._move(lease, grant)
        return Grant(
            key=ask.key,
            lease=name,
            until_unix_us=lease.until,
            granted=lease.granted,
            short_of=short,
            resets_unix_us=None if short is None else accounts[short].end,
            remaining=min(a.remaining for a in accounts.values()),
        )

    def _accounts(self, key, now):
        found, until = {}, FOREVER
        for node in self.branches[key]:
            if node in self.limits:
                limit, period = self.limits[node]
                start, end = bounds(period, now)
                found[node] = self.accounts.setdefault((node, start), Account(limit, end))
                until = min(until, end)
        return found, until

    def _return(self, lease, returned):
        returned = min(returned, lease.granted - lease.spent)
        if returned > lease.returned and not lease.closed:
            self._move(lease, lease.returned - returned)
            lease.returned = returned

    @staticmethod
    def _move(lease, change):
        for account in lease.accounts.values():
            account.leased += change


class DeskChannel:
    """LeaseChannel straight to control's desk. While `away`, control cannot be reached."""

    def __init__(self, desk):
        self.desk = desk
        self.away = False
        self.exchanges = 0

    async def exchange(self, asks, *, recall=None):
        if self.away:
            raise Unavailable("away")
        self.exchanges += 1
        return Grants(grants=await self.desk.exchange(asks, recall=recall))

    async def recalls(self, replica, after, wait_s):
        if self.away:
            raise Unavailable("away")
        return await self.desk.recalls(replica, after, wait_s)


def books_for(clock, keys, limits, period=Period.TOTAL):
    """A bank that knows these key entries; `limits`: node -> amount."""
    branches = {k.id: [n for n in (k.organisation, k.project, k.id) if n] for k in keys}
    return Books(clock, {node: (limit, period) for node, limit in limits.items()}, branches)


def desk_over(bank, clock, live=1):
    return LeaseDesk(bank, clock, lambda: live)


def broker_of(kit, desk, name="replica-1"):
    """A broker for a plane's budgets; its `channel` is in reach of the test."""
    channel = DeskChannel(desk)
    broker = Broker(kit.plane.budgets, channel, replica=name, clock=kit.clock)
    broker.channel = channel
    return broker
