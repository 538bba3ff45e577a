"""What the forecasters of single sets read: calendars, conditions, states, and how they score."""

from datetime import date, timedelta

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from plaza_training.export import export  # noqa: E402  after the skip
from plaza_training.forecast import admissions, checked, days, holidays, roads  # noqa: E402
from plaza_training.forecast.assemble import OUTPUTS  # noqa: E402
from plaza_training.forecast.forecaster import Fixed, Forecaster, applied  # noqa: E402
from plaza_training.forecast.wis import LEVELS, interval_scores  # noqa: E402
from plaza_training.recipe import RECIPES, load_recipe  # noqa: E402

pytestmark = pytest.mark.torch
FORECASTERS = [name for name in RECIPES if name.endswith("-forecaster")]


@pytest.mark.parametrize("name", FORECASTERS)
def test_every_forecaster_is_found_by_its_name(name):
    assert callable(load_recipe(name))


@pytest.mark.parametrize(
    ("day", "kind"),
    [
        (date(2006, 11, 23), holidays.GREAT),  # Thanksgiving
        (date(2006, 5, 29), holidays.SUMMER),  # Memorial Day
        (date(2004, 7, 5), holidays.SUMMER),  # the 4th was a Sunday
        (date(2006, 1, 2), holidays.SUMMER),  # New Year was a Sunday
        (date(2006, 12, 24), holidays.EVE),
        (date(2006, 3, 15), holidays.NONE),
    ],
)
def test_holidays_are_where_the_calendar_has_them(day, kind):
    assert holidays.kind_of(day) == kind


@pytest.mark.parametrize(
    ("year", "first", "last"),
    [(2006, (4, 2), (10, 28)), (2005, (4, 3), (10, 29)), (2008, (3, 9), (11, 1))],
)
def test_summer_time_begins_and_ends_by_the_rule_of_its_year(year, first, last):
    begins, ends = date(year, *first), date(year, *last)
    assert holidays.summer_time(begins)
    assert holidays.summer_time(ends)
    assert not holidays.summer_time(begins - timedelta(1))
    assert not holidays.summer_time(ends + timedelta(1))


def table(days_count=40):
    """A load that is a day's wave, warmer every day."""
    hours = np.arange(24 * days_count)
    load = np.float32(1000 + 200 * np.sin(hours * np.pi / 12))
    known = np.stack([40 + hours / 24, hours // 24 % 7, 0 * hours, 1 + hours // 24, 0 * hours])
    return days.Table(load, np.float32(known))


def test_a_day_is_asked_from_the_end_of_the_day_before():
    pairs = days.days_of(table(), 30, 32)
    assert pairs.past.shape == (2, days.CONTEXT)
    assert pairs.known.shape == (2, 5, days.CONTEXT + 24)
    assert pairs.known[0, 0, -25] < 70 <= pairs.known[0, 0, -24]  # day 30 is the first not known


def test_conditions_do_not_know_the_unit_of_the_load():
    pairs = days.days_of(table(), 30, 34)
    module = days.Conditions()
    known = torch.from_numpy(pairs.known)
    x, base = module(torch.from_numpy(pairs.past), known)
    again, other = module(torch.from_numpy(pairs.past * 7), known)
    torch.testing.assert_close(x, again, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(base + np.log(7), other)


def test_weeks_are_counted_from_the_nearest_christmas():
    assert admissions.from_christmas(date(2025, 12, 25)) == 0
    assert admissions.from_christmas(date(2026, 1, 8)) == 2
    assert admissions.from_christmas(date(2025, 12, 11)) == -2


def test_counts_come_back_from_the_root():
    people = np.array([5.0, 80.0])
    counts = torch.tensor([[[0.0, 3.0], [12.0, 400.0]]])
    rate = counts / torch.tensor(people[:, None]) + 0.01
    back = admissions.Counts(people)(rate.sqrt().sqrt().float())
    torch.testing.assert_close(back, counts, atol=1e-3, rtol=1e-3)


def test_the_interval_score_is_least_for_the_true_quantiles():
    random = np.random.default_rng(1)
    truth = random.normal(size=(4000, 1))
    right = np.quantile(random.normal(size=100_000), LEVELS)[:, None]
    scores = [interval_scores(right * width + move, truth).mean() for width, move in
              ((1, 0), (0.5, 0), (2, 0), (1, 0.7))]  # fmt: skip
    assert scores[0] == min(scores)
    certain = np.zeros((len(LEVELS), 1))
    assert interval_scores(certain, np.array([3.0])) == pytest.approx(3)  # the absolute error


def test_what_repeats_is_repeated():
    past = np.arange(checked.REACH, dtype=float) % checked.WEEK
    for weights in checked.repeating(48)[:3]:
        if weights[checked.REACH - 24, 0] == 1:  # the last day, not the last week
            continue
        np.testing.assert_allclose(past @ weights, np.arange(48))


@pytest.mark.parametrize("series", [1, 6])
def test_a_graph_with_covariates_is_exported_with_a_free_batch(series):
    random = np.random.default_rng(2)
    if series == 1:
        seen = days.Conditions()
        inputs = {
            "values": np.float32(random.uniform(0.5, 1.5, (3, days.CONTEXT))),
            "known": np.float32(random.uniform(0, 5, (3, 5, days.CONTEXT + 24))),
        }
        width = seen(*map(torch.from_numpy, inputs.values()))[0].shape[-1]
        member = days.Day(random.normal(0, 0.01, (width, 24)), np.zeros(24))
        module = Forecaster([member], Fixed([1.0]), np.zeros((3, 24)), link=days.Exponential())
    else:
        seen = roads.Seen(np.ones((288, series)), np.zeros(series), np.eye(series)[:, :2], (0, 3))
        inputs = {
            "values": np.float32(random.uniform(1, 60, (3, series, 12))),
            "known": np.float32(random.integers(0, 288, (3, 1, 24))),
        }
        width = seen(*map(torch.from_numpy, inputs.values())).shape[-1]
        weights = random.normal(0, 0.01, (series, width, 12))
        member = roads.Detectors(seen, weights, np.zeros((series, 12)))
        module = Forecaster([member], Fixed([1.0]), np.zeros((series, 3, 12)))
    assert len(export(module, inputs, OUTPUTS)) > 1000
    assert applied(member, *inputs.values()).shape[0] == 3
