"""The arithmetic of budgets: accounts and leases in memory, moved by pure rules; knows no store.

    grant              leased += g on every account of the lease, while settled + leased ≤ limit
    give back, close   leased −= what comes back
    spend              settled += charge, leased −= charge

Both banks do their work here: `plaza_core.bank` keeps one book for good, SQL loads the part that a
transaction has locked and writes back what changed. Every movement of a lease goes through `move`,
so an account's `leased` is always the sum of what its leases have outstanding.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from plaza_core.accounts import (
    Account,
    AccountId,
    Budget,
    Lease,
    Opening,
    Wanted,
    accounts_at,
    amendable,
    counted_on,
    has_past,
    levels,
    opened,
)
from plaza_core.budget import FOREVER, Branch, Grant, LeaseAsk
from plaza_core.errors import InvalidInput
from plaza_core.ids import KeyId

_PARTS = 4
"""A wish gets at most one part in so many × replicas of what is left."""


@dataclass(slots=True)
class Book:
    """Accounts and leases at one moment. `new_lease` names a lease that is opened."""

    now: int
    new_lease: Callable[[], str]
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    branches: Mapping[KeyId, Branch] = field(default_factory=dict)
    opening: Opening = lambda *_: (0, None)
    accounts: dict[AccountId, Account] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)

    # ── what replicas ask ────────────────────────────────────────────────────────────────────────
    def exchange(self, replica: str, asks: Sequence[LeaseAsk], live: int) -> list[Grant]:
        """See `ports.LeaseBank.exchange`. What comes back is there for every ask of the batch."""
        for ask in asks:
            if (lease := self._told(replica, ask)) is not None:
                self._take_back(lease, ask.returned)
        mine: dict[KeyId, list[str]] = {}
        for lease in self.leases.values():
            if lease.replica == replica and lease.closed is None:
                mine.setdefault(lease.branch.key, []).append(lease.id)
        return [self._answer(replica, ask, mine.get(ask.key, []), max(1, live)) for ask in asks]

    def _told(self, replica: str, ask: LeaseAsk) -> Lease | None:
        """The lease that an ask names, if it is this replica's and still open."""
        lease = self.leases.get(ask.lease or "")
        if lease is None or lease.closed is not None:
            return None
        return lease if (lease.replica, lease.branch.key) == (replica, ask.key) else None

    def held_by(self, replica: str) -> list[Grant]:
        """What a replica has, as the accounts see it: for one that missed an answer."""
        return [
            _told(lease)
            for lease in self.leases.values()
            if lease.replica == replica and lease.closed is None
        ]

    def holders(self, nodes: Collection[str]) -> set[str]:
        """Replicas that hold something below any of these nodes: whom a recall is for."""
        return {
            lease.replica
            for lease in self.leases.values()
            if lease.outstanding and not set(nodes).isdisjoint(lease.branch.nodes())
        }

    def _take_back(self, lease: Lease, returned: int) -> None:
        most = lease.granted - lease.spent
        if (returned := min(returned, most)) > lease.returned:
            self.move(replace(lease, returned=returned))

    def _answer(self, replica: str, ask: LeaseAsk, mine: Sequence[str], live: int) -> Grant:
        if ask.lease is not None:
            lease = self._told(replica, ask)
            if lease is None:  # closed, or never heard of: over, and nothing more comes of it
                return Grant(key=ask.key, lease=ask.lease, until_unix_us=0, granted=ask.granted)
            wanted = accounts_at(lease.branch, self.budgets, self.now)
            if lease.until <= self.now or lease.draws != tuple(wanted):
                lease = self.move(replace(lease, until=0))  # for good: the replica is told so
                return _told(lease)
            return self._top_up(lease, ask, live)
        branch = self.branches.get(ask.key)
        if branch is None:
            return Grant(key=ask.key, lease=None, short_of=ask.key)
        wanted = accounts_at(branch, self.budgets, self.now)
        if not wanted or ask.need <= 0:
            return Grant(key=ask.key, lease=None)
        self.ensure(wanted)
        # Its lease on these very accounts is there when the answer that told of it was lost.
        there = (self.leases[name] for name in mine)
        lost = (x for x in there if x.until > self.now and x.draws == tuple(wanted))
        return self._top_up(next(lost, None) or self._new(replica, branch, wanted), ask, live)

    def _new(self, replica: str, branch: Branch, wanted: Wanted) -> Lease:
        return Lease(
            id=self.new_lease(),
            branch=branch,
            replica=replica,
            opened=self.now,
            until=min(end for end, _ in wanted.values()),
            draws=tuple(wanted),
        )

    def _top_up(self, lease: Lease, ask: LeaseAsk, live: int) -> Grant:
        short: Account | None = None
        # Told less than was granted: the answer before was lost. Telling it again is the help.
        if ask.need > 0 and ask.granted >= lease.granted:
            accounts = [self.accounts[account] for account in lease.draws]
            short = self.short(accounts, ask.need)
            if short is None:
                part = min(a.remaining for a in accounts) // (_PARTS * live)
                lease = replace(lease, granted=lease.granted + max(ask.need, min(ask.wish, part)))
                self.move(lease)
        left = self._left(lease)
        if short is None:
            return _told(lease).model_copy(update={"remaining": left})
        return Grant(
            key=ask.key,
            lease=lease.id if lease.id in self.leases else None,
            until_unix_us=lease.until,
            granted=lease.granted,
            short_of=short.id.node,
            resets_unix_us=None if short.end == FOREVER else short.end,
            remaining=left,
        )

    def _left(self, lease: Lease) -> int | None:
        """What the tightest of its accounts has left beside all leases; None: no limit."""
        left = [
            account.remaining
            for name in lease.draws
            if (account := self.accounts.get(name)) is not None and account.limit is not None
        ]
        return max(0, min(left)) if left else None

    def short(self, accounts: Sequence[Account], need: int) -> Account | None:
        """The first account, from the root, that has less left than `need`."""
        return next((account for account in accounts if account.remaining < need), None)

    # ── what is spent ────────────────────────────────────────────────────────────────────────────
    def spend(self, branch: Branch, lease: Lease | None, at: int, charge: int) -> None:
        """One new usage record. It counts where its lease draws from; on nodes whose budget is
        younger than the lease, or without a lease, in the period of its admission."""
        if lease is not None and lease.branch != branch:
            lease = None  # somebody else's lease pays for nobody
        wanted = counted_on(branch, self.budgets, lease, at)
        self.ensure({id_: terms for id_, terms in wanted.items() if terms is not None})
        for account in wanted:
            self.accounts[account].settled += charge
        if lease is not None:
            self.move(replace(lease, spent=lease.spent + charge))

    def amend(self, branch: Branch, lease: Lease | None, at: int, charge: int) -> None:
        """A correction, now, of a request that was admitted at `at`. It counts where the request
        did, while that period runs and its budget stands; else it is of the bill alone.

        No lease moves: what its replica was granted and has spent stays as it was told. Raises
        InvalidInput for more than an account has settled; then nothing has changed.
        """
        if lease is not None and lease.branch != branch:
            lease = None
        wanted = amendable(branch, self.budgets, lease, at, self.now)
        self.ensure(wanted)
        accounts = [self.accounts[id_] for id_ in wanted]
        if any(account.settled + charge < 0 for account in accounts):
            raise InvalidInput(
                "that is more than a budget has settled in this period", input="charge"
            )
        for account in accounts:
            account.settled += charge

    # ── movements ────────────────────────────────────────────────────────────────────────────────
    def move(self, lease: Lease) -> Lease:
        """Put a lease in its new state. What it has outstanding more or less, its accounts have.

        One that is over and has nothing left is closed.
        """
        before = self.leases.get(lease.id)
        if lease.until <= self.now and lease.outstanding == 0 and lease.closed is None:
            lease = replace(lease, closed=self.now)
        change = lease.outstanding - (0 if before is None else before.outstanding)
        for account in (*lease.draws, *lease.holds):
            self.accounts[account].leased += change
        self.leases[lease.id] = lease
        return lease

    def close(self, leases: Iterable[Lease]) -> int:
        """End leases for good; returns what came back to their accounts."""
        back = 0
        for lease in tuple(leases):
            back += lease.outstanding
            if lease.closed is None:
                self.move(replace(lease, closed=self.now))
        return back

    def ensure(self, wanted: Wanted) -> None:
        """Open the accounts that are missing, with what the ledger already has for them."""
        for account, (end, limit) in wanted.items():
            if account not in self.accounts:
                used = self.opening(account, end) if has_past(account, self.budgets) else (0, None)
                self.accounts[account] = opened(account, end, limit, used, self.now)

    # ── budgets that come and go while leases are out ────────────────────────────────────────────
    def begin(self, account: AccountId, end: int, limit: int | None) -> None:
        """The account of a budget that is set now. Leases below it end, because they do not draw
        from it; what they still have stays reserved here."""
        used = self.opening(account, end)
        self.accounts[account] = opened(account, end, limit, used, self.now)
        for lease in self.end_below(account.depth, account.node):
            self.accounts[account].leased += lease.outstanding
            self.leases[lease.id] = replace(lease, holds=(*lease.holds, account))

    def end_below(self, depth: int, node: str) -> list[Lease]:
        """No more grants on the open leases below a node, whatever the clock will say: a replica
        that asks again opens another, on the accounts of then. Returns those still open."""
        for lease in tuple(self.leases.values()):
            if lease.closed is None and (depth, node) in levels(lease.branch):
                self.move(replace(lease, until=0))
        open_ = (lease for lease in self.leases.values() if lease.closed is None)
        return [lease for lease in open_ if (depth, node) in levels(lease.branch)]


def _told(lease: Lease) -> Grant:
    return Grant(
        key=lease.branch.key,
        lease=lease.id,
        until_unix_us=lease.until,
        granted=lease.granted,
    )
