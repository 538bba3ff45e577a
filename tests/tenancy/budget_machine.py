"""The state machine of budgets: a bank, replicas that die, and everything that goes wrong between.

Where each invariant of the design is held (methods are this machine's):

I1   never more granted than the limit      no_account_is_over_its_limit, exchange
I2   parents hold what children hold        parents_have_what_their_children_have
I3   telling twice changes nothing          ship_again_what_is_known, adopt, a_message_comes_twice
I4   at rest the ledger is what clients     check_at_rest
     were charged
I5   at rest nothing is held any more       check_at_rest
I6   after a recall admitted exactly if     admit, room
     it fits on every ancestor
I7   nothing is negative                    no_account_is_over_its_limit
I8   never more inside than slots, also     tests/serving/control/test_apportion.py, Partition
     in a partition
I9   a rate grants b + r·T in any window    tests/serving/dataplane/test_rates.py; of all replicas
                                            together: tests/serving/control/test_apportion.py
I10  a node's first use is limited like     new_key and limit_it in any order, ask_for; on a hub:
     any other                              benchmarks/exact.py
I11  periods add up to the total            periods_add_up
I12  two that always wait differ by one     tests/serving/dataplane/test_fair.py
     request each at most
I13  no worker is free while a request      tests/serving/dataplane/test_fair.py, simulated.py
     may run
I14  kept sums are the sums of rows         sums_are_the_sums_of_their_rows, check_at_rest; hours:
                                            tests/tenancy/test_books.py

A replica's own memory of all this is held by tests/serving/dataplane/test_budget_machine.py.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from plaza_core.accounts import AccountId, levels, written_off
from plaza_core.budget import Branch, Period, bounds
from plaza_core.errors import InvalidInput
from plaza_core.inference import UsageRecord
from tests.tenancy.banks import Bank, InMemory, node_of
from tests.tenancy.budget_model import Lost, Replica, Request, nodes_of, uncovered

PLACES = [("acme", "main"), ("acme", "lab"), ("acme", None), ("city", "main")]
TWICE = "telling it twice changed something"
index = st.integers(0, 7)
amounts = st.integers(1, 20)
limit = st.none() | st.integers(0, 90)
periods = st.sampled_from([Period.TOTAL, Period.DAY])


class BudgetMachine(RuleBasedStateMachine):
    open_bank: Callable[[], Bank] = staticmethod(InMemory)
    replica_type: type[Replica] = Replica

    def __init__(self) -> None:
        super().__init__()
        self.bank = self.open_bank()
        self.names = (f"r{n}" for n in itertools.count(1))
        self.keys: list[Branch] = []
        self.rotated: set[str] = set()
        self.live = [self.new_replica() for _ in range(2)]
        self.dead: list[Replica] = []
        self.budgets: dict[tuple[int, str], tuple[int | None, Period]] = {}
        self.touched: set[str] = set()
        """Nodes whose budget came, went or counted by another period while in use."""
        self.journal: dict[str, UsageRecord] = {}
        """What clients were charged, whatever became of it."""
        self.lost: set[str] = set()
        self.arrived: set[str] = set()
        self.corrections: list[tuple[UsageRecord, int, int]] = []
        """(what was corrected, by how much, when)."""
        self.seen: set[AccountId] = set()
        self.excused: set[AccountId] = set()
        """Accounts over their limit for a reason: it was lowered, or usage came without a lease."""

    def new_replica(self) -> Replica:
        return self.replica_type(next(self.names), self.bank)

    def one_live(self, n: int) -> Replica:
        return self.live[n % len(self.live)]

    def one_key(self, n: int) -> Branch:
        return self.keys[n % len(self.keys)]

    # ── tenants and budgets ──────────────────────────────────────────────────────────────────────
    @initialize(limits=st.tuples(limit, limit, limit), period=periods)
    def begin(self, limits, period):
        self.new_key(0)
        for depth, amount in enumerate(limits):
            if amount is not None:
                self.set_budget(self.keys[0], depth, amount, period)

    @precondition(lambda self: len(self.keys) < 6)
    @rule(place=st.integers(0, 3))
    def new_key(self, place):
        self.keys.append(self.bank.new_key(*PLACES[place]))

    @precondition(lambda self: len(self.keys) < 6)
    @rule(key=index)
    def rotate(self, key):
        """The old one works on beside the new one."""
        old = self.one_key(key)
        if old.key not in self.rotated:
            self.rotated.add(old.key)
            self.keys.append(self.bank.rotate(old))

    @rule(key=index, depth=st.integers(0, 2), amount=limit, period=periods, keep=st.booleans())
    def limit_it(self, key, depth, amount, period, keep):
        branch = self.one_key(key)
        if depth == 1 and branch.project is None:
            return
        before = self.budgets.get((depth, node_of(branch, depth)))
        if keep and before is not None:
            period = before[1]
        self.set_budget(branch, depth, amount, period)

    def set_budget(self, branch, depth, amount, period):
        node = node_of(branch, depth)
        before = self.budgets.get((depth, node))
        in_use = before is None and bool(self.journal or self.bank.leases())
        if in_use or (before is not None and before[1] != period):
            self.touched.add(node)
        self.bank.set_budget(branch, depth, amount, period)
        self.budgets[depth, node] = (amount, period)
        self.excused |= {id_ for id_ in self.bank.accounts() if id_.node == node}

    @rule(key=index, depth=st.integers(0, 2))
    def remove_budget(self, key, depth):
        branch = self.one_key(key)
        node = branch.project if depth == 1 else node_of(branch, depth)
        if (depth, node) in self.budgets:
            del self.budgets[depth, node]
            self.touched.add(node)
            self.bank.remove_budget(branch, depth)

    # ── requests ─────────────────────────────────────────────────────────────────────────────────
    @rule(replica=index, key=index, amount=amounts, wish=st.integers(0, 60), lose=st.booleans())
    def admit(self, replica, key, amount, wish, lose):
        mine, branch = self.one_live(replica), self.one_key(key)
        if mine.reserve(branch, amount) is not None:
            return
        try:
            refused = self.ask_for(mine, branch, amount, wish, lose=lose)
        except Lost:
            return
        if refused:
            self.recall(mine, branch)
            room = self.room(branch)
            refused = self.ask_for(mine, branch, amount, 0)
            assert refused == (room < amount), f"refused {amount} with {room} left"

    def ask_for(self, mine: Replica, branch: Branch, amount: int, wish: int, *, lose=False) -> bool:
        """Ask until there is an answer; True when it is a refusal."""
        for _ in range(4):
            held = mine.current(branch)
            need = amount if held is None else amount - held.free
            grants = self.exchange(mine, {branch.key: (branch, need, wish)}, lose=lose)
            grant = grants[branch.key]
            if grant.lease is None and grant.short_of is None:
                assert not self.limits_on(branch), "a limited key was let in without a lease"
                mine.admit_unmetered(branch, amount)
                return False
            if grant.short_of is not None:
                assert grant.short_of in branch.nodes(), "refused by an account that is not its own"
                return True
            if mine.reserve(branch, amount) is not None:
                return False
        raise AssertionError("asked four times, and neither refused nor admitted")

    def recall(self, asker: Replica, branch: Branch) -> None:
        """What control does before it refuses: all live replicas give back what they do not use."""
        for replica in self.live:
            replica.hear(self.bank.held_by(replica.name))
            replica.trim(but=branch.key if replica is asker else None)
            self.exchange(replica, {})

    def room(self, branch: Branch) -> float:
        """What the branch may still spend, by what is really in use everywhere."""
        accounts, leases = self.bank.accounts(), self.bank.leases().values()
        rooms = [float("inf")]
        for (_depth, node), (amount, period) in self.limits_on(branch).items():
            start, _ = bounds(period, self.bank.clock.unix_us())
            ids = (i for i in accounts if (i.node, i.period, i.start) == (node, period, start))
            id_ = max(ids, key=lambda id_: id_.generation, default=None)
            if amount is not None:
                settled = accounts[id_].settled if id_ in accounts else 0
                on_it = [lease for lease in leases if id_ in (*lease.draws, *lease.holds)]
                rooms.append(amount - settled - sum(map(self.really_held, on_it)))
        return min(rooms)

    def really_held(self, lease) -> int:
        """Reserved by requests inside, or spent and not in the ledger; all of a dead replica's."""
        if lease.closed is not None:
            return 0
        replica = next((r for r in self.live if r.name == lease.replica), None)
        return lease.outstanding if replica is None else self.in_use(replica, lease.id)

    def in_use(self, replica: Replica, lease: str) -> int:
        inside = (r.reserve for r in replica.inside if r.held and r.held.lease == lease)
        return sum(inside) + self.unshipped(replica, lease)

    def unshipped(self, replica: Replica, lease: str) -> int:
        return sum(
            record.charge
            for record in replica.spool
            if record.lease == lease and record.request_id not in self.arrived
        )

    def limits_on(self, branch: Branch) -> dict:
        return {at: self.budgets[at] for at in levels(branch) if at in self.budgets}

    @rule(replica=index, wanted=st.lists(amounts, min_size=2, max_size=6), wish=st.integers(0, 30))
    def admit_many(self, replica, wanted, wish):
        mine = self.one_live(replica)
        asked = {key.key: (key, n) for key, n in zip(self.keys, wanted, strict=False)}
        wants = {key: (branch, amount, wish) for key, (branch, amount) in asked.items()}
        self.exchange(mine, wants)
        for branch, amount in asked.values():
            mine.reserve(branch, amount)

    def inside(self) -> list[tuple[Replica, Request]]:
        return [(replica, request) for replica in self.live for request in replica.inside]

    @precondition(lambda self: self.inside())
    @rule(request=index, parts=st.integers(0, 4))
    def settle(self, request, parts):
        mine, one = self.inside()[request % len(self.inside())]
        record = mine.settle(one, one.reserve * parts // 4)
        self.journal[record.request_id] = record

    @precondition(lambda self: self.inside())
    @rule(request=index)
    def cancel(self, request):
        mine, one = self.inside()[request % len(self.inside())]
        mine.cancel(one)

    # ── between replicas and control ─────────────────────────────────────────────────────────────
    def exchange(self, replica: Replica, wants: dict, *, lose: bool = False) -> dict:
        before = self.bank.accounts()
        leased = {id_: account.leased for id_, account in before.items()}
        try:
            return replica.exchange(wants, live=len(self.live), lose=lose)
        finally:
            for id_, account in self.bank.accounts().items():
                if account.leased > leased.get(id_, 0):
                    assert account.remaining >= 0, f"granted beyond the limit of {id_}"

    @rule(replica=index, trim=st.booleans(), lose=st.booleans())
    def tell(self, replica, trim, lose):
        mine = self.one_live(replica)
        if trim:
            mine.trim()
        try:
            self.exchange(mine, {}, lose=lose)
        except Lost:
            return

    @rule(replica=index)
    def a_message_comes_twice(self, replica):
        mine = self.one_live(replica)
        self.bank.exchange(mine.name, mine.last, live=len(self.live))

    @precondition(lambda self: any(replica.spool for replica in self.live))
    @rule(replica=index, count=st.integers(1, 5), how=st.sampled_from(["ok", "refused", "unheard"]))
    def ship(self, replica, count, how):
        able = [one for one in self.live if one.spool]
        mine = able[replica % len(able)]
        shipment = mine.spool[:count]
        self.arrive(shipment, lambda: mine.ship(count, how), really=how != "refused")

    @rule(count=st.integers(1, 5))
    def ship_again_what_is_known(self, count):
        known = [self.journal[request] for request in sorted(self.arrived & set(self.journal))]
        before = self.standing()
        self.bank.ingest(known[-count:])
        assert self.standing() == before, TWICE

    def arrive(self, shipment: list[UsageRecord], act: Callable[[], object], *, really=True):
        before, leases = self.bank.accounts(), self.bank.leases()
        before = {id_: (a.settled, a.leased) for id_, a in before.items()}
        act()
        if really:
            self.arrived |= {record.request_id for record in shipment}
        for id_, account in self.bank.accounts().items():
            settled, leased = before.get(id_, (0, 0))
            if account.settled - settled > leased - account.leased:
                nodes = (nodes_of(record, self.keys) for record in shipment)
                found = zip(shipment, nodes, strict=True)
                assert any(uncovered(record, id_, leases, its) for record, its in found)
                self.excused.add(id_)

    def standing(self) -> tuple:
        accounts = sorted((id_, (a.settled, a.leased)) for id_, a in self.bank.accounts().items())
        return accounts, sorted(self.bank.leases().items(), key=lambda pair: pair[0])

    # ── corrections ──────────────────────────────────────────────────────────────────────────────
    def correctable(self) -> list[UsageRecord]:
        return [self.journal[request] for request in sorted(self.arrived & set(self.journal))]

    @precondition(lambda self: self.correctable())
    @rule(request=index, parts=st.integers(-4, 4))
    def correct(self, request, parts):
        """An operator gives back, or adds, a part of what a request was charged."""
        record = self.correctable()[request % len(self.correctable())]
        charge = max(record.charge * parts // 4, -self.net(record))
        if charge == 0:
            return
        before, leases = self.standing(), self.bank.leases()
        try:
            self.bank.correct(record.organisation, record.request_id, charge)
        except InvalidInput:  # clocks went back meanwhile: the account has less than that
            assert self.standing() == before
            return
        now = self.bank.clock.unix_us()
        self.corrections.append((record, charge, now))
        accounts = dict(before[0])
        assert self.bank.leases() == leases, "a correction moved a lease"
        for id_, account in self.bank.accounts().items():
            assert account.settled >= 0
            if account.settled > accounts.get(id_, (0, 0))[0]:
                self.excused.add(id_)

    def net(self, record: UsageRecord) -> int:
        """What a request was charged, with its corrections."""
        return record.charge + sum(c for r, c, _ in self.corrections if r is record)

    # ── deaths ───────────────────────────────────────────────────────────────────────────────────
    @rule(replica=index)
    def kill(self, replica):
        """kill -9: requests inside are gone; what is in the spool is on the disk."""
        victim = self.one_live(replica)
        victim.inside.clear()
        self.live.remove(victim)
        self.dead.append(victim)
        self.live.append(self.new_replica())

    @precondition(lambda self: self.dead)
    @rule(replica=index)
    def adopt(self, replica):
        victim = self.dead.pop(replica % len(self.dead))
        self.arrive(victim.spool, lambda: self.bank.ingest(victim.spool))
        before = self.standing()
        self.bank.ingest(victim.spool)  # somebody else adopted it too
        assert self.standing() == before, TWICE
        self.bank.close(victim.name)
        assert self.bank.close(victim.name) == 0

    @precondition(lambda self: self.dead)
    @rule(replica=index)
    def lose_the_host(self, replica):
        victim = self.dead.pop(replica % len(self.dead))
        self.lost |= {r.request_id for r in victim.spool if r.request_id not in self.arrived}
        for lease in sorted(self.bank.leases().values(), key=lambda lease: lease.id):
            if lease.replica == victim.name and lease.closed is None:
                self.write_off(lease, victim)

    def write_off(self, lease, victim: Replica) -> None:
        mine = (r for r in victim.spool if r.lease == lease.id and r.request_id in self.lost)
        assert lease.outstanding >= sum(record.charge for record in mine)
        loss = written_off(lease, self.bank.clock.unix_us())
        self.arrive([loss], lambda: self.bank.write_off(lease.id))
        before = self.standing()
        assert self.bank.write_off(lease.id) == 0
        assert self.standing() == before, TWICE

    # ── time ─────────────────────────────────────────────────────────────────────────────────────
    @rule(hours=st.sampled_from([0.01, 1, 11, 25]))
    def time_passes(self, hours):
        self.hear_all()
        self.bank.clock.advance(hours * 3600)

    @rule(hours=st.sampled_from([-25, -1, 1, 25]))
    def the_clock_jumps(self, hours):
        self.hear_all()
        self.bank.clock._unix += int(hours * 3600e6)

    def hear_all(self) -> None:
        """Replicas tell every second, so none is a day behind on what control has ended."""
        for replica in self.live:
            self.exchange(replica, {})

    # ── what must always hold ────────────────────────────────────────────────────────────────────
    @invariant()
    def no_account_is_over_its_limit(self):
        for id_, account in self.bank.accounts().items():
            assert account.settled >= 0
            assert account.leased >= 0
            if id_ not in self.seen and account.leased == 0:
                self.excused.add(id_)  # opened with usage from before its budget
            self.seen.add(id_)
            if account.remaining >= 0:
                self.excused.discard(id_)
            else:
                assert id_ in self.excused, f"{id_} is over its limit"

    @invariant()
    def control_holds_what_replicas_hold(self):
        leases = self.bank.leases()
        for replica in (*self.live, *self.dead):
            for held in itertools.chain.from_iterable(replica.held.values()):
                free = held.free if replica in self.live else 0
                really = max(0, free) + self.in_use(replica, held.lease)
                assert leases[held.lease].outstanding >= really, "spent twice"

    @invariant()
    def parents_have_what_their_children_have(self):
        accounts = self.bank.accounts()
        below: dict[AccountId, list[int]] = {}
        for id_, account in accounts.items():
            ups = (up for up in accounts if up[:2] == (id_.organisation, 0))
            up = next((up for up in ups if (up.period, up.start) == (id_.period, id_.start)), None)
            if id_.depth == 2 and up is not None and not {id_.node, up.node} & self.touched:
                sums = below.setdefault(up, [0, 0])
                sums[0] += account.settled
                sums[1] += account.leased
        for up, (settled, leased) in below.items():
            assert accounts[up].settled >= settled
            assert accounts[up].leased >= leased

    @invariant()
    def sums_are_the_sums_of_their_rows(self):
        assert self.bank.drift() == [], "sums have drifted from their rows"

    # ── rest ─────────────────────────────────────────────────────────────────────────────────────
    def teardown(self):
        if self.keys and sys.exc_info()[0] is None:  # the first failure is the one to tell
            self.come_to_rest()
            self.check_at_rest()
        self.bank.stop()

    def come_to_rest(self) -> None:
        while self.dead:
            self.adopt(0)
        while self.inside():
            self.settle(0, 3)
        for replica in self.live:
            self.arrive(list(replica.spool), lambda mine=replica: mine.ship(len(mine.spool)))
            replica.hear(self.bank.held_by(replica.name))
            replica.trim()
            self.exchange(replica, {})

    def check_at_rest(self) -> None:
        assert {a.leased for a in self.bank.accounts().values()} <= {0}, "still held at rest"
        assert all(lease.outstanding == 0 for lease in self.bank.leases().values())
        ledger = {record.request_id: record for record in self.bank.usage()}
        losses = {id_ for id_, record in ledger.items() if record.outcome == "written_off"}
        kept = {id_: record for id_, record in self.journal.items() if id_ not in self.lost}
        assert {id_: r for id_, r in ledger.items() if id_ not in losses} == kept, "not the ledger"
        self.periods_add_up(ledger)
        assert self.bank.drift() == [], "sums have drifted from their rows"

    def periods_add_up(self, ledger: dict[str, UsageRecord]) -> None:
        for depth, node in self.budgets:
            if node not in self.touched:
                whole = sum(r.charge for r in ledger.values() if node in nodes_of(r, self.keys))
                whole += self.amended(depth, node)
                accounts = self.bank.accounts().items()
                kept = sum(a.settled for id_, a in accounts if id_.node == node)
                assert kept == whole, "periods do not add up"

    def amended(self, depth: int, node: str) -> int:
        """Corrections that a node heard of: those of its requests made while the period ran that
        the request was paid from, its lease's or else that of its moment."""
        period, leases, found = self.budgets[depth, node][1], self.bank.leases(), 0
        for record, charge, now in self.corrections:
            if node in nodes_of(record, self.keys):
                lease = leases.get(record.lease or "")
                start, _ = bounds(period, record.at_unix_us)
                if lease is not None:
                    start = next((a.start for a in lease.draws if a.node == node), start)
                found += charge if bounds(period, now)[0] == start else 0
        return found
