"""How many requests a budget still allows, before anybody sends them."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from plaza_core.budget import Period, bounds
from plaza_core.errors import InvalidInput
from plaza_core.ids import ModelId
from plaza_core.principal import TenantScope
from plaza_tenancy.book_rows import ACCOUNTS, read_accounts
from plaza_tenancy.books import budget_of
from plaza_tenancy.forecast import estimate, price_for
from plaza_tenancy.nodes import Found, Node, find
from plaza_tenancy.prices import read_prices
from plaza_tenancy.rows import owned
from plaza_tenancy.schema import UsageRow
from plaza_tenancy.schema_budgets import BudgetRow
from plaza_tenancy.store import Store
from plaza_tenancy.views import Estimate, Figures

_LOOK_BACK_US = 30 * 86_400_000_000


class Estimates:
    def __init__(self, store: Store) -> None:
        self._store = store

    def show(
        self, scope: TenantScope, node: Node, model: ModelId, figures: Figures | None = None
    ) -> Estimate:
        """Requests to `model` that the node's budget and those above it still allow.

        The cost of one is priced from `figures`, else the mean of what the scope was charged for
        it in the last 30 days. Raises NotFound, InvalidInput when there is neither.
        """
        now = self._store.clock.unix_us()
        with self._store.read(scope) as session:
            left, short = _left(session, find(session, scope, node), now)
            if figures is None:
                cost, seen = _mean(session, scope, model, now)
            else:
                price = price_for(read_prices(session), figures.provider, model)
                seen = 0
                cost = price.cost(
                    device_us=figures.device_us, host_us=figures.host_us, rows=figures.rows
                )
        return Estimate(
            cost=cost, seen=seen, remaining=left, node=short, requests=estimate(left, cost)
        )


def _left(session: Session, found: Found, now: int) -> tuple[int | None, str | None]:
    """(the least that remains from the node up to the root, whose it is); None without limit."""
    nodes = {found.organisation, found.project, found.id}
    query = select(BudgetRow).where(
        BudgetRow.organisation == found.organisation,
        BudgetRow.node.in_([node for node in nodes if node is not None]),
    )
    here = [ACCOUNTS.c.organisation == found.organisation, ACCOUNTS.c.period_end > now]
    accounts = {
        (a.id.node, a.id.generation, a.id.start): a.remaining for a in read_accounts(session, here)
    }
    lefts = []
    for row in session.scalars(query.order_by(BudgetRow.depth)):
        start, _ = bounds(Period(row.period), now)
        limit = budget_of(row).limit_at(start)
        if limit is not None:
            left = accounts.get((row.node, row.generation, start), limit)
            lefts.append((max(0, left), row.node))
    return min(lefts, key=lambda pair: pair[0], default=(None, None))


def _mean(session: Session, scope: TenantScope, model: ModelId, now: int) -> tuple[int, int]:
    """(mean charge, rounded up, of answered requests, how many there were)."""
    query = select(func.count(), func.sum(UsageRow.charge)).where(
        *owned(scope, UsageRow),
        UsageRow.model == model,
        UsageRow.outcome == "ok",
        UsageRow.at_unix_us >= now - _LOOK_BACK_US,
    )
    seen, charged = session.execute(query).one()
    if not seen:
        raise InvalidInput(
            "nobody used this model in the last 30 days: say what a request takes",
            input="device_us",
        )
    return -(-int(charged) // seen), seen
