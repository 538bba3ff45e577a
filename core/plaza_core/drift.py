"""Auditing accounts: what they should say, from leases and usage alone, against what they say.

A sum that is kept can go wrong where nobody looks; this looks. The answer must be empty. Where the
ledger drops rows, `dropped` says what the accounts and leases must remember of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from plaza_core.accounts import AccountId, Lease, levels
from plaza_core.book import Book
from plaza_core.budget import FOREVER, Branch, bounds

Charged = tuple[Branch, str | None, int]
"""A sum of charges by branch and lease."""

Window = Callable[[int, int], Iterable[Charged]]
"""(start, end) -> all usage admitted in between, summed up."""

Corrected = tuple[Branch, str | None, int | None, int]
"""A sum of corrections of requests: by the branch and lease of the request and the moment of its
admission (None: its row was dropped)."""

Corrections = Callable[[int, int], Iterable[Corrected]]
"""(start, end) -> all corrections of requests that were made in between."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One kept number that is not what its rows add up to."""

    what: str
    """`node period start` of an account, or the id of a lease."""
    number: str
    kept: int
    recomputed: int


def drift(
    book: Book, of_leases: Iterable[Charged], window: Window, corrections: Corrections
) -> list[Drift]:
    """Compare every lease in the book, and the accounts of its budgets, with the rows they are for.

    `of_leases` is all usage that names a lease, summed up.
    """
    spent: dict[str, int] = defaultdict(int)
    for branch, name, charge in of_leases:
        if (paid := _lease(book, branch, name)) is not None:
            spent[paid.id] += charge
    leased: dict[AccountId, int] = defaultdict(int)
    settled: dict[AccountId, int] = defaultdict(int)
    found = []
    for lease in book.leases.values():
        spent[lease.id] += lease.archived
        for id_ in (*lease.draws, *lease.holds):
            leased[id_] += lease.outstanding
        for id_ in lease.draws:
            settled[id_] += spent[lease.id]
        found.append(Drift(lease.id, "spent", lease.spent, spent[lease.id]))
    current = {id_: a for id_, a in book.accounts.items() if _is_current(book, id_)}
    for span in {(account.id.start, account.end) for account in current.values()}:
        for id_, charge in _by_moment(book, span, window(*span)):
            settled[id_] += charge
        for id_, charge in _amended(book, span, corrections(*span)):
            settled[id_] += charge
    for id_, account in current.items():
        settled[id_] += account.archived
        name = f"{id_.node} {id_.period} {id_.start}"
        found.append(Drift(name, "leased", account.leased, leased[id_]))
        found.append(Drift(name, "settled", account.settled, settled[id_]))
    return [one for one in found if one.kept != one.recomputed]


def dropped(
    book: Book, usage: Iterable[Charged], corrections: Iterable[Corrected]
) -> tuple[dict[AccountId, int], dict[str, int]]:
    """What rows that the ledger drops stand for: (by account, by lease). It drops what is long
    over, so only accounts without an end are concerned; what leases paid is remembered by them."""
    of_accounts: dict[AccountId, int] = defaultdict(int)
    of_leases: dict[str, int] = defaultdict(int)
    span = (0, FOREVER)
    usage = list(usage)
    for branch, name, charge in usage:
        if (paid_by := _lease(book, branch, name)) is not None:
            of_leases[paid_by.id] += charge
    for id_, charge in _by_moment(book, span, usage):
        of_accounts[id_] += charge
    for id_, charge in _amended(book, span, corrections):
        of_accounts[id_] += charge
    return of_accounts, of_leases


def _is_current(book: Book, id_: AccountId) -> bool:
    """Whether usage can still come to it by its moment."""
    budget = book.budgets.get(id_.node)
    return budget is not None and budget.generation == id_.generation


def _by_moment(
    book: Book, span: tuple[int, int], usage: Iterable[Charged]
) -> Iterable[tuple[AccountId, int]]:
    """Usage that counts by its moment: no lease, or one older than the node's budget."""
    here = _accounts(book, span)
    for branch, name, charge in usage:
        for depth, node in levels(branch):
            account = here.get((branch.organisation, depth, node))
            if account is not None and not paid(book, branch, name, account):
                yield account, charge


def _amended(
    book: Book, span: tuple[int, int], corrections: Iterable[Corrected]
) -> Iterable[tuple[AccountId, int]]:
    """Corrections of requests that counted on accounts of the period they were corrected in."""
    here = _accounts(book, span)
    for branch, name, at, charge in corrections:
        for depth, node in levels(branch):
            account = here.get((branch.organisation, depth, node))
            if account is not None and amends(book, branch, name, at, account):
                yield account, charge


def amends(
    book: Book, branch: Branch, name: str | None, at: int | None, account: AccountId
) -> bool:
    """Whether a request, of a lease and a moment, counted on an account. One whose row was dropped
    counted on those that have no end, and on none of those that have one and still run."""
    if paid(book, branch, name, account):
        lease = _lease(book, branch, name)
        return lease is not None and account in lease.draws
    start, end = bounds(account.period, account.start)
    return end == FOREVER if at is None else start <= at < end


def _accounts(book: Book, span: tuple[int, int]) -> dict[tuple[str, int, str], AccountId]:
    """(organisation, depth, node) -> its account of this period, by the budget that stands."""
    return {
        (id_.organisation, id_.depth, id_.node): id_
        for id_, account in book.accounts.items()
        if (id_.start, account.end) == span and _is_current(book, id_)
    }


def paid(book: Book, branch: Branch, name: str | None, account: AccountId) -> bool:
    """Whether usage of a lease was paid from an account of this budget, this one or another: then
    it does not count by its moment."""
    lease = _lease(book, branch, name)
    if lease is None:
        return False
    return (account.node, account.generation) in {(a.node, a.generation) for a in lease.draws}


def _lease(book: Book, branch: Branch, name: str | None) -> Lease | None:
    """The lease that usage was paid from: the one it names, if that is its own branch's."""
    lease = book.leases.get(name or "")
    return lease if lease is not None and lease.branch == branch else None
