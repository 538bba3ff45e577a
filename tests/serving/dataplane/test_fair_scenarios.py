"""What organisations get of a pool in simulated time, with admission in front of every replica."""

import random
from functools import partial

import pytest

from plaza_core.errors import Overloaded
from plaza_core.table import RateLimit
from plaza_core.testing import FakeClock
from plaza_serving.dataplane.access import Caller
from plaza_serving.dataplane.admission import Admission
from plaza_serving.dataplane.budgets import Budgets
from plaza_serving.dataplane.rates import Rates
from plaza_serving.dataplane.reservations import Reservations
from plaza_serving.dataplane.reserves import Reserves
from plaza_serving.dataplane.slots import Slots
from tests.serving.dataplane.simulated import jain, lane, pool, table, work

SECONDS = 20
COST_US = 5000
THREADS = 2
WIDE = (("node", RateLimit(per_second=1e9, burst=1_000_000_000)),)


class Hub:
    """`replicas` pools that take requests in turn, as an ingress hands them out."""

    def __init__(self, weights, replicas, borrow=None, places=512):
        self.random = random.Random(1)
        self.pools = [pool(weights, THREADS, borrow) for _ in range(replicas)]
        self.lanes = [lane(2) for _ in self.pools]
        self.doors = []
        for one in self.pools:
            clock = FakeClock()
            held = Reservations(Budgets(clock), Reserves())  # of nobody: none here has a budget
            limits = (Rates(clock), Slots(clock), one.queue, held)
            door = Admission(*limits, places=places, threads=THREADS)
            door.configure(table(weights))
            self.doors.append(door)
            one.on_done = lambda costly, d=door: self._done(d, costly)
        self.again = {}
        self.refused = {}
        self.told = []

    def send(self, organisation, replica, *, cost_us=COST_US, deadline_s=10.0, again=None):
        """One request now. `again` is called when it was served, or 50 ms after a refusal."""
        here = self.pools[replica]
        one = work(organisation, cost_us, deadline_ns=here.now_ns + int(deadline_s * 1e9))
        one.work.admitted_ns = here.now_ns
        caller = Caller(one.work.principal, WIDE, None)
        try:
            self.doors[replica].enter(caller, self.lanes[replica], one.work)
        except Overloaded as error:
            self.told.append(error.retry_after)
            self.refused[organisation] = self.refused.get(organisation, 0) + 1
            if again:
                here.at(here.now_ns + 50_000_000, again)
            return
        self.again[one.work] = (caller, again)
        here.offer(self.lanes[replica], one)
        here.at(one.work.deadline_ns, lambda: self._late(replica, one))

    def closed_loop(self, organisation, clients, cost_us=COST_US, from_s=0.0):
        """So many clients, each sending its next request when it has its answer."""
        for n in range(clients):
            replica = n % len(self.pools)

            client = partial(self._client, organisation, replica, cost_us)
            self.pools[replica].at(int(from_s * 1e9) + n * 1000, client)

    def flood(self, organisation, per_second):
        """Arrivals that wait for nobody."""
        at = 0.0
        while at < SECONDS:
            at += self.random.expovariate(per_second)
            replica = self.random.randrange(len(self.pools))
            self.pools[replica].at(int(at * 1e9), lambda r=replica: self.send(organisation, r))

    def run(self, until_s=SECONDS):
        for one in self.pools:
            one.run(until_s)

    def served(self):
        whole = {}
        for one in self.pools:
            for organisation, us in one.served.items():
                whole[organisation] = whole.get(organisation, 0) + us
        return whole

    def capacity_us(self, seconds=SECONDS):
        return seconds * 1e6 * THREADS * len(self.pools)

    def _client(self, organisation, replica, cost_us):
        cost = int(cost_us * self.random.uniform(0.5, 1.5))
        again = partial(self._client, organisation, replica, cost_us)
        self.send(organisation, replica, cost_us=cost, again=again)

    def _done(self, door, costly):
        caller, again = self.again.pop(costly.work)
        door.leave(caller)
        if again:
            again()

    def _late(self, replica, one):
        if one.work.claim():
            caller, again = self.again.pop(one.work)
            self.doors[replica].leave(caller)
            if again:
                again()


@pytest.mark.parametrize("replicas", [1, 2])
async def test_polite_organisations_keep_what_is_theirs_beside_a_flooder(replicas):
    weights = {"flooder": 1, "p1": 1, "p2": 1, "p3": 1}
    hub = Hub(weights, replicas)
    share_per_second = THREADS * replicas * 1e6 / COST_US / 4
    hub.flood("flooder", 10 * share_per_second)
    for polite in ("p1", "p2", "p3"):
        hub.closed_loop(polite, 12 * replicas)
    hub.run()
    entitlement = hub.capacity_us() / 4
    served = hub.served()
    for polite in ("p1", "p2", "p3"):
        assert served[polite] >= 0.95 * entitlement
        assert not hub.refused.get(polite)
    assert jain(list(served.values())) >= 0.95
    assert hub.refused["flooder"] > 0


