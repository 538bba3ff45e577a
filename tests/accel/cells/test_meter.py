"""A call is held to account for what its process used, whatever the cell says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plaza_accel.cells.meter import PASSAGE_NS, Meter

MS = 1_000_000


class Process:
    """Its processor time, as the kernel would tell it."""

    def __init__(self):
        self.used = 5 * MS
        self.meter = Meter(lambda: self.used)


def run(process, *, said, used, wall, start=0):
    call = process.meter.begin(start)
    process.used += used
    return process.meter.end(call, said, start + wall)


def test_an_honest_word_counts():
    assert run(Process(), said=3 * MS, used=3 * MS + 50_000, wall=4 * MS) == 3 * MS


def test_saying_less_saves_no_more_than_the_passage():
    assert run(Process(), said=0, used=3 * MS, wall=4 * MS) == 3 * MS - PASSAGE_NS


def test_saying_more_than_the_process_used_is_cut():
    assert run(Process(), said=2**63, used=3 * MS, wall=4 * MS) == 3 * MS


def test_no_call_costs_more_than_the_time_it_took():
    """Threads that a model started may use several processors; who waited pays for one."""
    assert run(Process(), said=2**63, used=9 * MS, wall=4 * MS) == 4 * MS


def test_what_two_calls_hide_between_them_is_the_last_ones():
    process = Process()
    one, two = process.meter.begin(0), process.meter.begin(0)
    process.used += 8 * MS
    first = process.meter.end(one, 0, 5 * MS)
    assert first == 8 * MS - 5 * MS - PASSAGE_NS  # the other may have caused 5 of it
    assert process.meter.end(two, 0, 5 * MS) + first >= 8 * MS - 4 * PASSAGE_NS - 3 * MS


def test_work_between_calls_is_nobodys_bill():
    process = Process()
    run(process, said=MS, used=MS, wall=MS)
    process.used += 100 * MS
    assert run(process, said=MS, used=MS, wall=2 * MS, start=10 * MS) == MS


def test_work_between_calls_is_seen():
    process = Process()
    run(process, said=MS, used=MS, wall=MS)
    process.meter.idle_ns()
    process.used += 70 * MS
    assert process.meter.idle_ns() == 70 * MS
    run(process, said=MS, used=MS, wall=MS)
    process.used += 70 * MS
    assert process.meter.idle_ns() == 0  # it cannot be told from the call's


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 5 * MS), st.integers(0, 2**64), st.integers(0, MS)),
        max_size=30,
    )
)
def test_whatever_is_said_costs_are_within_the_clocks(steps):
    """Begins and ends in any order: each cost lies in [0, wall], the sum within what was used."""
    process, now, inside, total = Process(), 0, [], 0
    began = process.used
    for begins, used, said, wall in steps:
        process.used += used
        now += wall
        if begins and len(inside) < 2:
            inside.append((process.meter.begin(now), now))
        elif inside:
            call, start = inside.pop(0)
            cost = process.meter.end(call, said, now)
            assert 0 <= cost <= now - start
            total += cost
    assert total <= 2 * (process.used - began)
