"""Levels that do not flicker, and ladders that make sense."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.errors import InvalidInput
from plaza_models.forecast.levels import Level, follow, require_ladder

WATCH = Level("watch", (10.0,), enter=0.6, leave=0.3)


def test_a_level_is_kept_until_the_chance_is_clearly_lower():
    chances = [0.1, 0.59, 0.6, 0.4, 0.3, 0.29, 0.5, 0.9]
    assert follow(WATCH, chances) == [False, False, True, True, True, False, False, True]


@given(st.booleans(), st.lists(st.floats(0.3, 0.59), max_size=40))
def test_within_the_band_nothing_changes(raised, chances):
    for chance in chances:
        assert WATCH.next(raised, chance) == raised


@given(st.lists(st.floats(0, 1), max_size=40))
def test_between_two_changes_the_chance_went_through_the_whole_band(chances):
    found = follow(WATCH, chances)
    changes = [at for at in range(1, len(found)) if found[at] != found[at - 1]]
    for at in changes:
        assert chances[at] >= 0.6 if found[at] else chances[at] < 0.3


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ([Level("a", (1.0,), 0.3, 0.4)], "no higher"),
        ([Level("a", (1.0,), 1.2, 0.4)], "up to 1"),
        ([Level("a", (1.0,), 0.0, 0.0)], "above 0"),
        ([Level("a", (1.0, 2.0, 3.0), 0.5, 0.4)], "one for each"),
        ([Level("a", (float("nan"),), 0.5, 0.4)], "one threshold"),
        ([Level("a", (1.0,), 0.5, 0.4), Level("a", (2.0,), 0.5, 0.4)], "different names"),
        ([Level("a", (2.0,), 0.5, 0.4), Level("b", (1.0,), 0.5, 0.4)], "more severe"),
        ([Level("a", (1.0,), 0.5, 0.4), Level("b", (2.0,), 0.5, 0.4, above=False)], "same side"),
        ([Level("a", (1.0, 5.0), 0.5, 0.4), Level("b", (2.0,), 0.5, 0.4)], "more severe"),
        ([Level("", (1.0,), 0.5, 0.4)], "characters"),
        ([Level(f"l{n}", (float(n),), 0.5, 0.4) for n in range(11)], "10 levels"),
    ],
)
def test_levels_that_make_no_sense_are_refused(levels, said):
    with pytest.raises(InvalidInput, match=said):
        require_ladder(levels, 2)


def test_levels_below_a_threshold_fall():
    require_ladder([Level(n, (t,), 0.5, 0.4, above=False) for n, t in (("a", 40), ("b", 20))], 1)
