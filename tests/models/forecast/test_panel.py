"""Models that read several series together, what is known beside them, and gaps."""

import math
from pathlib import Path

import numpy as np
import pytest

from plaza_core.errors import InvalidBundle, InvalidInput, ModelFailed
from plaza_core.manifest import manifest_from
from plaza_models.forecast.quantile import open_family
from plaza_models.tasks import ForecastsTask, ForecastTask

CONTEXT, HORIZON, LEVELS = 4, 2, [0.1, 0.5, 0.9]


def tensor(name, *shape):
    return {"name": name, "datatype": "FP32", "shape": ["batch", *shape]}


def family(series=1, known=(), *, mean=True, **options):
    rows = (series,) if series > 1 else ()
    inputs = [tensor("values", *rows, CONTEXT)]
    if known:
        inputs.append(tensor("known", len(known), CONTEXT + HORIZON))
    outputs = [tensor("quantiles", *rows, len(LEVELS), HORIZON)]
    if mean:
        outputs.append(tensor("mean", *rows, HORIZON))
    said = {
        "context": CONTEXT, "horizon": HORIZON, "quantiles": LEVELS, "scaling": "none",
        "series": series, "known": list(known), **options,
    }  # fmt: skip
    manifest = manifest_from(
        {
            "name": "m",
            "family": "forecast.quantile",
            "options": said,
            "signature": {"inputs": inputs, "outputs": outputs},
        }
    )
    return open_family(Path(), manifest)


def test_series_that_are_read_together_are_one_row():
    opened = family(series=3)
    task = ForecastsTask(tuple((float(k),) * 5 for k in range(3)), 1)
    prepared = opened.prepare(task)
    assert prepared.rows == 1
    assert prepared.tensors["values"].shape == (1, 3, CONTEXT)
    quantiles = np.arange(18, dtype=np.float32).reshape(1, 3, 3, 2)
    mean = np.arange(6, dtype=np.float32).reshape(1, 3, 2)
    answer = opened.interpret({"quantiles": quantiles, "mean": mean}, prepared.context)
    assert [one.mean for one in answer.forecasts] == [(0.0,), (2.0,), (4.0,)]
    assert answer.forecasts[1].values == ((6.0,), (8.0,), (10.0,))


def test_a_panel_of_another_size_is_refused():
    with pytest.raises(InvalidInput, match="3 series together, got 2") as caught:
        family(series=3).prepare(ForecastsTask(((1.0,) * 4,) * 2, 1))
    assert caught.value.input == "series"


def test_what_is_known_reaches_the_graph_as_it_was_sent():
    opened = family(known=("temperature", "weekday"))
    rows = ((1.0, 2, 3, 4, 5), (6.0, 6, 6, 6, 0))
    prepared = opened.prepare(ForecastTask((1.0,) * 4, 1, known=rows))
    # Beyond the step that was asked nothing is known; the last value stands there.
    assert prepared.tensors["known"].tolist() == [[[1, 2, 3, 4, 5, 5], [6, 6, 6, 6, 0, 0]]]
    more = opened.prepare(ForecastTask((1.0,) * 4, 1, known=((*rows[0], 9.0), rows[1])))
    assert more.tensors["known"][0, 0].tolist() == [1, 2, 3, 4, 5, 9]


@pytest.mark.parametrize(
    ("known", "field", "says"),
    [
        ((), "known", "temperature"),
        (((1.0,) * 6, (1.0,) * 6), "known", "a row each"),
        (((1.0,) * 4,), "known[0]", "at least 5"),
        (((1.0,) * 7,), "known[0]", "at most 6"),
        (((1.0,) * 5 + (math.nan,),), "known[0][5]", "a value is missing"),
    ],
)
def test_a_covariate_that_does_not_fit_is_named(known, field, says):
    with pytest.raises(InvalidInput, match=says) as caught:
        family(known=("temperature",)).prepare(ForecastTask((1.0,) * 4, 1, known=known))
    assert caught.value.input == field


def test_a_model_without_covariates_takes_none():
    with pytest.raises(InvalidInput) as caught:
        family().prepare(ForecastTask((1.0,) * 4, 1, known=((1.0,) * 5,)))
    assert caught.value.input == "known"


def test_gaps_are_filled_where_the_model_says_so():
    opened = family(gaps="fill")
    values = opened.prepare(ForecastTask((math.nan, 1, None, 3, math.nan), 1)).tensors["values"]
    assert values.tolist() == [[1, 2, 3, 3]]
    with pytest.raises(InvalidInput):
        opened.prepare(ForecastTask((math.nan,) * 5, 1))
    with pytest.raises(InvalidInput):
        family().prepare(ForecastTask((1.0, 2.0, math.nan, 4.0), 1))


def test_a_short_series_is_continued_backwards_where_the_model_says_so():
    opened = family(shortest=2)
    assert opened.prepare(ForecastTask((7, 8), 1)).tensors["values"].tolist() == [[7, 7, 7, 8]]
    with pytest.raises(InvalidInput, match="at least 2"):
        opened.prepare(ForecastTask((7,), 1))


def test_a_mean_that_is_no_number_is_the_models_failure():
    opened = family()
    context = opened.prepare(ForecastTask((1.0,) * 4, 1)).context
    outputs = {"quantiles": np.ones((1, 3, 2), np.float32), "mean": np.full((1, 2), np.nan)}
    with pytest.raises(ModelFailed):
        opened.interpret(outputs, context)


def test_a_mean_keeps_to_the_bounds_of_the_quantity():
    opened = family(lower=0.0)
    context = opened.prepare(ForecastTask((1.0,) * 4, 2)).context
    outputs = {"quantiles": -np.ones((1, 3, 2), np.float32), "mean": np.float32([[-1, 2]])}
    assert opened.interpret(outputs, context).mean == (0.0, 2.0)


def test_covariates_that_the_graph_does_not_take_are_a_contradiction():
    with pytest.raises(InvalidBundle):
        manifest = family(known=("a",)).options.model_dump(exclude_none=True)
        open_family(
            Path(),
            manifest_from(
                {
                    "name": "m",
                    "family": "forecast.quantile",
                    "options": manifest,
                    "signature": {
                        "inputs": [tensor("values", CONTEXT)],
                        "outputs": [tensor("quantiles", len(LEVELS), HORIZON)],
                    },
                }
            ),
        )
