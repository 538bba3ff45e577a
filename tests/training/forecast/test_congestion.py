"""Days that set the levels are forecast by networks that never had them to learn."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from plaza_models.forecast.options import ForecastOptions  # noqa: E402  after the skip
from plaza_training.data import DataSet  # noqa: E402
from plaza_training.forecast import congestion  # noqa: E402
from plaza_training.forecast.declared import pairs_of, with_levels  # noqa: E402
from plaza_training.forecast.recipes import LEVELS, SPEED, Choices, train  # noqa: E402
from plaza_training.forecast.windows import Windows  # noqa: E402

pytestmark = pytest.mark.torch
CHOICES = Choices(
    context=24,
    horizon=3,
    scaling="mean-abs",
    hidden=8,
    dropout=0.0,
    weight_decay=0.0,
    steps=60,
    rows_per_step=64,
    learning_rate=1e-2,
    train_until=288 * 3,
)


@pytest.fixture
def roads():
    """Three roads for four days, slow each evening."""
    steps = np.arange(288 * 4)[:, None]
    rush = np.exp(-(((steps % 288 - 210) / 20.0) ** 2)) * [10, 35, 45]
    noise = np.random.default_rng(3).normal(0, 2, (len(steps), 3))
    return np.float32(65 - rush + noise)


def test_windows_apart_reach_into_none_of_the_rows(roads):
    windows = Windows(roads, 24, 3, first=24, last=800, apart=(288, 400))
    futures = windows.origins[:, None] + np.arange(3)
    assert not ((futures >= 288) & (futures < 400)).any()
    whole = replace(windows, apart=None)
    assert set(whole.origins) - set(windows.origins) == set(range(286, 400))
    past, _ = windows.draw(np.random.default_rng(0), 50)
    assert past.shape == (50, 24)


def test_pieces_are_as_long_as_said_and_the_rest_belongs_to_the_last(roads):
    pairs = pairs_of(Windows(roads, 24, 3, first=24, last=24 + 100 + 2), 30)
    assert np.bincount(pairs.numbered).tolist() == [3 * 30, 3 * 30, 3 * 40]
    assert pairs.numbered[:100].tolist() == pairs.numbered[100:200].tolist()


def test_what_teaches_shares_no_target_with_the_day_left_out(roads):
    learning = Windows(roads, 24, 3, first=24, last=864)
    day = (learning.origins >= 312) & (learning.origins < 600)
    others = congestion.without(learning, day).origins[:, None] + np.arange(3)
    own = learning.origins[day][:, None] + np.arange(3)
    assert not np.isin(others, own).any()
    assert len(others) == len(day) - day.sum() - 2 * 2


def test_levels_are_set_on_days_left_out_and_touch_no_weight(roads, job):
    asked = congestion.watched(roads, CHOICES)
    asked = replace(asked, watch=replace(asked.watch, false_alarms=0.3))
    options = ForecastOptions(context=24, horizon=3, quantiles=list(LEVELS), scaling="mean-abs")
    quantiles = congestion.left_out(roads, asked.history, options, CHOICES, job)
    assert quantiles.shape == (len(asked.history.past), len(LEVELS), 3)
    wrong = np.abs(quantiles[:, LEVELS.index(0.5)] - asked.history.future)
    assert wrong.mean() < np.abs(asked.history.past[:, -1:] - asked.history.future).mean()
    data = DataSet("roads", "Roads", "CC0-1.0", "https://example.org/r", "nobody", files=())
    plain = train(replace(SPEED, data=data, read=lambda _: roads), CHOICES, job)
    warns = with_levels(plain, asked, quantiles)
    assert warns.graph is plain.graph
    assert [level["name"] for level in warns.options["levels"]] == ["slow", "jam"]
    assert "set on the days that taught" in warns.story.summary
