"""Levels set on one stretch of history and measured on another, by the rule that serves them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="needs the extra `train`")

from plaza_models.forecast.levels import Level, follow
from plaza_models.forecast.options import ForecastOptions
from plaza_training.forecast import warned
from plaza_training.forecast.promise import followed
from plaza_training.forecast.protocols import Pairs
from plaza_training.forecast.watch import (
    History,
    Watch,
    measured,
    metrics_of,
    set_levels,
)

pytestmark = pytest.mark.torch

QUANTILES = [0.05, 0.25, 0.5, 0.75, 0.95]
SPREAD = np.quantile(np.random.default_rng(0).normal(size=100_000), QUANTILES)
HORIZON = 3
PIECES = 8
OPTIONS = ForecastOptions(context=1, horizon=HORIZON, quantiles=QUANTILES, scaling="none")


def calibrated(seed, *, origins=800, series=2, spread=1.0):
    """Weather that wanders slowly, and a forecast that knows all of it but the noise."""
    random = np.random.default_rng(seed)
    walk = np.zeros((series, origins + HORIZON + 1))
    for at in range(1, walk.shape[1]):
        walk[:, at] = 0.98 * walk[:, at - 1] + random.normal(size=series) * 0.6
    middle = np.lib.stride_tricks.sliding_window_view(walk, HORIZON, axis=1)[:, 1 : origins + 1]
    noise = random.normal(size=middle.shape)
    now = walk[:, :origins, None]
    pairs = Pairs(
        np.float32(now).reshape(-1, 1),
        np.float32(middle + noise).reshape(-1, HORIZON),
        pieces=np.tile(np.arange(origins) * PIECES // origins, series),
    )
    quantiles = middle[:, :, None] + spread * SPREAD[:, None]
    return quantiles.reshape(-1, len(QUANTILES), HORIZON), pairs


def watch(**more):
    said = {"thresholds": {"high": 2.5, "very high": 4.0}, "false_alarms": 0.15, "series": 2}
    return Watch("more than the threshold", **{**said, **more})


def history(seed, watch, **more):
    quantiles, pairs = calibrated(seed, **more)
    return History.of(quantiles, pairs, watch)


def test_the_stated_range_of_false_alarms_holds_on_other_history_too():
    levels = set_levels(watch(), history(1, watch()), OPTIONS)
    assert [level.name for level in levels] == ["high", "very high"]
    assert all(level.leave == pytest.approx(level.enter / 2, abs=1e-4) for level in levels)
    options = OPTIONS.model_copy(update={"levels": levels})
    found = measured(watch(), history(2, watch()), options)
    for one in found.values():
        low, high = one["false_alarms_range"]
        assert low <= one["false_alarms_stated"] <= high <= 0.15
        assert low <= one["false_alarms"] <= high
        assert one["warnings_in_vain"] < one["warnings"] / 2
        assert one["recall"] > 0.25
        assert one["brier"] < one["brier_of_the_frequency"]
        assert [lead["steps"] for lead in one["by_lead"]] == [1, 2, 3]


def test_chances_of_a_calibrated_forecast_lie_on_the_diagonal():
    levels = set_levels(watch(), history(1, watch()), OPTIONS)
    options = OPTIONS.model_copy(update={"levels": levels})
    found = measured(watch(), history(3, watch(), origins=4000), options)["high"]
    for part in found["reliability"]:
        if part["count"] > 200:
            assert part["said"] == pytest.approx(part["came"], abs=0.1)


def test_what_is_stated_is_of_what_is_served():
    """The share is of the rule with its hysteresis, not of a single chance."""
    one = history(1, watch())
    (high, _) = (level.level() for level in set_levels(watch(), one, OPTIONS))
    said = one.chances(high, QUANTILES).max(2)
    came = one.beyond(high)[0].any(2)
    raised = np.array([follow(high, column) for column in said.T.tolist()]).T
    assert (raised & ~came).sum() / (~came).sum() == pytest.approx(high.false_alarms, abs=1e-4)


@given(st.integers(0, 10_000), st.floats(0.05, 1), st.floats(0, 1))
def test_many_histories_are_followed_as_one_is(seed, enter, kept):
    chances = np.random.default_rng(seed).random((30, 3))
    level = Level("", (0.0,), enter, enter * kept)
    each = [follow(level, column) for column in chances.T.tolist()]
    np.testing.assert_array_equal(followed(level, chances), np.array(each).T)


def test_values_below_a_threshold_are_warned_of_as_well():
    low = watch(thresholds={"low": -2.5}, above=False)
    levels = set_levels(low, history(1, low), OPTIONS)
    found = measured(low, history(2, low), OPTIONS.model_copy(update={"levels": levels}))["low"]
    assert found["recall"] > 0.3
    assert found["threshold"] == -2.5


def test_each_series_may_have_its_own_threshold():
    own = watch(thresholds={"high": (2.5, 400.0)})
    levels = set_levels(own, history(1, own), OPTIONS)
    assert levels[0].threshold == [2.5, 400.0]
    future, _ = history(1, own).beyond(levels[0].level())
    assert future[:, 0].any()
    assert not future[:, 1].any()


def test_a_panel_is_laid_out_like_single_series():
    quantiles, pairs = calibrated(1, origins=50)
    alone = History.of(quantiles, pairs, watch())
    panel = History.of(
        quantiles.reshape(2, 50, 5, HORIZON).transpose(1, 0, 2, 3),
        Pairs(
            pairs.past.reshape(2, 50, 1).transpose(1, 0, 2),
            pairs.future.reshape(2, 50, HORIZON).transpose(1, 0, 2),
        ),
        watch(),
    )
    np.testing.assert_array_equal(alone.quantiles, panel.quantiles)
    np.testing.assert_array_equal(alone.future, panel.future)
    np.testing.assert_array_equal(alone.now, panel.now)


def test_where_forecasts_do_not_overlap_notice_is_up_to_the_first_step():
    """Three days: warned of one whose third hour is high, quiet about one, and one stays quiet."""
    day = watch(thresholds={"high": 10.0}, series=1, stride=3)
    future = np.float32([[0, 0, 20], [20, 0, 0], [0, 0, 0]])
    sure = np.array([20.0, 0.0, 0.0])[:, None, None] + np.zeros((3, 5, 3)) + SPREAD[None, :, None]
    pairs = Pairs(np.zeros((3, 1), np.float32), future)
    options = ForecastOptions.model_validate(
        OPTIONS.model_dump()
        | {"levels": [{"name": "high", "threshold": 10, "enter": 0.5, "leave": 0.2}]}
    )
    found = measured(day, History.of(sure, pairs, day), options)["high"]
    assert (found["events"], found["noticed"], found["median_notice_steps"]) == (2, 1, 3)
    numbers = metrics_of({"very high": found})
    assert numbers["very_high_recall_percent"] == 50
    assert numbers["very_high_false_alarms_percent"] == 0


def test_numbers_become_a_diagram_and_a_table():
    levels = set_levels(watch(), history(1, watch()), OPTIONS)
    options = OPTIONS.model_copy(update={"levels": levels})
    found = measured(watch(), history(2, watch()), options)
    drawn = warned.diagram(found, "Reliability: <made up>").decode()
    assert "Reliability: &lt;made up&gt;" in drawn
    assert drawn.count("<polyline") == 3, "two levels and the diagonal"
    found["high"]["by_lead"][0]["precision"] = float("nan")
    told = warned.told(found, "hour")
    assert "| 1 | – |" in told
    assert "very high: raised from" in told
