"""Drawings are well-formed, say what was answered, and hold whatever was sent."""

import math
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_models.forecast.plot import Plot, ticks
from plaza_models.forecast.tasks import AnomalyTask, LevelWanted, WarningTask
from plaza_models.tasks import ForecastTask
from tests.models.forecast.small import CONTEXT, ask, family

SVG = "{http://www.w3.org/2000/svg}"


def words(picture):
    root = ElementTree.fromstring(picture)
    assert root.tag == f"{SVG}svg"
    return [text.text for text in root.iter(f"{SVG}text")]


def test_a_fan_with_its_levels():
    opened = family(unit="°C", step_seconds=3600)
    levels = (LevelWanted("watch", (12.0,)), LevelWanted("<b>alarm", (20.0,)))
    series = ((9.0, 10.0, 11.0, 12.5),)
    answer = ask(opened, WarningTask(series, "2026-07-01", levels=levels, draw=0))
    said = words(answer.picture)
    assert "watch, since 2026-07-01T00:00:00Z" in said
    assert "watch: above 12, chance 62 %" in said
    assert any(one.startswith("<b>alarm: above 20") for one in said)
    assert {"°C", "hours from the last value", "measured", "median", "90 %", "50 %"} <= set(said)


def test_strange_values_are_marked():
    answer = ask(family(), AnomalyTask(((1.0, 1.0, 1.0, 1.0, 1.0, 99.0),), draw=0))
    assert "1 of 2 values are strange" in words(answer.picture)
    marks = ElementTree.fromstring(answer.picture).iter(f"{SVG}circle")
    assert [c.get("r") for c in marks] == ["4.5"] * 3, "two of them are the legend's"


def test_a_forecast_may_be_drawn():
    answer = ask(family(), ForecastTask((1.0,) * CONTEXT, 2, (0.25, 0.75), draw=True))
    said = words(answer.picture)
    assert "50 %" in said
    assert "median" not in said
    assert ask(family(), ForecastTask((1.0,) * CONTEXT, 2)).picture is None


def test_gaps_break_the_line():
    opened = family(gaps="fill")
    series = ((1.0, math.nan, 2.0, 3.0, math.nan),)
    answer = ask(
        opened, WarningTask(series, "2026-07-01", levels=(LevelWanted("a", (9.0,)),), draw=0)
    )
    assert words(answer.picture)[0]


@given(st.lists(st.floats(-1e30, 1e30), min_size=CONTEXT, max_size=9), st.floats(-1e30, 1e30))
def test_whatever_is_drawn_lies_within_the_picture(values, threshold):
    levels = (LevelWanted("a", (threshold,)),)
    answer = ask(family(), WarningTask((tuple(values),), "2026-07-01", levels=levels, draw=0))
    for line in ElementTree.fromstring(answer.picture).iter(f"{SVG}polyline"):
        for point in line.get("points").split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= 960
            assert 0 <= y <= 440


@pytest.mark.parametrize("value", [1e308, -1e308, 5e-324])
def test_values_that_no_model_has_read_may_be_of_any_size(value):
    answer = ask(family(), AnomalyTask(((value, 1.0, 1.0, 1.0, 1.0, -value),), steps=1, draw=0))
    assert answer.series[0].scores[0] > 0
    assert words(answer.picture)


@given(st.floats(-1e9, 1e9), st.floats(1, 1e9))
def test_ticks_are_round_few_and_inside(low, width):
    found = ticks(low, low + width)
    assert 1 <= len(found) <= 8
    assert all(low - 1e-6 * width <= one <= low + width * (1 + 1e-6) for one in found)
    assert np.allclose(np.diff(found), found[1] - found[0] if len(found) > 1 else 0, rtol=1e-4)


@pytest.mark.parametrize("value", [0.0, 5.0, -3.0])
def test_a_flat_series_has_axes(value):
    plot = Plot.around([0, 1], [value, value], title="", xlabel="", ylabel="")
    assert plot.y[0] < value < plot.y[1]
