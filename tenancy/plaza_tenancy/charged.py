"""What the ledger has for accounts and leases: sums over usage, by who pays.

Keys that follow one another by rotation are one node, so usage of a key's node is that of its line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from plaza_core.accounts import AccountId
from plaza_core.book import Book
from plaza_core.budget import Branch
from plaza_core.drift import Charged, Corrected, amends, paid
from plaza_core.ids import KeyId
from plaza_tenancy.book_rows import LEASES, read_leases
from plaza_tenancy.schema import KeyRow, UsageRow
from plaza_tenancy.views import Kind

_KEY: Final = 2
"""The depth of keys."""


def lines(session: Session, users: Iterable[tuple[str, str]]) -> dict[tuple[str, str], KeyId]:
    """(organisation, key) -> its line, for those of the keys that were made by rotation."""
    keys = set(users)
    query = select(KeyRow.organisation, KeyRow.id, KeyRow.line).where(
        KeyRow.organisation.in_({whose for whose, _ in keys}),
        KeyRow.id.in_({key for _, key in keys}),
        KeyRow.line.is_not(None),
    )
    return {(whose, key): line for whose, key, line in session.execute(query) if line is not None}


def usage_below(organisation: str, depth: int, node: str) -> ColumnElement[bool]:
    whose = UsageRow.organisation == organisation
    if depth < _KEY:
        return and_(whose, (UsageRow.organisation, UsageRow.project)[depth] == node)
    successors = select(KeyRow.id).where(
        KeyRow.organisation == organisation, KeyRow.line == KeyId(node)
    )
    return and_(whose, or_(UsageRow.key == node, UsageRow.key.in_(successors)))


def leases_below(organisation: str, depth: int, node: str) -> ColumnElement[bool]:
    whose = LEASES.c.organisation == organisation
    if depth < _KEY:
        return and_(whose, (LEASES.c.organisation, LEASES.c.project)[depth] == node)
    return and_(whose, or_(LEASES.c.key == node, LEASES.c.line == node))


def charges(session: Session, *conditions: ColumnElement[bool]) -> Iterator[Charged]:
    """Usage summed up by branch and lease."""
    for branch, lease, charge, _ in summed(session, *conditions):
        yield branch, lease, charge


def summed(
    session: Session, *conditions: ColumnElement[bool]
) -> Iterator[tuple[Branch, str | None, int, int]]:
    """Usage by branch and lease: (branch, lease, sum of charges, when the first of it was)."""
    whose = (UsageRow.organisation, UsageRow.project, UsageRow.key, KeyRow.line, UsageRow.lease)
    its_key = and_(KeyRow.organisation == UsageRow.organisation, KeyRow.id == UsageRow.key)
    query = (
        select(*whose, func.sum(UsageRow.charge), func.min(UsageRow.at_unix_us))
        .outerjoin(KeyRow, its_key)
        .where(UsageRow.kind != Kind.CORRECTION.value, *conditions)
        .group_by(*whose)
    )
    for organisation, project, key, line, lease, charge, first in session.execute(query):
        branch = Branch(organisation=organisation, project=project, key=key, line=line)
        yield branch, lease, int(charge), first


def corrections(session: Session, *conditions: ColumnElement[bool]) -> Iterator[Corrected]:
    """Corrections of requests, `conditions` being about the corrections. All others (of a month, a
    key, a project) are of the bill alone: they have no digest, as requests have."""
    request = aliased(UsageRow)
    of = (UsageRow.organisation, UsageRow.project, UsageRow.key, KeyRow.line)
    of_requests = or_(UsageRow.digest != "", UsageRow.refers.startswith("write-off-"))
    query = (
        select(*of, request.lease, request.at_unix_us, func.sum(UsageRow.charge))
        .outerjoin(
            KeyRow, and_(KeyRow.organisation == UsageRow.organisation, KeyRow.id == UsageRow.key)
        )
        .outerjoin(
            request,
            and_(
                request.organisation == UsageRow.organisation,
                request.request_id == UsageRow.refers,
                request.kind != Kind.CORRECTION.value,
            ),
        )
        .where(UsageRow.kind == Kind.CORRECTION.value, of_requests, *conditions)
        .group_by(*of, request.lease, request.at_unix_us)
    )
    for organisation, project, key, line, lease, at, charge in session.execute(query):
        branch = Branch(organisation=organisation, project=project, key=key, line=line)
        yield branch, lease, at, int(charge)


def opening(
    session: Session, id_: AccountId, end: int, fresh: frozenset[str] = frozenset()
) -> tuple[int, int | None]:
    """(what the ledger has for an account that is not there yet, when the first of it was).

    Without what leases have paid from other accounts of the same budget, and without `fresh`.
    """
    below = usage_below(id_.organisation, id_.depth, id_.node)
    here = (below, UsageRow.at_unix_us >= id_.start, UsageRow.at_unix_us < end)
    old = (*here, UsageRow.request_id.not_in(fresh))
    found, amended = list(summed(session, *old)), list(corrections(session, *old))
    names = {lease for _, lease, *_ in (*found, *amended) if lease is not None}
    book = Book(0, str)
    if names:
        named = [LEASES.c.organisation == id_.organisation, LEASES.c.id.in_(names)]
        book.leases = {lease.id: lease for lease in read_leases(session, named)}
    counts = [
        (charge, first)
        for branch, lease, charge, first in found
        if not paid(book, branch, lease, id_)
    ]
    settled = sum(charge for charge, _ in counts) + sum(
        charge for branch, lease, at, charge in amended if amends(book, branch, lease, at, id_)
    )
    return settled, min((at for _, at in counts), default=None)
