"""Leases of replicas whose host is lost for good, with the usage it had not shipped. For operators.

A dead replica keeps what it held until its spool is in the ledger: nobody else can know what it
spent. Where the spool is lost too, writing off charges all that is outstanding. That is never less
than what was used, so no budget is overspent; what was too much is given back by a correction of
the entry `write-off-LEASE`. Usage that does arrive later counts as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import structs
from sqlalchemy import select
from sqlalchemy.orm import Session

from plaza_core.accounts import Lease, written_off
from plaza_core.errors import NotFound
from plaza_core.inference import UsageRecord
from plaza_core.principal import TenantScope
from plaza_tenancy.book_rows import LEASES, lease_of, read_leases
from plaza_tenancy.books import Plan, Writer, no_lease, open_book
from plaza_tenancy.checks import demand_platform
from plaza_tenancy.entries import added
from plaza_tenancy.posting import lock_heads, post
from plaza_tenancy.schema import KeyRow, OrganisationRow, ProjectRow
from plaza_tenancy.store import Change, Store
from plaza_tenancy.views import Kind
from plaza_tenancy.views_leases import LeaseInfo

Settle = Callable[[Session, Sequence[UsageRecord]], None]


def held(store: Store, scope: TenantScope, replica: str | None = None) -> list[LeaseInfo]:
    """Leases that hold something, of all tenants or of one replica; for operators.

    By replica, organisation and age.
    """
    demand_platform(scope)
    leases = LEASES.c
    query = (
        select(LEASES, OrganisationRow.name, ProjectRow.name.label("home"), KeyRow.label)
        .join(OrganisationRow, OrganisationRow.id == leases.organisation)
        .join(KeyRow, (KeyRow.organisation == leases.organisation) & (KeyRow.id == leases.key))
        .outerjoin(
            ProjectRow,
            (ProjectRow.organisation == leases.organisation) & (ProjectRow.id == leases.project),
        )
        .where(leases.closed.is_(None), leases.granted > leases.returned + leases.spent)
        .order_by(leases.replica, OrganisationRow.name, leases.opened, leases.id)
    )
    if replica is not None:
        query = query.where(leases.replica == replica)
    found = []
    with store.read(scope) as session:
        for row in session.execute(query):
            lease = lease_of(row)
            found.append(
                LeaseInfo(
                    id=lease.id,
                    replica=lease.replica,
                    organisation_name=row.name,
                    project_name=row.home,
                    key=lease.branch.key,
                    label=row.label,
                    opened_unix_us=lease.opened,
                    granted=lease.granted,
                    returned=lease.returned,
                    spent=lease.spent,
                    outstanding=lease.outstanding,
                )
            )
    return found


def write_off(store: Store, scope: TenantScope, lease: str, settle: Settle) -> int:
    """Charge in full what a lease still holds, and close it.

    The loss is an entry of kind `loss` in the ledger. Returns the units charged; a second call
    returns 0. Raises NotFound.
    """
    demand_platform(scope)
    with store.read(scope) as session:
        found = read_leases(session, [LEASES.c.id == lease])
    if not found:
        raise NotFound("there is no such lease", input="lease")
    branch = found[0].branch
    with store.change(scope, "lease.write_off", lease) as change:
        change.organisation, change.project = branch.organisation, branch.project
        heads = lock_heads(change.session.connection(), [branch.organisation])
        # The head keeps usage of this organisation away: what is outstanding now is the loss.
        (now,) = read_leases(change.session, [LEASES.c.id == lease])
        if now.closed is not None:
            change.nothing_to_do()
            return 0
        closed_until = heads[branch.organisation].closed_until
        return _write_off(change, now, closed_until, settle)


def _write_off(change: Change, lease: Lease, closed_until: int, settle: Settle) -> int:
    session, only = change.session, [LEASES.c.id == lease.id, LEASES.c.closed.is_(None)]
    # Locked from here on: a replica that is not dead after all can give nothing back in between.
    book = open_book(session, change.now, no_lease, lambda: Plan(leases=only))
    lost = book.leases[lease.id].outstanding if lease.id in book.leases else 0
    if lost:
        loss = written_off(book.leases[lease.id], change.now)
        loss = structs.replace(loss, at_unix_us=max(loss.at_unix_us, closed_until))
        reason = f"replica {lease.replica} is lost"[:200]
        row = added(loss, Kind.LOSS, reason=reason, actor=change.scope.actor, refers=None)
        post(session, [row], change.now)
        settle(session, [loss])
    book = open_book(session, change.now, no_lease, lambda: Plan(leases=only))
    writer = Writer(session, book)
    book.close(book.leases.values())
    writer.save()
    change.before = {"replica": lease.replica, "outstanding": lost}
    change.after = {"written_off": lost}
    return lost
