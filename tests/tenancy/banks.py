"""Two banks behind one face, for stories and for the state machine: in memory and on SQL."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import sqlalchemy

from plaza_core.accounts import Account, AccountId, Lease
from plaza_core.bank import MemoryBank
from plaza_core.budget import Branch, Grant, LeaseAsk, Period
from plaza_core.ids import KeyId, OrganisationId, ProjectId
from plaza_core.inference import UsageRecord
from plaza_core.principal import Right, Role
from plaza_core.testing import FakeClock
from plaza_tenancy.book_rows import ACCOUNTS, LEASES, read_accounts, read_leases
from plaza_tenancy.corrections import About
from plaza_tenancy.entries import RECORD_FIELDS, record_of
from plaza_tenancy.nodes import Kind, Node
from plaza_tenancy.schema import UsageRow
from plaza_tenancy.views import Kind as Entry
from tests.postgres import Server
from tests.tenancy.world import make_record, new_world

EVER = {"since_us": 0, "until_us": 2**62}
IN_MEMORY = "sqlite+pysqlite:///:memory:"


class InMemory:
    """`MemoryBank` or a planted one of its kind."""

    def __init__(self, bank: type[MemoryBank] = MemoryBank) -> None:
        self.clock = FakeClock()
        self.bank = bank(self.clock)
        self._numbers = itertools.count(1)
        self.exchange = self.bank.exchange
        self.held_by = self.bank.held_by
        self.close = self.bank.close
        self.write_off = self.bank.write_off
        self.ingest = self.bank.ingest
        self.drift = self.bank.drift
        self.correct = self.bank.correct

    def new_key(self, organisation: str, project: str | None) -> Branch:
        branch = Branch(
            organisation=OrganisationId(f"org_{organisation}"),
            project=None if project is None else ProjectId(f"prj_{organisation}_{project}"),
            key=KeyId(f"key{next(self._numbers)}"),
        )
        self.bank.add(branch)
        return branch

    def rotate(self, branch: Branch) -> Branch:
        return self.bank.rotate(branch.key, KeyId(f"key{next(self._numbers)}"))

    def set_budget(self, branch: Branch, depth: int, limit: int | None, period: Period) -> None:
        self.bank.set_budget(node_of(branch, depth), limit, period)

    def remove_budget(self, branch: Branch, depth: int) -> None:
        self.bank.remove_budget(node_of(branch, depth))

    def accounts(self) -> dict[AccountId, Account]:
        return dict(self.bank.book.accounts)

    def leases(self) -> dict[str, Lease]:
        return dict(self.bank.book.leases)

    def usage(self) -> list[UsageRecord]:
        return self.bank.usage

    def stop(self) -> None:
        pass


class OnSql:
    """`Tenancy.leases`, `.budgets` and `.ledger` on a database of its own."""

    def __init__(self, url: str = IN_MEMORY, *, done: Callable[[], None] = lambda: None) -> None:
        """`done` is called after it was stopped."""
        self.world = new_world(url)
        self._done = done
        self.clock = self.world.clock
        self.tenancy = self.world.tenancy
        self.exchange = self.tenancy.leases.exchange
        self.held_by = self.tenancy.leases.held_by
        self.close = self.tenancy.leases.close
        self.ingest = self.tenancy.ledger.ingest
        self.drift = self.tenancy.leases.drift
        self._names: dict[str, str] = {}
        """Node id -> how people name it."""

    def new_key(self, organisation: str, project: str | None) -> Branch:
        t, operator = self.tenancy, self.world.operator
        if organisation not in self._names.values():
            self._names[self.world.organisation(organisation).organisation] = organisation
        whole = t.scope(operator, Right.KEYS_WRITE, organisation=organisation)
        if project is not None and project not in {p.name for p in t.projects.list(whole)}:
            t.projects.create(whole, project)
        scope = t.scope(operator, Right.KEYS_WRITE, organisation=organisation, project=project)
        key = KeyId(t.keys.create(scope, role=Role.CONSUMER).id)
        if scope.project is not None:
            self._names[scope.project] = project
        return Branch(organisation=scope.organisation, project=scope.project, key=key)

    def rotate(self, branch: Branch) -> Branch:
        """Both keys work on, for as long as there are stories."""
        name = self._names[branch.organisation]
        scope = self.tenancy.scope(self.world.operator, Right.KEYS_WRITE, organisation=name)
        new = self.tenancy.keys.rotate(scope, branch.key, overlap_us=2**50)
        return branch.model_copy(update={"key": new.id, "line": branch.leaf})

    def set_budget(self, branch: Branch, depth: int, limit: int | None, period: Period) -> None:
        self.tenancy.budgets.set(*self.place(branch, depth), limit=limit, period=period)

    def remove_budget(self, branch: Branch, depth: int) -> None:
        self.tenancy.budgets.remove(*self.place(branch, depth))

    def place(self, branch: Branch, depth: int):
        node = node_of(branch, depth)
        if depth == 0:
            return self.world.platform(), Node(Kind.ORGANISATION, self._names[node])
        name = self._names[branch.organisation]
        scope = self.tenancy.scope(self.world.operator, Right.TENANTS_WRITE, organisation=name)
        return scope, Node(tuple(Kind)[depth], self._names.get(node, node))

    def correct(self, organisation: str, request: str, charge: int) -> None:
        about = About(request=request)
        self.tenancy.ledger.correct(
            self.world.platform(),
            self._names[organisation],
            charge=charge,
            reason="a story",
            about=about,
        )

    def write_off(self, lease: str) -> int:
        return self.tenancy.leases.write_off(self.world.platform(), lease)

    def accounts(self) -> dict[AccountId, Account]:
        with self.tenancy._store.read_everything() as session:
            return {a.id: a for a in read_accounts(session, [ACCOUNTS.c.settled >= 0])}

    def leases(self) -> dict[str, Lease]:
        with self.tenancy._store.read_everything() as session:
            return {lease.id: lease for lease in read_leases(session, [LEASES.c.opened >= 0])}

    def usage(self) -> list[UsageRecord]:
        """Requests, and what was written off."""
        columns = [getattr(UsageRow, name) for name in RECORD_FIELDS]
        query = sqlalchemy.select(*columns).where(UsageRow.kind != Entry.CORRECTION)
        with self.tenancy._store.read_everything() as session:
            return [record_of(tuple(row)) for row in session.execute(query)]

    def stop(self) -> None:
        self.tenancy.close()
        self._done()


def on_postgres(server: Server) -> OnSql:
    """On a database of its own, which it gives back."""
    database = server.migrated()
    return OnSql(database.url, done=lambda: server.drop(database))


Bank = InMemory | OnSql


def node_of(branch: Branch, depth: int) -> str:
    node = (branch.organisation, branch.project, branch.leaf)[depth]
    assert node is not None
    return node


def ask(bank: Bank, replica: str, branch: Branch, **fields) -> Grant:
    """One ask, by itself."""
    live = fields.pop("live", 1)
    (grant,) = bank.exchange(replica, [LeaseAsk(key=branch.key, **fields)], live=live)
    return grant


def charge(
    bank: Bank, branch: Branch, request: str, amount: int, *, lease: str | None = None, **other
) -> UsageRecord:
    """A record of usage, admitted now."""
    fields = {"at_unix_us": bank.clock.unix_us(), "replica": "r1"} | other
    return make_record(
        branch.organisation,
        request,
        project=branch.project,
        key=branch.key,
        charge=amount,
        lease=lease,
        **fields,
    )
