"""Methods that every forecaster must beat: right by hand, the same as a bundle, as published."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from plaza_training.forecast import baselines  # noqa: E402  after the skip
from plaza_training.forecast.linear import error_quantiles, forecast, ridge, seasonal  # noqa: E402
from plaza_training.forecast.protocols import (  # noqa: E402
    PROTOCOLS,
    Exam,
    Pairs,
    Trial,
    competition,
    squared,
)
from plaza_training.forecast.windows import Windows  # noqa: E402
from plaza_training.pipeline import produce  # noqa: E402
from plaza_training.progress import Silent  # noqa: E402
from plaza_training.recipe import RECIPES, Job, load_recipe  # noqa: E402

pytestmark = pytest.mark.torch


def pairs(series, first, last):
    blocks = list(Windows(series, 48, 24, first, last).by_column())
    return Pairs(*(np.concatenate([block[side] for block in blocks]) for side in (0, 1)))


@pytest.fixture
def exam(waves):
    return Exam(
        learning=[pairs(waves, 48, 300)],
        calibration=pairs(waves, 300, 400),
        trials=[Trial(pairs(waves, 400, 480), squared)],
        split="the last 80 steps",
    )


def test_the_seasonal_method_repeats_a_season():
    past = np.arange(10, dtype=np.float32)[None]
    assert forecast(seasonal(10, 5, 3), past).tolist() == [[7, 8, 9, 7, 8]]
    assert forecast(seasonal(10, 2, 1), past).tolist() == [[9, 9]]


def test_the_closed_form_finds_a_law_that_is_there():
    random = np.random.default_rng(1)
    past = random.normal(size=(500, 6)).astype(np.float32)
    law = random.normal(size=(6, 2))
    moves = past - past[:, -1:]
    future = (moves @ law + past[:, -1:]).astype(np.float32)
    found = ridge([Pairs(past[:250], future[:250]), Pairs(past[250:], future[250:])], penalty=1e-9)
    np.testing.assert_allclose(found[:-1], law[:-1], atol=1e-4)  # the last difference is always 0


@given(st.floats(-1e3, 1e3), st.floats(0.01, 100))
def test_a_forecast_is_the_same_in_every_unit(shift, factor):
    random = np.random.default_rng(2)
    past, weights = random.normal(size=(3, 8)), random.normal(size=(8, 4))
    moved = forecast(weights, past * factor + shift)
    np.testing.assert_allclose(
        moved, forecast(weights, past) * factor + shift, rtol=1e-9, atol=1e-6 * (factor + 1)
    )


def test_quantiles_of_errors_hold_what_they_say_and_never_cross(exam):
    weights = seasonal(48, 24, 24)
    levels = (0.05, 0.5, 0.95)
    ones = np.ones((len(exam.calibration.past), 1), np.float32)
    found = error_quantiles(weights, exam.calibration, ones, levels)
    assert (np.diff(found, axis=0) >= 0).all()
    assert (found[1] == 0).all()
    test = exam.trials[0].pairs
    error = test.future - forecast(weights, test.past)
    assert 0.82 < ((found[0] <= error) & (error <= found[2])).mean() < 0.97


def test_a_baseline_is_a_bundle_whose_numbers_are_those_of_the_method(
    exam, tmp_path, runners, monkeypatch
):
    protocol = replace(PROTOCOLS["etth1-96"], context=48, horizon=24, open=lambda *_: exam)
    monkeypatch.setattr(baselines, "PROTOCOLS", {"waves": protocol})
    job = Job(tmp_path, 1, Silent())
    made = produce(
        "waves-ridge", lambda j: baselines.baseline("waves", "ridge", j), job, tmp_path, runners
    )
    assert made.parity.relative < 1e-5
    test = exam.trials[0].pairs
    direct = squared(forecast(ridge(exam.learning, penalty=1e-3), test.past), test.future)
    assert made.report.metrics["mse"] == pytest.approx(direct["mse"], rel=1e-4)
    assert made.report.metrics["mse"] < made.report.baselines["seasonal naive"]["mse"]
    assert 80 < made.report.metrics["coverage_90_percent"] < 97


def test_scores_of_the_competition_by_hand():
    score = competition(np.array([2.0]), (50.0, 2.0))
    found = score(np.array([[1.0, 3.0]]), np.array([[3.0, 3.0]]))
    assert found["smape_percent"] == pytest.approx(50)
    assert found["mase"] == pytest.approx(0.5)
    assert found["owa"] == pytest.approx((1 + 0.25) / 2)


def test_every_protocol_has_both_methods_among_the_recipes():
    for name in PROTOCOLS:
        for method in baselines.METHODS:
            assert f"{name}-{method}" in RECIPES
            assert callable(load_recipe(f"{name}-{method}"))
    assert set(baselines.RECIPES) <= set(RECIPES)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("m4-hourly", {"smape_percent": 13.912, "mase": 1.193, "owa": 0.627}),
        ("m4-weekly", {"smape_percent": 9.161, "mase": 2.777, "owa": 1.0}),
    ],
)
def test_the_seasonal_method_scores_what_the_competition_published(name, expected, data_dir):
    protocol = PROTOCOLS[name]
    exam = protocol.open(Job(data_dir, 1, Silent()), protocol.context, protocol.horizon)
    (trial,) = exam.trials
    weights = seasonal(protocol.context, protocol.horizon, protocol.season)
    found = trial.score(forecast(weights, trial.pairs.past), trial.pairs.future)
    for metric, value in expected.items():
        assert found[metric] == pytest.approx(value, abs=6e-4)


@pytest.mark.data
def test_windows_of_a_test_part_are_those_the_literature_counts(data_dir):
    protocol = PROTOCOLS["etth1-96"]
    exam = protocol.open(Job(data_dir, 1, Silent()), 336, 96)
    (trial,) = exam.trials
    assert len(trial.pairs.past) == 7 * (2_880 - 96 + 1)
    assert len(exam.calibration.past) == 7 * (2_880 - 96 + 1)
    assert sum(len(block.past) for block in exam.learning) == 7 * (8_640 - 336 - 96 + 1)
    naive = squared(forecast(seasonal(336, 96, 24), trial.pairs.past), trial.pairs.future)
    assert naive == pytest.approx({"mse": 0.512, "mae": 0.433}, abs=6e-4)
