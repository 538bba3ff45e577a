"""Auditing accounts: what they should say, from leases and usage alone, against what they say.

A sum that is kept can go wrong where nobody looks; this looks. The answer must be empty.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from plaza_core.book import AccountId, Book, Lease, levels
from plaza_core.budget import Branch

Window = Callable[[int, int], Iterable[tuple[Branch, str | None, int]]]
"""(start, end) -> usage admitted in between, summed up as (branch, lease, charge)."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One kept number that is not what its rows add up to."""

    what: str
    """`node period start` of an account, or the id of a lease."""
    number: str
    kept: int
    recomputed: int


def drift(book: Book, spent: Mapping[str, int], window: Window) -> list[Drift]:
    """Compare every account in the book, and every lease, with the rows they stand for.

    `spent` is the sum of charges in the ledger by lease.
    """
    leased: dict[AccountId, int] = defaultdict(int)
    settled: dict[AccountId, int] = defaultdict(int)
    found = []
    for lease in book.leases.values():
        for account in (*lease.draws, *lease.holds):
            leased[account] += lease.outstanding
        for account in lease.draws:
            settled[account] += spent.get(lease.id, 0)
        found.append(Drift(lease.id, "spent", lease.spent, spent.get(lease.id, 0)))
    for span in {(account.id.start, account.end) for account in book.accounts.values()}:
        for account, charge in _by_period(book, span, window(*span)):
            settled[account] += charge
    for id_, account in book.accounts.items():
        name = f"{id_.node} {id_.period} {id_.start}"
        found.append(Drift(name, "leased", account.leased, leased[id_]))
        found.append(Drift(name, "settled", account.settled, settled[id_]))
    return [one for one in found if one.kept != one.recomputed]


def _by_period(
    book: Book, span: tuple[int, int], usage: Iterable[tuple[Branch, str | None, int]]
) -> Iterable[tuple[AccountId, int]]:
    """Usage that counts by its moment: no lease, or one that draws from no account of the node."""
    here = {
        (id_.organisation, id_.depth, id_.node): id_
        for id_, account in book.accounts.items()
        if (id_.start, account.end) == span
    }
    for branch, name, charge in usage:
        lease: Lease | None = book.leases.get(name or "")
        drawn = set() if lease is None else {a.node for a in lease.draws if a in book.accounts}
        for depth, node in levels(branch):
            account = here.get((branch.organisation, depth, node))
            if account is not None and node not in drawn:
                yield account, charge
