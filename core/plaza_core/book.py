"""The arithmetic of budgets: accounts and leases in memory, moved by pure rules; knows no store.

    grant              leased += g on every account of the lease, while settled + leased ≤ limit
    give back, close   leased −= what comes back
    spend              settled += charge, leased −= charge

Both banks do their work here: `plaza_core.bank` keeps one book for good, SQL loads the part that a
transaction has locked and writes back what changed. Every movement of a lease goes through `move`,
so an account's `leased` is always the sum of what its leases have outstanding.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from plaza_core.budget import FOREVER, Branch, Grant, LeaseAsk, Period, bounds
from plaza_core.errors import InvalidInput
from plaza_core.ids import Digest, KeyId, ModelId, OrganisationId, ProjectId, RequestId
from plaza_core.inference import UsageRecord
from plaza_core.windows import Window, limit_at

NO_LIMIT: Final = 2**62
"""Stands for a budget without limit: it counts, and never refuses."""

_PARTS = 4
"""A wish gets at most one part in so many × replicas of what is left."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What one node may spend per period; `limit` None counts without limiting."""

    limit: int | None
    period: Period
    generation: int = 0
    """Another number each time a budget begins anew on a node; its accounts carry it."""
    since: int = 0
    """Usage of the node admitted up to here may be older than the budget."""
    windows: tuple[Window, ...] = ()
    """Its calendar."""

    def limit_at(self, start: int) -> int | None:
        """The limit of the period that begins at `start`."""
        return limit_at(self.limit, self.windows, start)


class AccountId(NamedTuple):
    """One node in one period. The order of the fields is the order of row locks: root first."""

    organisation: str
    depth: int
    """0 organisation, 1 project, 2 key."""
    node: str
    """Its id. Keys that follow one another by rotation are one node: the first of them."""
    period: Period
    start: int
    generation: int = 0
    """That of its budget. Accounts of a budget that was removed stay as history."""


Opening = Callable[[AccountId, int], tuple[int, int | None]]
"""(account, end of its period) -> (what the ledger has for it, when the first of that was)."""

Wanted = dict[AccountId, tuple[int, int | None]]
"""Accounts -> (the end of their period, their limit)."""


@dataclass(slots=True)
class Account:
    id: AccountId
    end: int
    limit: int | None
    settled: int = 0
    leased: int = 0

    opened: int = 0
    """When it was first needed, or since when its period counts usage from before."""
    archived: int = 0
    """How much of `settled` is for usage that the ledger has dropped: see `drift`."""

    @property
    def remaining(self) -> int:
        """What may still be leased. Negative after a limit was lowered below what is used."""
        limit = NO_LIMIT if self.limit is None else self.limit
        return limit - self.settled - self.leased


@dataclass(frozen=True, slots=True)
class Lease:
    """What one replica holds for one key. `granted`, `returned` and `spent` only grow."""

    id: str
    branch: Branch
    replica: str
    opened: int
    until: int
    """µs since 1970: no more is granted from here on. What it still holds stays held. 0: over for
    good, because a budget on its branch was set or removed, or its replica was told so."""
    draws: tuple[AccountId, ...]
    """The accounts it was granted from, root first: what it spends is theirs."""
    holds: tuple[AccountId, ...] = ()
    """Accounts made later, of budgets set while it was out: they only keep its rest reserved."""
    granted: int = 0
    returned: int = 0
    spent: int = 0
    closed: int | None = None
    archived: int = 0
    """How much of `spent` is for usage that the ledger has dropped."""

    @property
    def outstanding(self) -> int:
        if self.closed is not None:
            return 0
        return max(0, self.granted - self.returned - self.spent)


def levels(branch: Branch) -> Iterator[tuple[int, str]]:
    """(depth, node id) from the root to the leaf."""
    for depth, node in enumerate((branch.organisation, branch.project, branch.leaf)):
        if node is not None:
            yield depth, node


def branch_of(record: UsageRecord, line: KeyId | None = None) -> Branch:
    """`line` is that of the record's key, which a record does not tell."""
    return Branch(
        organisation=OrganisationId(record.organisation),
        project=None if record.project is None else ProjectId(record.project),
        key=KeyId(record.key),
        line=line,
    )


def written_off(lease: Lease, now: int) -> UsageRecord:
    """The usage of a lease whose host is lost for good: all it still held, seen in the ledger as a
    request of outcome `written_off` that no model answered. The same lease gives the same id."""
    return UsageRecord(
        organisation=lease.branch.organisation,
        project=lease.branch.project,
        key=lease.branch.key,
        request_id=RequestId(f"write-off-{lease.id}"),
        model=ModelId(""),
        version=0,
        digest=Digest(""),
        provider="",
        rows=0,
        compute_us=0,
        host_us=0,
        latency_us=0,
        outcome="written_off",
        at_unix_us=max(lease.opened, min(now, (lease.until or FOREVER) - 1)),
        replica=lease.replica,
        charge=lease.outstanding,
        lease=lease.id,
    )


def accounts_at(branch: Branch, budgets: Mapping[str, Budget], at: int) -> Wanted:
    """The accounts that a branch has at a moment, root first -> (their end, their limit)."""
    found: Wanted = {}
    for depth, node in levels(branch):
        if (budget := budgets.get(node)) is not None:
            start, end = bounds(budget.period, at)
            account = AccountId(
                branch.organisation, depth, node, budget.period, start, budget.generation
            )
            found[account] = (end, budget.limit_at(start))
    return found


def counted_on(
    branch: Branch, budgets: Mapping[str, Budget], lease: Lease | None, at: int
) -> dict[AccountId, tuple[int, int | None] | None]:
    """The accounts that usage counts on -> (their end, their limit), where it counts by its moment:
    those its lease draws from; of nodes whose budget is younger than that, or without a lease,
    those of the moment `at` of its admission."""
    draws = () if lease is None else lease.draws
    paid = {(account.node, account.generation) for account in draws}
    here = accounts_at(branch, budgets, at).items()
    by_moment = {id_: terms for id_, terms in here if (id_.node, id_.generation) not in paid}
    return dict.fromkeys(draws) | by_moment


def amendable(
    branch: Branch, budgets: Mapping[str, Budget], lease: Lease | None, at: int, now: int
) -> Wanted:
    """Those of the accounts that usage counts on whose budget still stands and whose period runs
    at `now`."""
    running = accounts_at(branch, budgets, now)
    return {id_: running[id_] for id_ in counted_on(branch, budgets, lease, at) if id_ in running}


def has_past(account: AccountId, budgets: Mapping[str, Budget]) -> bool:
    """Whether usage may count towards an account that nobody needed before. Else all usage of its
    period came after its budget, and the first of it opened the account."""
    return account.start <= budgets[account.node].since


def opened(
    account: AccountId, end: int, limit: int | None, used: tuple[int, int | None], now: int
) -> Account:
    settled, first = used
    return Account(account, end, limit, settled, opened=now if first is None else first)


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