@pytest.mark.parametrize("replicas", [1, 2])
async def test_weights_are_kept_within_five_percent(replicas):
    weights = {"one": 1, "two": 2, "four": 4}
    hub = Hub(weights, replicas)
    for organisation in weights:
        hub.closed_loop(organisation, 32 * replicas)
    hub.run()
    served = hub.served()
    for organisation, weight in weights.items():
        assert served[organisation] == pytest.approx(hub.capacity_us() * weight / 7, rel=0.05)


@pytest.mark.parametrize("replicas", [1, 2])
async def test_an_idle_hub_lends_everything(replicas):
    hub = Hub({"busy": 1, "idle": 9}, replicas)
    hub.closed_loop("busy", 16 * replicas)
    hub.run()
    assert hub.served()["busy"] >= 0.95 * hub.capacity_us()


async def test_what_was_lent_is_back_within_one_batch():
    hub = Hub({"borrower": 1, "owner": 1}, 1)
    hub.closed_loop("borrower", 64)
    hub.closed_loop("owner", 8, from_s=5.0)
    here, first = hub.pools[0], []
    answer = here.on_done

    def watch(costly):
        if costly.work.principal.organisation == "owner":
            first.append(here.now_ns)
        answer(costly)

    here.on_done = watch
    hub.run(until_s=6.0)
    # A batch in hand, then its own: two requests each, of at most 1.5 × 5 ms.
    assert first[0] - 5_000_000_000 <= 2 * 2 * 1.5 * COST_US * 1000
    assert hub.served()["owner"] >= 0.95 * hub.capacity_us(1) / 2


async def test_a_borrowing_limit_binds_on_an_idle_hub():
    hub = Hub({"capped": 1, "idle": 3}, 1, borrow={"capped": 100})
    hub.closed_loop("capped", 16)
    hub.run()
    assert hub.served()["capped"] == pytest.approx(hub.capacity_us() / 2, rel=0.02)


async def test_requests_that_nobody_waits_for_any_more_are_never_run():
    """The pool asserts it for every batch; here most of a queue goes that way."""
    served = pool({"a": 1, "b": 1}, THREADS)
    where, wanted = lane(4), []
    for n in range(400):
        one = work("a" if n % 2 else "b", 1000, deadline_ns=(n % 5 + 1) * 2_000_000)
        served.offer(where, one)
        if n % 3 == 0:
            served.at(n * 10_000, one.work.claim)
    keep = work("a", 1000)
    served.offer(where, keep)
    wanted.append(keep)
    served.run(until_s=1)
    ran = [one for batch in served.batches for one in batch]
    assert keep in ran
    assert len(ran) < 60


async def test_a_flooder_cannot_fill_the_queue_and_whoever_comes_finds_room():
    hub = Hub({"flooder": 1, "late": 1}, 1, places=64)
    for _ in range(500):
        hub.send("flooder", 0)
    assert hub.doors[0].inside == 48
    for _ in range(16):
        hub.send("late", 0)
    assert hub.refused == {"flooder": 452}
    hub.send("flooder", 0)
    assert hub.refused == {"flooder": 453}
    assert all(seconds > 0 for seconds in hub.told)


async def test_an_organisation_may_always_hold_eight():
    weights = {f"o{n}": 1 for n in range(50)}
    hub = Hub(weights, 1, places=64)
    for name in list(weights)[:6]:
        for _ in range(8):
            hub.send(name, 0)
    for _ in range(9):
        hub.send("o10", 0)
    assert hub.refused == {"o10": 1}


async def test_a_request_that_would_wait_past_its_deadline_is_refused_at_once():
    hub = Hub({"a": 1, "b": 1}, 1)
    hub.lanes[0].learn(16 * COST_US, 16)
    for _ in range(100):
        hub.send("a", 0)
    hub.send("a", 0, deadline_s=0.01)  # ahead of all the others: it can be done
    assert not hub.refused
    for _ in range(20):
        hub.send("a", 0, deadline_s=0.08)
    assert hub.refused == {"a": 4}
    hub.send("b", 0, deadline_s=0.02)
    assert hub.refused == {"a": 4}


async def test_without_a_measurement_nobody_is_refused_for_the_wait():
    hub = Hub({"a": 1}, 1)
    for _ in range(100):
        hub.send("a", 0, deadline_s=0.001)
    assert not hub.refused
