"""KServe's forecasts: several series in one request, one inference."""

import pytest

from plaza_core.testing import FakeClock
from plaza_models.tasks import ForecastsTask
from plaza_serving.doors.timeseries import FREQUENCIES

PATH = "/v1/timeseries/forecast"
LOAD = {
    "type": "univariate_time_series",
    "name": "load",
    "series": [1, 2, 3],
    "frequency": "hour",
    "start_timestamp": "2026-01-31T22:00:00Z",
}
BODY = {
    "model": "forecaster",
    "inputs": [LOAD, {**LOAD, "name": "other", "series": [5.5], "start_timestamp": None}],
    "options": {"horizon": 2, "quantiles": [0.9, 0.1]},
}


def changed(**more):
    return {**BODY, "inputs": [{**LOAD, **more}]}


async def test_all_series_are_one_inference(client, hub):
    hub.clock = FakeClock()
    answer = await client.post(PATH, BODY)
    (call,) = hub.calls
    assert call.task == ForecastsTask(((1.0, 2.0, 3.0), (5.5,)), 2, (0.1, 0.5, 0.9))
    body = answer.json()
    assert (body["id"], body["status"]) == (answer.headers["x-request-id"], "completed")
    assert body["created_at"] == hub.clock.unix_us() // 1_000_000
    (output,) = body["outputs"]
    first, second = output["content"]
    assert first == {
        "type": "univariate_time_series",
        "name": "load",
        "mean_forecast": [3.0, 3.0],
        "frequency": "hour",
        "start_timestamp": "2026-02-01T01:00:00+00:00",
        "quantiles": {"0.9": [3.0, 3.0], "0.1": [3.0, 3.0]},
        "point": "median",
    }
    assert (second["name"], second["start_timestamp"]) == ("other", "")


async def test_without_quantiles_there_is_the_median_alone(client, hub):
    answer = await client.post(PATH, {**BODY, "options": {"horizon": 1}})
    assert answer.json()["outputs"][0]["content"][0]["quantiles"] is None
    assert hub.calls[0].task.quantiles == (0.5,)


@pytest.mark.parametrize(
    ("frequency", "start", "after"),
    [("S", "2026-01-01T00:00:00", "2026-01-01T00:00:03"),
     ("minute", "2026-01-01T00:00:00", "2026-01-01T00:03:00"),
     ("D", "2026-02-27", "2026-03-02T00:00:00"),
     ("W", "2026-01-01T00:00:00+02:00", "2026-01-22T00:00:00+02:00"),
     ("M", "2025-11-30T00:00:00", "2026-02-28T00:00:00"),
     ("Q", "2026-01-31T00:00:00", "2026-10-31T00:00:00"),
     ("year", "2024-02-29T00:00:00", "2027-02-28T00:00:00")],
)  # fmt: skip
async def test_a_forecast_starts_where_its_series_ends(client, frequency, start, after):
    answer = await client.post(PATH, changed(frequency=frequency, start_timestamp=start))
    assert answer.json()["outputs"][0]["content"][0]["start_timestamp"] == after


@pytest.mark.parametrize("frequency", FREQUENCIES)
async def test_a_frequency_must_be_the_models_own(client, hub, frequency):
    manifest, work = hub._models["forecaster"]
    hub.add("hourly", {**manifest, "options": {"step_seconds": 3600}}, work)
    answer = await client.post(PATH, {**changed(frequency=frequency), "model": "hourly"})
    if frequency in {"hour", "H"}:
        assert answer.status == 200
    else:
        assert answer.problem() == (422, "invalid_input", "inputs[0].frequency")


async def test_a_step_that_the_dialect_cannot_say_is_the_models(client, hub):
    manifest, work = hub._models["forecaster"]
    hub.add("five", {**manifest, "options": {"step_seconds": 300}}, work)
    answer = await client.post(PATH, {**changed(frequency="minute"), "model": "five"})
    content = answer.json()["outputs"][0]["content"]
    assert content[0]["start_timestamp"] == "2026-01-31T22:15:00+00:00"


@pytest.mark.parametrize(
    ("body", "field"),
    [({**BODY, "inputs": []}, "inputs"), ({**BODY, "inputs": [5]}, "inputs[0]"),
     ({**BODY, "inputs": [LOAD] * 257}, "inputs"), ({**BODY, "options": None}, "options"),
     ({**BODY, "options": {}}, "options.horizon"),
     (changed(type="multivariate_time_series"), "inputs[0].type"),
     (changed(type=None), "inputs[0].type"), (changed(name=""), "inputs[0].name"),
     (changed(series=[]), "inputs[0].series"), (changed(series=[[1], [2]]), "inputs[0].series"),
     (changed(frequency="h"), "inputs[0].frequency"),
     (changed(frequency=None), "inputs[0].frequency"),
     (changed(start_timestamp="yesterday"), "inputs[0].start_timestamp"),
     (changed(start_timestamp="9999-12-31T23:00:00"), "inputs"),
     ({**BODY, "options": {"horizon": 1, "quantiles": "all"}}, "options.quantiles")],
)  # fmt: skip
async def test_what_is_no_request_for_forecasts(client, hub, body, field):
    assert (await client.post(PATH, body)).problem() == (422, "invalid_input", field)
    assert hub.calls == []


async def test_models_and_errors(client):
    assert (await client.get("/v1/timeseries/models")).json() == ["forecaster"]
    answer = await client.post(PATH, {**BODY, "model": "absent"})
    assert answer.problem() == (404, "model_not_found", "model")
    assert answer.json()["error"]["type"] == "invalid_request_error"
