"""What tests learn from: made series, messages and roads say truly what is in them."""

import numpy as np
import pytest

from plaza_training.forecast.made import Habits, make_series
from plaza_training.text.made import CLASSES, TEMPLATES, make_messages
from plaza_training.vision.conditions import CONDITIONS, render_camera


def rng(seed=3):
    return np.random.default_rng(seed)


def test_made_series_repeat_and_know_their_gaps():
    one, two = (make_series(rng(), 500, 4) for _ in range(2))
    np.testing.assert_array_equal(one.values, two.values)
    np.testing.assert_array_equal(np.isnan(one.values), one.missing)
    assert 0 < one.missing.mean() < 0.05
    assert np.isfinite(one.expected).all()


def test_shocks_are_where_they_are_said_to_be():
    made = make_series(rng(), 2_000, 3, Habits(noise=0.5))
    off = np.abs(made.values - made.expected)
    calm = ~made.shocked & ~made.missing
    assert made.shocked.any()
    assert np.nanmean(off[made.shocked]) > 5 * off[calm].mean()
    assert off[calm].max() < 4


def test_without_noise_a_series_is_its_expectation_and_has_its_seasons():
    made = make_series(rng(), 24 * 14, 2, Habits(noise=0, shocks=0, gaps=0, drift=0))
    np.testing.assert_allclose(made.values, made.expected)
    np.testing.assert_allclose(made.values[: 24 * 7], made.values[24 * 7 :], atol=1e-3)
    assert made.values.std() > 5


def test_messages_carry_their_class_and_vary():
    made = make_messages(rng(), 600, slips=0)
    assert made == make_messages(rng(), 600, slips=0)
    assert set(made.labels) == set(CLASSES)
    assert len(set(made.texts)) > 500
    for text, label in zip(made.texts, made.labels, strict=True):
        parts = [t.partition("{")[0].strip() for t in TEMPLATES[label]]
        assert any(part in text for part in parts)


def test_a_slip_swaps_two_letters_and_nothing_else():
    for seed in range(50):
        (right,), (wrong,) = (
            make_messages(rng(seed), 1, slips=share).texts for share in (0.0, 1.0)
        )
        assert sorted(right) == sorted(wrong)
        assert sum(a != b for a, b in zip(right, wrong, strict=True)) in {0, 2}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_camera_repeats_and_keeps_its_boxes(condition):
    one, two = (render_camera(rng(), condition, (200, 150)) for _ in range(2))
    np.testing.assert_array_equal(np.asarray(one.picture), np.asarray(two.picture))
    np.testing.assert_array_equal(one.boxes, render_camera(rng(), "day", (200, 150)).boxes)
    assert one.picture.size == (200, 150)


def test_night_is_dark_and_cars_still_show():
    for index in range(10):
        day, night = (
            render_camera(np.random.default_rng((9, index)), when) for when in ("day", "night")
        )
        dark = np.asarray(night.picture, float)
        assert dark.mean() < 0.4 * np.asarray(day.picture, float).mean()
        for x1, y1, x2, y2 in night.boxes.round().astype(int):
            car = dark[y1:y2, x1:x2, 0]
            assert car.max() > 150, "a tail light"
            assert car.mean() > 1.5 * np.median(dark[..., 0])


def test_rain_lowers_contrast_and_adds_streaks():
    day, rain = (np.asarray(render_camera(rng(), when).picture, float) for when in ("day", "rain"))
    assert rain.std() < day.std()
    rows = slice(0, 30)  # sky, which is smooth by day
    assert np.abs(np.diff(rain[rows], axis=1)).max() > np.abs(np.diff(day[rows], axis=1)).max()
