"""Who is next: shares, their bounds, the order inside an organisation, and what never runs."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from plaza_serving.dataplane.fair import TOLERANCE_NS, FairQueue
from plaza_serving.dataplane.flows import PATIENCE
from tests.serving.dataplane.simulated import failed, lane, pool, table, work

ORGANISATIONS = ("a", "b", "c")


def order(queue, count=1000, now_ns=0):
    """The keys (without their organisation) of everything, in the order in which it is taken."""
    taken = []
    while len(taken) < count and (batch := queue.take(now_ns)):
        taken += [w.principal.key.partition("/")[2] for w in batch[1]]
    return taken


@st.composite
def backlogs(draw):
    """Weights, lanes (batch size, exact cost or None for any), and how requests are drawn."""
    weights = {o: draw(st.integers(1, 8)) for o in ORGANISATIONS}
    lanes = draw(
        st.lists(st.tuples(st.integers(1, 6), st.integers(1, 5000)), min_size=1, max_size=3)
    )
    picks = draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 20_000)), min_size=8, max_size=40)
    )
    return weights, lanes, picks


def always_backlogged(weights, lanes, picks, cost_of):
    """Serve 200 batches with one worker, everybody always waiting.

    Yields after each batch what everybody has had so far, and the most that one batch gave each.
    """
    served = pool(weights)
    places = [lane(at_once) for at_once, _ in lanes]
    for place, (_, cost) in zip(places, lanes, strict=True):
        place.learn(cost, 1)
    most = dict.fromkeys(ORGANISATIONS, 0)
    waiting = dict.fromkeys(ORGANISATIONS, 0)
    draws = itertools.cycle(picks)

    def refill():
        for organisation in ORGANISATIONS:
            while waiting[organisation] < 14:
                which, cost = next(draws)
                which %= len(places)
                served.offer(places[which], work(organisation, cost_of(lanes[which], cost)))
                waiting[organisation] += 1

    refill()
    for _ in range(200):
        before = dict(served.served)
        batch = served.queue.take(served.now_ns)
        guessed = dict.fromkeys(ORGANISATIONS, 0)
        for one in batch[1]:
            waiting[one.principal.organisation] -= 1
            guessed[one.principal.organisation] += one.estimate_us
        refill()
        served._idle -= 1
        served._finish(batch, [served._known[w] for w in batch[1]])
        for o in ORGANISATIONS:
            got = served.served.get(o, 0) - before.get(o, 0)
            most[o] = max(most[o], got, guessed[o])
        yield served.served, most


def assert_bound(weights, history, factor=1):
    """|W_i/w_i − W_j/w_j| over every interval: the range of the difference from the start."""
    states = [({o: s.get(o, 0) for o in ORGANISATIONS}, dict(m)) for s, m in history]
    most = states[-1][1]
    for i, j in itertools.combinations(ORGANISATIONS, 2):
        lead = [0.0] + [s[i] / weights[i] - s[j] / weights[j] for s, _ in states]
        bound = factor * (most[i] / weights[i] + most[j] / weights[j])
        assert max(lead) - min(lead) <= bound + 1e-3


@given(backlogs())
def test_two_that_always_wait_stay_within_the_bound_of_start_time_fair_queueing(setting):
    """I12, one request at a time, whatever each of them costs."""
    weights, lanes, picks = setting
    single = [(1, cost) for _, cost in lanes]
    history = always_backlogged(weights, single, picks, lambda _, cost: cost)
    assert_bound(weights, [(dict(s), dict(m)) for s, m in history])


@given(backlogs())
def test_the_bound_holds_for_batches_of_several_lanes(setting):
    """I12, joined requests whose lane costs what it has cost before."""
    weights, lanes, picks = setting
    history = always_backlogged(weights, lanes, picks, lambda where, _: where[1])
    assert_bound(weights, [(dict(s), dict(m)) for s, m in history])


@given(backlogs())
def test_joined_requests_of_unknown_cost_stay_within_twice_the_bound(setting):
    weights, lanes, picks = setting
    history = always_backlogged(weights, lanes, picks, lambda _, cost: cost)
    assert_bound(weights, [(dict(s), dict(m)) for s, m in history], factor=2)


arrivals = st.lists(
    st.tuples(
        st.integers(0, 50_000),  # µs since the one before
        st.sampled_from(ORGANISATIONS),
        st.integers(1, 30_000),  # cost
        st.integers(0, 2),  # lane
        st.one_of(st.none(), st.integers(1, 60_000)),  # deadline in µs
        st.booleans(),  # cancelled soon
    ),
    min_size=1,
    max_size=60,
)


@given(
    arrivals,
    st.integers(1, 3),
    st.dictionaries(st.sampled_from(ORGANISATIONS), st.sampled_from([None, 0, 50, 400])),
)
def test_no_worker_idles_while_a_request_waits_that_may_run(plan, threads, borrow):
    """I13, with late, cancelled and capped requests among them; and everything wanted is served."""
    served = pool(dict.fromkeys(ORGANISATIONS, 1), threads, borrow)
    lanes = [lane(1), lane(2), lane(8)]
    at_us, wanted = 0, []
    for gap, organisation, cost, where, deadline, cancelled in plan:
        at_us += gap
        due = (at_us + deadline) * 1000 if deadline else 1 << 60
        one = work(organisation, cost, deadline_ns=due)
        served.at(at_us * 1000, lambda w=lanes[where], o=one: served.offer(w, o))
        if cancelled:
            served.at((at_us + 10) * 1000, one.work.claim)
        elif not deadline:
            wanted.append(one)
    served.run(until_s=1e6)
    ran = [one for batch in served.batches for one in batch]
    assert len(ran) == len(set(map(id, ran)))
    assert {id(one) for one in wanted} <= {id(one) for one in ran}
    assert not served.queue._active


@given(
    st.lists(st.tuples(st.integers(0, 400_000), st.integers(1, 60_000)), min_size=1, max_size=60),
    st.sampled_from([0, 50, 100]),
    st.integers(1, 2),
)
def test_a_borrowing_limit_holds_in_every_interval(plan, percent, threads):
    """Also while nobody else waits: at most c·threads·(T + 50 ms) and what was begun last."""
    served = pool({"a": 1, "b": 3}, threads, {"a": percent})
    where, at_us, spent = lane(1), 0, []
    for gap, cost in plan:
        at_us += gap
        served.at(at_us * 1000, lambda c=cost: served.offer(where, work("a", c)))
    served.on_begin = lambda works: spent.append((served.now_ns, sum(w.cost_us for w in works)))
    served.run(until_s=1e6)
    part = 0.25 * (1 + percent / 100)
    largest = max(cost for _, cost in plan)
    assert sum(cost for _, cost in spent) == sum(cost for _, cost in plan)
    for i, j in itertools.combinations_with_replacement(range(len(spent)), 2):
        interval_us = (spent[j][0] - spent[i][0]) / 1000
        allowed = part * threads * (interval_us + TOLERANCE_NS / 1000)
        assert sum(c for _, c in spent[i : j + 1]) <= allowed + (threads + 1) * largest + 10


def test_a_key_cannot_outweigh_the_keys_beside_it():
    queue, where = FairQueue(1), lane()
    queue.configure(table({"a": 1}))
    for _ in range(30):
        queue.offer(where, work("a", key="greedy", project="one").work)
    for _ in range(3):
        queue.offer(where, work("a", key="modest", project="one").work)
    assert order(queue, 6).count("modest") == 3


def test_a_project_with_many_keys_gets_as_much_as_a_project_with_one():
    queue, where = FairQueue(1), lane()
    queue.configure(table({"a": 1}))
    for n in range(60):
        queue.offer(where, work("a", key=f"many{n % 6}", project="one").work)
        queue.offer(where, work("a", key="single", project="two").work)
    assert abs(order(queue, 60).count("single") - 30) <= 2


def test_inside_a_key_the_earliest_deadline_goes_first():
    queue, where = FairQueue(1), lane()
    queue.configure(table({"a": 1}))
    works = [work("a", deadline_ns=d).work for d in (300, 100, 200)]
    for one in works:
        queue.offer(where, one)
    assert [queue.take(0)[1][0].deadline_ns for _ in works] == [100, 200, 300]


def test_inside_a_key_what_it_calls_urgent_goes_before_any_deadline():
    queue, where = FairQueue(1), lane()
    queue.configure(table({"a": 1}))
    for priority, deadline_ns in ((9, 100), (5, 200), (1, 400), (5, 150)):
        queue.offer(where, work("a", deadline_ns=deadline_ns, priority=priority).work)
    assert [queue.take(0)[1][0].deadline_ns for _ in range(4)] == [400, 150, 200, 100]


def test_a_request_cannot_call_itself_urgent_before_other_keys():
    queue, where = FairQueue(1), lane()
    queue.configure(table({"a": 1}))
    queue.offer(where, work("a", key="first", priority=9).work)
    queue.offer(where, work("a", key="second", priority=1).work)
    assert order(queue) == ["first", "second"]


def test_a_higher_priority_goes_first_but_nobody_is_passed_over_for_ever():
    queue, where = FairQueue(1), lane()
    queue.configure(table({"a": 1}, priorities={"a/high": 5, "a/low": -5}))
    queue.offer(where, work("a", key="low").work)
    for _ in range(100):
        queue.offer(where, work("a", key="high").work)
    taken = order(queue)
    assert taken[0] == "high"
    assert taken.index("low") == 2 * PATIENCE


def test_who_comes_back_from_idle_has_banked_nothing():
    queue, where = FairQueue(1), lane()
    queue.configure(table({"a": 1, "b": 1}))
    for _ in range(100):
        queue.offer(where, work("a").work)
    for _ in range(50):
        queue.take(0)
    for _ in range(20):
        queue.offer(where, work("b").work)
    first = [queue.take(0)[1][0].principal.organisation for _ in range(20)]
    assert 9 <= first.count("b") <= 11


def test_a_correction_after_a_rest_is_no_credit():
    """Estimated dear, found cheap, idle in between: the lift has already absorbed it."""
    queue, dear, cheap = FairQueue(2), lane(), lane()
    queue.configure(table({"a": 1, "b": 1}))
    dear.learn(50_000, 1)
    cheap.learn(1000, 1)
    queue.offer(dear, work("a").work)
    early = queue.take(0)
    for _ in range(400):
        queue.offer(cheap, work("b").work)
    for _ in range(200):
        queue.take(0)
    queue.offer(cheap, work("a").work)
    tag = queue._organisations["a"].tag
    one = work("a", 1000)
    one.work = early[1][0]
    queue.settle(dear, [failed(one)])
    assert queue._organisations["a"].tag == tag
    one.work.flow.correct(one.work, 1000)
    assert queue._organisations["a"].tag == tag


def test_failing_is_no_way_to_run_for_nothing():
    queue, where = FairQueue(1), lane()
    queue.configure(table({"a": 1}))
    one = work("a")
    queue.offer(where, one.work)
    batch = queue.take(0)
    queue.settle(where, [failed(one)])
    assert queue._organisations["a"].tag == batch[1][0].estimate_us > 0


def test_clients_that_leave_fill_no_memory():
    queue, where = FairQueue(1), lane()
    queue.configure(table({"a": 1}))
    for _ in range(10_000):
        one = work("a").work
        queue.offer(where, one)
        one.claim()
    (waiting,) = where.waiting[queue._organisations["a"]].values()
    assert len(waiting) <= 1025
    assert queue.take(0) is None
    assert not where.waiting


def test_a_table_changes_weights_while_requests_wait():
    served = pool({"a": 1, "b": 1})
    where = lane()
    for _ in range(300):
        served.offer(where, work("a", 100))
        served.offer(where, work("b", 100))
    served.queue.configure(table({"a": 1, "b": 3}))
    served.run(until_s=0.02)
    assert 2.8 <= served.served["b"] / served.served["a"] <= 3.2


def test_who_is_over_its_limit_in_another_lane_keeps_nobody_from_a_batch():
    """Its tag is the lowest because it may not run: it must not count as who is served first."""
    queue, own, other = FairQueue(1), lane(), lane(at_once=2)
    queue.configure(table({"a": 1, "b": 9}, borrow={"a": 0}))
    other.learn(90_000_000, 1)
    own.learn(1_000_000, 1)
    for name, where in (("a", own), ("b", other)) * 3:
        queue.offer(where, work(name).work)
    batches = [queue.take(0)[1] for _ in range(3)]
    owners = [[each.principal.organisation for each in batch] for batch in batches]
    assert owners == [["a"], ["b", "b"], ["b"]]
