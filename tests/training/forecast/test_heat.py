"""The wet-bulb recipe on a made-up station: a course that is learnt, warned of, and shipped."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from plaza_models.forecast.options import ForecastOptions  # noqa: E402  after the skip
from plaza_training.export import export  # noqa: E402
from plaza_training.forecast import heat  # noqa: E402
from plaza_training.forecast.assemble import OUTPUTS, expected, inputs_of  # noqa: E402
from plaza_training.forecast.forecaster import Fixed, Forecaster, applied  # noqa: E402

pytestmark = pytest.mark.torch
OPTIONS = ForecastOptions(
    context=heat.CONTEXT,
    horizon=heat.HORIZON,
    quantiles=[0.1, 0.5, 0.9],
    scaling="none",
    known=list(heat.KNOWN),
)


@pytest.fixture(scope="module")
def station():
    """A year of days that are warmer in summer, and the more so the later the hour."""
    hours = np.arange(24 * 400)
    day, year = np.sin(2 * np.pi * hours / 24), -np.cos(2 * np.pi * hours / 8766)
    noise = np.random.default_rng(1).normal(size=len(hours)) * 0.3
    values = np.float32(5 + 8 * year + (3 + 2 * year) * day + noise)
    return heat.Table(values, np.float32([hours % 24, 1 + hours // 24 % 366]), hours // 8784)


def test_a_window_knows_the_hour_of_its_last_value(station):
    pairs = heat.windows(station, 1000, 2000)
    assert pairs.past.shape == (953, heat.CONTEXT)
    assert pairs.past[0, -1] == station.values[999]
    assert pairs.future[0, 0] == station.values[1000]
    assert pairs.known[0, 0, heat.CONTEXT - 1] == 999 % 24


def test_the_course_of_a_day_is_learnt(station):
    learning, asked = heat.windows(station, 0, 7000), heat.windows(station, 7000, 9600)
    member = heat.fit(learning, 0.003)
    module = Forecaster([member], Fixed([1.0]), np.zeros((3, heat.HORIZON)))
    found = expected(module, asked, OPTIONS)[:, 1]
    assert np.abs(found - asked.future).mean() < 0.5
    before = np.abs(asked.past[:, -24:] - asked.future[:, :24]).mean()
    assert np.abs(found - asked.future)[:, :24].mean() < before


def test_it_can_be_exported(station):
    learning = heat.windows(station, 0, 3000)
    module = Forecaster([heat.fit(learning, 0.1)], Fixed([1.0]), np.zeros((3, heat.HORIZON)))
    tensors = {name: rows[:3] for name, rows in inputs_of(learning, OPTIONS).items()}
    assert len(export(module, tensors, OUTPUTS)) > 1000
    assert applied(module.point, *tensors.values()).shape == (3, heat.HORIZON)


def test_intervals_are_wider_where_the_weather_is_restless(station):
    """The same days, with twice the noise in winter."""
    hours = np.arange(len(station.values))
    winter = np.cos(2 * np.pi * hours / 8766) > 0
    noise = np.random.default_rng(2).normal(size=len(hours)) * np.where(winter, 3.0, 0.3)
    known = station.known
    table = heat.Table(station.values + np.float32(noise), known, station.years)
    pairs = heat.windows(table, 0, 8000)
    width = heat.fit_width(pairs, heat.fit(pairs, 0.01))
    found = applied(width, pairs.past, pairs.known)[:, 0]
    assert found[1000] > 2 * found[4000] > 0
