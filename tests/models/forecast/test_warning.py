"""Levels of what may come: raised, kept, lowered, with nothing kept on this side."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.errors import InvalidBundle, InvalidInput
from plaza_models.forecast.tasks import LevelWanted, WarningTask
from tests.models.forecast.small import CONTEXT, LEVELS, ask, family

OFFERED = [
    {
        "name": "watch",
        "threshold": 10,
        "enter": 0.5,
        "leave": 0.2,
        "false_alarms": 0.05,
        "false_alarms_range": [0.01, 0.2],
    },
    {"name": "warning", "threshold": 15, "enter": 0.4, "leave": 0.1},
]
NOON, ONE, TWO = (f"2026-07-01T{hour}:00:00Z" for hour in (12, 13, 14))


def task(now, at=NOON, **more):
    return WarningTask(((float(now),) * CONTEXT,), at, **more)


def warned(opened, *tasks):
    """What is warned of after each, with the state handed on."""
    found, state = [], None
    for one in tasks:
        answer = ask(opened, WarningTask(one.series, one.at, state=state))
        found.append((answer.series[0].level, answer.series[0].since))
        state = answer.state
    return found


def test_a_level_is_raised_kept_and_lowered_and_says_since_when():
    hours = [f"2026-07-01T{hour:02}:00:00Z" for hour in range(6)]
    values = [5, 11, 15, 14, 9.5, 5]
    # 14: the chance of more than 15 is 0.25, so the warning stays; 9.5: that of 10 is 0.375.
    assert warned(family(levels=OFFERED), *map(task, values, hours)) == [
        (None, None),
        ("watch", hours[1]),
        ("warning", hours[2]),
        ("warning", hours[2]),
        ("watch", hours[1]),
        (None, None),
    ]


def test_chances_are_told_for_each_level_and_step():
    answer = ask(family(levels=OFFERED), task(11))
    (one,) = answer.series
    watch, warning = one.levels
    assert watch.chances == pytest.approx((0.75,) * 3)
    assert (watch.chance, watch.step, watch.raised) == (pytest.approx(0.75), 1, True)
    assert warning.chance == pytest.approx(0.05)
    assert (watch.enter, watch.leave, watch.false_alarms) == (0.5, 0.2, 0.05)
    assert watch.false_alarms_range == (0.01, 0.2)
    assert (warning.false_alarms, warning.false_alarms_range) == (None, None)
    assert (answer.quantiles, len(one.values)) == (tuple(LEVELS), 5)


def test_levels_may_be_the_callers_and_below_a_threshold():
    slow = LevelWanted("slow", (30.0,), above=False)
    jam = LevelWanted("jam", (15.0,), above=False, enter=0.9)
    answer = ask(family(), task(29, levels=(slow, jam)))
    first, second = answer.series[0].levels
    assert (first.enter, first.leave, first.chance) == (0.5, 0.25, pytest.approx(0.75))
    assert (second.leave, second.raised) == (0.45, False)
    assert answer.series[0].level == "slow"


def test_each_series_has_its_own_threshold_and_state():
    levels = [{"name": "many", "threshold": [10, 1000], "enter": 0.5, "leave": 0.2}]
    opened = family(series=2, levels=levels)
    series = ((900.0,) * CONTEXT, (900.0,) * CONTEXT)
    first = ask(opened, WarningTask(series, NOON))
    assert [one.level for one in first.series] == ["many", None]
    second = ask(opened, WarningTask(series, ONE, state=first.state))
    assert [one.since for one in second.series] == [NOON, None]


def test_a_time_without_an_offset_is_utc():
    assert ask(family(levels=OFFERED), task(11, at="2026-07-01T12:00")).at == NOON


def test_how_far_it_looks():
    opened = family(known=["hour"], levels=OFFERED)

    def steps(**more):
        (one,) = ask(opened, task(11, **more)).series
        return len(one.levels[0].chances)

    assert steps(known=((0.0,) * (CONTEXT + 2),)) == 2, "as far as covariates reach"
    assert steps(known=((0.0,) * (CONTEXT + 3),), horizon=1) == 1
    with pytest.raises(InvalidInput, match="at least 5 and at most 7"):
        steps(known=((0.0,) * CONTEXT,))


@given(st.lists(st.floats(0, 30), min_size=1, max_size=12))
def test_what_is_warned_of_is_the_most_severe_that_is_raised_and_chances_fall_with_it(values):
    opened, state = family(levels=OFFERED), None
    for at, value in enumerate(values):
        answer = ask(opened, task(value, f"2026-07-01T{at:02}:00:00Z", state=state))
        (one,) = answer.series
        state = answer.state
        raised = [level.name for level in one.levels if level.raised]
        assert one.level == (raised[-1] if raised else None)
        mild, severe = one.levels
        assert all(b <= a + 1e-9 for a, b in zip(mild.chances, severe.chances, strict=True))
        assert all((level.since is None) != level.raised for level in one.levels)


@given(st.lists(st.floats(8.8, 9.9), min_size=1, max_size=20))
def test_chances_that_tremble_in_the_band_change_nothing(values):
    """Between 8.8 and 9.9 the chance of more than 10 lies between 0.2 and 0.5."""
    opened, hour = family(levels=OFFERED), iter(range(24))
    tasks = [task(value, f"2026-07-01T{next(hour):02}:00:00Z") for value in values]
    assert {level for level, _ in warned(opened, *tasks)} == {None}
    first = task(11, "2026-06-30T23:00:00Z")
    assert {level for level, _ in warned(opened, first, *tasks)} == {"watch"}


STATE = {"version": 1, "at": NOON, "raised": [{"watch": NOON}]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"raised": [{}, {}]}, "another number"),
        ({"at": TWO}, "later time"),
        ({"raised": [{"watch": TWO}]}, "later time"),
        ({"raised": [{"watch": "yesterday"}]}, "ISO 8601"),
        ({"raised": [{"watch": 5}]}, "no state"),
        ({"version": 2}, "no state"),
        ({"more": 1}, "no state"),
    ],
)
def test_a_state_is_believed_in_its_form_alone(change, said):
    state = json.dumps(STATE | change)
    with pytest.raises(InvalidInput, match=said) as caught:
        ask(family(levels=OFFERED), task(9, ONE, state=state))
    assert caught.value.input == "state"


@given(st.text(max_size=30))
def test_any_text_is_a_refusal_at_worst(state):
    with pytest.raises(InvalidInput):
        ask(family(levels=OFFERED), task(9, ONE, state=state))


def test_levels_that_are_gone_are_forgotten():
    state = json.dumps(STATE | {"raised": [{"storm": NOON}]})
    answer = ask(family(levels=OFFERED), task(5, ONE, state=state))
    assert json.loads(answer.state)["raised"] == [{}]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (task(1), "levels"),
        (task(1, levels=(LevelWanted("a", (1.0,), leave=0.9),)), "levels"),
        (task(1, at="noon", levels=(LevelWanted("a", (1.0,)),)), "at"),
        (task(1, horizon=4, levels=(LevelWanted("a", (1.0,)),)), "horizon"),
        (task(1, draw=1, levels=(LevelWanted("a", (1.0,)),)), "draw"),
        (WarningTask((), NOON, levels=(LevelWanted("a", (1.0,)),)), "series"),
    ],
)
def test_what_cannot_be_told_is_refused_by_name(asked, field):
    with pytest.raises(InvalidInput) as caught:
        family().prepare(asked)
    assert caught.value.input == field


@pytest.mark.parametrize(
    "options",
    [
        {"levels": OFFERED[::-1]},
        {"levels": [OFFERED[0] | {"leave": 0.6}]},
        {"levels": [OFFERED[0] | {"threshold": [1, 2]}]},
        {"levels": [OFFERED[0] | {"false_alarms_range": [0.1, 0.2]}]},
        {"levels": [OFFERED[1] | {"false_alarms_range": [0.0, 0.2]}]},
        {"levels": [OFFERED[0] | {"false_alarms_range": [0.0, 1.2]}]},
        {"every": 4},
    ],
)
def test_a_bundle_with_levels_that_make_no_sense_is_no_bundle(options):
    with pytest.raises(InvalidBundle):
        family(**options)
