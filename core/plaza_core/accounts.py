"""What budgets are kept in: accounts, leases, and which accounts a request counts on.

Values and pure questions; how they move is the business of `book`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from plaza_core.budget import FOREVER, Branch, Period, bounds
from plaza_core.ids import Digest, KeyId, ModelId, OrganisationId, ProjectId, RequestId
from plaza_core.inference import UsageRecord
from plaza_core.windows import Window, limit_at

NO_LIMIT: Final = 2**62
"""Stands for a budget without limit: it counts, and never refuses."""


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
