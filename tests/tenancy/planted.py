"""Seven bugs that other people's quota systems really had, planted on purpose: the machine must
find each of them, or it proves nothing."""

from __future__ import annotations

from plaza_core.bank import MemoryBank
from plaza_core.book import Book
from tests.tenancy.banks import InMemory
from tests.tenancy.budget_machine import BudgetMachine
from tests.tenancy.budget_model import Replica


class StaleBook(Book):
    """Decides every ask of a batch on what was left before the batch: check, then act."""

    def exchange(self, replica, asks, live):
        self.seen = {id_: account.remaining for id_, account in self.accounts.items()}
        return super().exchange(replica, asks, live)

    def short(self, accounts, need):
        left = ((self.seen.get(a.id, a.remaining), a) for a in accounts)
        return next((account for remaining, account in left if remaining < need), None)


class LeafBook(Book):
    """Looks at the key's own account only."""

    def short(self, accounts, need):
        return super().short(accounts[-1:], need)


class StaleBank(MemoryBank):
    book_type = StaleBook


class LeafBank(MemoryBank):
    book_type = LeafBook


class ForgetfulBank(MemoryBank):
    """Settles what it has seen before: no deduplication."""

    def ingest(self, records):
        self.settle([r for r in records if (r.organisation, r.request_id) in self._usage])
        return super().ingest(records)


class RenewingBank(MemoryBank):
    """Gives the key that takes another's place a budget of its own: spent twice in the overlap."""

    def rotate(self, key, new):
        before = self._branches[key]
        self.add(before.model_copy(update={"key": new}))
        if (budget := self._budgets.get(key)) is not None:
            self.set_budget(new, budget.limit, budget.period)
        return before.model_copy(update={"key": new, "line": before.leaf})


class PoppingReplica(Replica):
    """Takes records out of the spool before control has confirmed them."""

    def ship(self, count, outcome="ok"):
        shipment = self.spool[:count]
        del self.spool[:count]
        if outcome != "refused":
            self.bank.ingest(shipment)


class LeakingReplica(Replica):
    """Never gives back the reserve of a cancelled request."""

    def release_cancelled(self, request):
        pass


class RefundingReplica(Replica):
    """Gives back what a request did not use, and then once more."""

    def settle(self, request, actual):
        if request.held is not None:
            request.held.reserved -= request.reserve - actual
        return super().settle(request, actual)


def machine(bank: type[MemoryBank] = MemoryBank, replica: type[Replica] = Replica):
    class Planted(BudgetMachine):
        open_bank = staticmethod(lambda: InMemory(bank))
        replica_type = replica

    return Planted


PLANTED = {
    # bug: (the machine that has it, what the machine says when it finds it)
    "check then act": (
        machine(bank=StaleBank),
        "granted beyond the limit|is over its limit|refused",
    ),
    "no deduplication": (
        machine(bank=ForgetfulBank),
        "twice changed something|have drifted|spent twice",
    ),
    "pop before commit": (
        machine(replica=PoppingReplica),
        "not the ledger|still held at rest|refused",
    ),
    "leak on cancel": (machine(replica=LeakingReplica), "still held at rest|refused"),
    "double refund": (machine(replica=RefundingReplica), "spent twice"),
    "renewed by rotation": (
        machine(bank=RenewingBank),
        "refused|let in without a lease|periods do not add up",
    ),
    "leaf only": (machine(bank=LeafBank), "granted beyond the limit|is over its limit"),
}
