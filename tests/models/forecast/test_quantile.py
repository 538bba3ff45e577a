"""A series becomes one scaled row, and the model's numbers become an ordered forecast."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.errors import InvalidBundle, InvalidInput, ModelFailed
from plaza_core.manifest import manifest_from
from plaza_models.forecast.graph import Scale
from plaza_models.forecast.quantile import open_family
from plaza_models.tasks import ForecastsTask, ForecastTask

CONTEXT, HORIZON, LEVELS = 6, 3, [0.1, 0.5, 0.9]


def manifest(signature=None, **options):
    levels = options.get("quantiles", LEVELS)
    return manifest_from(
        {
            "name": "m",
            "family": "forecast.quantile",
            "options": {
                "context": CONTEXT,
                "horizon": HORIZON,
                "quantiles": LEVELS,
                "scaling": "mean-abs",
                **options,
            },
            "signature": signature
            or {
                "inputs": [{"name": "past", "datatype": "FP32", "shape": ["batch", CONTEXT]}],
                "outputs": [
                    {
                        "name": "ahead",
                        "datatype": "FP32",
                        "shape": ["batch", len(levels), HORIZON],
                    }
                ],
            },
        }
    )


def family(**options):
    return open_family(Path(), manifest(**options))


def answer(opened, task, outputs):
    return opened.interpret({"ahead": np.float32(outputs)[None]}, opened.prepare(task).context)


SERIES = tuple(float(v) for v in range(1, 9))


def test_the_model_sees_the_last_values_in_units_of_their_mean():
    prepared = family().prepare(ForecastTask(SERIES, horizon=2))
    assert prepared.rows == 1
    row = prepared.tensors["past"]
    assert row.dtype == np.float32
    np.testing.assert_allclose(row, [np.array([3, 4, 5, 6, 7, 8]) / 5.5], rtol=1e-6)


def test_only_the_asked_steps_and_levels_are_answered_in_the_units_of_the_series():
    task = ForecastTask(SERIES, horizon=2, quantiles=(0.1, 0.9))
    got = answer(family(), task, [[1, 1, 1], [2, 2, 2], [3, 3, 3]])
    assert got.quantiles == (0.1, 0.9)
    np.testing.assert_allclose(got.values, [[5.5, 5.5], [16.5, 16.5]])


def test_bounds_of_the_quantity_are_kept():
    bounded = family(lower=0.0, upper=12.0)
    got = answer(bounded, ForecastTask(SERIES, 1), [[-1] * 3, [1] * 3, [9] * 3])
    assert [row[0] for row in got.values] == [0.0, 5.5, 12.0]


@pytest.mark.parametrize("series", [(0.0,) * 6, (7.0,) * 6])
@pytest.mark.parametrize("scaling", ["none", "mean-abs", "standard"])
def test_a_flat_series_is_no_special_case(series, scaling):
    opened = family(scaling=scaling)
    row = opened.prepare(ForecastTask(series, 1)).tensors["past"]
    assert np.isfinite(row).all()
    got = answer(opened, ForecastTask(series, 1), np.tile(row[0, -3:], (3, 1)))
    np.testing.assert_allclose(got.values, [[series[-1]]] * 3)


numbers = st.floats(-1e6, 1e6, allow_nan=False)
scalings = st.sampled_from(["none", "mean-abs", "standard"])


@given(
    st.lists(numbers, min_size=CONTEXT, max_size=12),
    st.lists(numbers, min_size=9, max_size=9),
    scalings,
)
def test_quantiles_never_cross_whatever_the_model_says(values, outputs, scaling):
    outputs = np.reshape(outputs, (3, 3))
    got = answer(family(scaling=scaling), ForecastTask(tuple(values), HORIZON), outputs)
    assert (np.diff(np.array(got.values), axis=0) >= 0).all()
    assert len(got.values) == len(LEVELS)
    assert all(len(row) == HORIZON for row in got.values)


@given(st.lists(numbers, min_size=1, max_size=50), scalings)
def test_undoing_a_scaling_gives_the_values_back(values, scaling):
    array = np.array(values)
    scale = Scale.of(array, scaling)
    back = scale.undo(scale.apply(array))
    np.testing.assert_allclose(back, array, rtol=1e-9, atol=1e-9 * np.abs(array).max(initial=1))


@given(
    st.lists(st.floats(1, 1e3), min_size=CONTEXT, max_size=CONTEXT),
    st.floats(1e-3, 1e3),
)
def test_the_unit_of_the_series_does_not_matter(values, unit):
    """What the model sees of miles and of kilometres per hour is the same."""
    opened = family(scaling="mean-abs")
    one = opened.prepare(ForecastTask(tuple(values), 1)).tensors["past"]
    other = opened.prepare(ForecastTask(tuple(v * unit for v in values), 1)).tensors["past"]
    np.testing.assert_allclose(one, other, rtol=1e-5)


@pytest.mark.parametrize(
    ("task", "field", "says"),
    [
        (ForecastTask(SERIES[:5], 1), "values", "at least 6 values, got 5"),
        (ForecastTask((), 1), "values", "at least 6"),
        (ForecastTask((*SERIES, math.nan), 1), "values[8]", "a value is missing"),
        (ForecastTask((math.inf, *SERIES), 1), "values[0]", "finite"),
        (ForecastTask((1e308,) * 6, 1), "values", "too large"),
        (ForecastTask((*SERIES, None), 1), "values", "a value is missing"),
        (ForecastTask((*SERIES, "x"), 1), "values", "numbers"),
        (ForecastTask((SERIES,) * 6, 1), "values", "flat"),
        (ForecastTask(SERIES, 0), "horizon", "1 to 3"),
        (ForecastTask(SERIES, 4), "horizon", "1 to 3"),
        (ForecastTask(SERIES, 1, (0.2,)), "quantiles", "0.1, 0.5, 0.9"),
        (ForecastTask(SERIES, 1, ()), "quantiles", "at least one"),
        (ForecastTask(SERIES, 1, (0.9, 0.1)), "quantiles", "ascend"),
        (ForecastTask(SERIES, 1, (0.5, 0.5)), "quantiles", "ascend"),
    ],
)
def test_a_refusal_names_the_field(task, field, says):
    with pytest.raises(InvalidInput, match=says) as refusal:
        family().prepare(task)
    assert refusal.value.input.startswith(field)


def test_a_forecast_that_is_no_number_is_the_models_failure():
    with pytest.raises(ModelFailed):
        answer(family(), ForecastTask(SERIES, 1), [[1] * 3, [math.nan] * 3, [1] * 3])


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"quantiles": [0.5, 0.1, 0.9]}, "options.quantiles"),
        ({"quantiles": [0.0, 0.5, 0.9]}, "options.quantiles"),
        ({"scaling": "median"}, "options.scaling"),
        ({"horizon": 0}, "options.horizon"),
        ({"contxt": 4}, "options.contxt"),
        ({"context": 7}, "past"),
        ({"horizon": 2}, "ahead"),
    ],
)
def test_a_bundle_that_contradicts_itself_is_refused(options, where):
    with pytest.raises(InvalidBundle) as refusal:
        open_family(Path(), manifest(**options))
    assert refusal.value.input == where


def test_a_model_with_two_inputs_is_of_another_family():
    tensor = {"datatype": "FP32", "shape": ["batch", CONTEXT]}
    signature = {
        "inputs": [{"name": "a", **tensor}, {"name": "b", **tensor}],
        "outputs": [{"name": "c", **tensor}],
    }
    with pytest.raises(InvalidBundle, match="one input"):
        open_family(Path(), manifest(signature))


values = st.lists(st.floats(-1e6, 1e6), min_size=CONTEXT, max_size=9)


@given(st.lists(values, min_size=1, max_size=5))
def test_several_series_have_the_forecasts_they_have_alone(series):
    opened = family()
    many = ForecastsTask(tuple(map(tuple, series)), 2, (0.1, 0.9))
    prepared = opened.prepare(many)
    assert prepared.rows == len(series)
    rows = np.random.default_rng(len(series)).normal(size=(len(series), len(LEVELS), HORIZON))
    rows = rows.astype(np.float32)
    together = opened.interpret({"ahead": rows}, prepared.context).forecasts
    alone = [answer(opened, ForecastTask(tuple(one), 2, (0.1, 0.9)), row)
             for one, row in zip(series, rows, strict=True)]  # fmt: skip
    assert list(together) == alone


@pytest.mark.parametrize(
    ("series", "where"),
    [((), "series"), ((SERIES, SERIES[:3]), "series[1]"),
     ((SERIES, (*SERIES, math.nan)), "series[1][8]")],
)  # fmt: skip
def test_of_several_series_the_wrong_one_is_named(series, where):
    with pytest.raises(InvalidInput) as caught:
        family().prepare(ForecastsTask(series, horizon=1))
    assert caught.value.input == where
