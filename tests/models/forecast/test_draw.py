"""The fan chart is a picture of the answer, drawn without a screen and without global state."""

import io

import numpy as np
import pytest
from PIL import Image

from plaza_core.errors import InvalidInput
from plaza_models.forecast.draw import _bands, fan_chart
from plaza_models.tasks import Forecast

HISTORY = [50 + 10 * np.sin(i / 20) for i in range(200)]
FORECAST = Forecast((0.1, 0.5, 0.9), ((40.0,) * 12, (50.0,) * 12, (60.0,) * 12))


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=int)


def test_a_chart_is_a_png_of_the_stated_size_and_repeats_itself():
    chart = fan_chart(HISTORY, FORECAST, title="Speed", unit="mph", step_seconds=300)
    assert pixels(chart).shape == (440, 960, 3)
    assert chart == fan_chart(HISTORY, FORECAST, title="Speed", unit="mph", step_seconds=300)


def test_a_wider_interval_covers_more_of_the_picture():
    def blue(forecast):
        picture = pixels(fan_chart(HISTORY, forecast))
        return ((picture[..., 2] - picture[..., 0]) > 20).sum()

    narrow = Forecast((0.1, 0.5, 0.9), ((49.0,) * 12, (50.0,) * 12, (51.0,) * 12))
    assert blue(FORECAST) > 2 * blue(narrow)


def test_a_single_quantile_is_drawn_without_a_band():
    only = Forecast((0.5,), ((50.0,) * 12,))
    assert pixels(fan_chart([50.0], only)).std() > 0


def test_bands_pair_levels_that_mirror_each_other():
    assert _bands((0.05, 0.25, 0.5, 0.75, 0.95)) == [(0.05, 0.95), (0.25, 0.75)]
    assert _bands((0.1, 0.5)) == []


def test_nothing_to_draw_is_refused():
    with pytest.raises(InvalidInput):
        fan_chart([], FORECAST)
