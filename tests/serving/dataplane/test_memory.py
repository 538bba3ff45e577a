"""The byte budget holds at every moment, and who leaves is who is cheapest to miss."""

from hypothesis import given
from hypothesis import strategies as st

from plaza_serving.dataplane.memory import Memory


def always(_name):
    return True


def resident(budget, *models):
    """Memory with (name, size, cost) opened in this order."""
    memory = Memory(budget)
    for name, size, cost in models:
        memory.reserve(name, size)
        memory.opened(name, cost)
    return memory


def test_with_equal_costs_the_least_recently_used_leaves():
    memory = resident(30, ("a", 10, 5), ("b", 10, 5), ("c", 10, 5))
    memory.used("a")
    assert memory.leaving(10, always) == ["b"]
    memory.evict("b")
    memory.reserve("d", 10)
    memory.opened("d", 5)
    assert memory.leaving(20, always) == ["c", "a"]


def test_what_is_slow_to_open_outstays_what_is_quick():
    memory = resident(30, ("slow", 10, 5000), ("quick", 10, 5), ("other", 10, 5000))
    assert memory.leaving(10, always) == ["quick"]


def test_what_was_slow_to_open_does_not_stay_for_ever():
    memory = resident(20, ("slow", 10, 50), ("n0", 10, 5))
    for n in range(1, 40):
        (leaving,) = memory.leaving(10, always)
        if leaving == "slow":
            break
        memory.evict(leaving)
        memory.reserve(f"n{n}", 10)
        memory.opened(f"n{n}", 5)
    assert leaving == "slow"


def test_nobody_in_use_is_asked_to_leave():
    memory = resident(20, ("a", 10, 5), ("b", 10, 5))
    assert memory.leaving(10, lambda name: name != "a") == ["b"]
    assert memory.leaving(20, lambda name: name != "a") is None


def test_what_is_being_opened_counts_and_stays():
    memory = resident(20, ("a", 10, 5))
    memory.reserve("b", 10)
    assert memory.free == 0
    assert memory.leaving(10, always) == ["a"]
    assert memory.leaving(20, always) is None


_steps = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 40), st.integers(0, 900)))


@given(_steps, st.frozensets(st.integers(0, 9)))
def test_the_budget_holds_whatever_comes(steps, busy):
    memory = Memory[int](100)
    for name, size, cost in steps:
        memory.release(name)
        leaving = memory.leaving(size, lambda other: other not in busy)
        if leaving is None:
            continue
        for other in leaving:
            assert other not in busy
            memory.evict(other)
        memory.reserve(name, size)
        assert memory.held <= memory.budget
        memory.opened(name, cost)
