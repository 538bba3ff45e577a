"""The task endpoints: a payload for the family on one side, a plain answer on the other.

Tables, anomalies and warnings: `test_series.py`.
"""

import base64
import json
import math

import pytest

from plaza_core.testing import FakeClock
from plaza_models.tasks import (
    ClassifyTask,
    DetectTask,
    Forecast,
    ForecastsTask,
    ForecastTask,
)
from plaza_serving.doors.series_answers import ForecastTold

PNG = b"\x89PNG picture"
TIMING = {"queue_us": 1, "prepare_us": 2, "run_us": 3, "interpret_us": 4, "compute_us": 9}
FORECAST = {"model": "forecaster", "values": [1, 2.5, 4], "horizon": 2}
CLASSIFY = {"model": "classifier", "input": "late again"}
EMBED = {"model": "embedder", "input": ["a b", "abc"]}
DETECT = {"model": "detector", "image": base64.b64encode(PNG).decode()}
ALL = {
    "/v1/vision/detect": DETECT,
    "/v1/forecast": FORECAST,
    "/v1/text/classify": CLASSIFY,
    "/v1/embeddings": EMBED,
}


# ── detect ───────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "media", ["image/png", "image/jpeg", "IMAGE/WEBP; q=1", "application/octet-stream"]
)
async def test_a_picture_is_its_own_body(client, hub, media):
    answer = await client.post(
        "/v1/vision/detect",
        PNG,
        headers={"content-type": media},
        query="model=detector&threshold=0.25&max_detections=7&version=2",
    )
    assert answer.json() == {
        "model": "detector",
        "version": 2,
        "width": 8,
        "height": 8,
        "faults": [],
        "detections": [{"label": "car", "score": 0.75, "box": [1.0, 2.0, 3.0, 4.5]}],
        "timing": TIMING,
    }
    (call,) = hub.calls
    assert (call.task, call.family) == (DetectTask(PNG, 0.25, 7), "vision.detect")
    assert (call.model, call.version) == ("detector", "2")


async def test_a_picture_in_base64(client, hub):
    answer = await client.post("/v1/vision/detect", DETECT)
    assert answer.status == 200
    assert hub.calls[0].task == DetectTask(PNG, None, 300)
    assert answer.headers["x-plaza-charge"] == "14"


@pytest.mark.parametrize(
    "image", ["", "%%%", "data:image/png;base64,AAAA", "AAA", "AAAA\nAAAA", "é", None, 5]
)
async def test_an_image_that_is_not_base64(client, hub, image):
    answer = await client.post("/v1/vision/detect", {**DETECT, "image": image})
    assert answer.problem() == (422, "invalid_input", "image")
    assert hub.calls == []


async def test_what_is_no_picture_is_422(client):
    for body, headers, query in (
        (b"GIF89a", {"content-type": "image/png"}, "model=detector"),
        (b"", {"content-type": "image/png"}, "model=detector"),
    ):
        answer = await client.post("/v1/vision/detect", body, headers=headers, query=query)
        assert answer.problem() == (422, "invalid_input", "image")


@pytest.mark.parametrize(
    ("query", "field"),
    [("model=detector&threshold=2", "threshold"),
     ("model=detector&threshold=x", "threshold"), ("model=detector&treshold=1", "treshold"),
     ("model=detector&max_detections=0", "max_detections"),
     ("model=detector&max_detections=1.5", "max_detections"),
     ("model=detector&version=", None)],
)  # fmt: skip
async def test_fields_in_the_query_are_checked(client, query, field):
    answer = await client.post(
        "/v1/vision/detect", PNG, headers={"content-type": "image/png"}, query=query
    )
    if field is None:
        assert answer.status == 200
    else:
        assert answer.problem() == (422, "invalid_input", field)


# ── forecast ─────────────────────────────────────────────────────────────────────────────────────
async def test_forecast(client, hub):
    answer = await client.post("/v1/forecast", {**FORECAST, "quantiles": [0.1, 0.9]})
    assert answer.json() == {
        "model": "forecaster",
        "version": 1,
        "quantiles": [0.1, 0.9],
        "values": [[4.0, 4.0], [4.0, 4.0]],
        "timing": TIMING,
    }
    assert hub.calls[0].task == ForecastTask((1.0, 2.5, 4.0), 2, (0.1, 0.9))
    await client.post("/v1/forecast", FORECAST)
    assert hub.calls[1].task.quantiles is None


async def test_several_series_and_what_is_known_beside_them(client, hub):
    series = {"series": [[1, 2], [3, None, 5]], "known": [[7, 8]]}
    body = {"model": "forecaster", "horizon": 1, **series}
    answer = await client.post("/v1/forecast", body)
    assert answer.json()["quantiles"] == [0.5]
    assert answer.json()["forecasts"] == [{"values": [[2.0]]}, {"values": [[5.0]]}]
    (call,) = hub.calls
    assert isinstance(call.task, ForecastsTask)
    assert call.task.known == ((7.0, 8.0),)
    assert math.isnan(call.task.series[1][1])
    both = await client.post("/v1/forecast", {**body, "values": [1]})
    assert both.problem() == (422, "invalid_input", "values")


def test_a_mean_is_told_where_the_model_gives_one():
    told = Forecast((0.5,), ((1.0,),), mean=(1.25,))
    alone = ForecastTold((told,), one=True)
    assert alone.document() == {"quantiles": (0.5,), "values": ((1.0,),), "mean": (1.25,)}
    assert (alone.columns(), list(alone.rows())) == (["step", "q0.5", "mean"], [[(1.0, 1.0, 1.25)]])
    many = ForecastTold((told,), one=False).document()
    assert many["forecasts"] == [{"values": ((1.0,),), "mean": (1.25,)}]


@pytest.mark.parametrize(
    ("change", "field"),
    [({"values": []}, "values"), ({"known": [[1, None], 2]}, "known[1]"),
     ({"values": [1, True]}, "values"),
     ({"values": "1"}, "values"), ({"values": [[1]]}, "values"), ({"horizon": None}, "horizon"),
     ({"horizon": 0}, "horizon"), ({"horizon": 2.0}, "horizon"), ({"horizon": 25}, "horizon"),
     ({"quantiles": []}, "quantiles"), ({"quantiles": ["0.5"]}, "quantiles"),
     ({"model": ""}, "model"), ({"model": 7}, "model"), ({"version": 1.5}, "version"),
     ({"version": True}, "version"), ({"timeout_us": 0}, None), ({"timeout_us": -1}, "timeout_us"),
     ({"horizons": 3}, "horizons")],
)  # fmt: skip
async def test_a_wrong_field_is_named(client, change, field):
    answer = await client.post("/v1/forecast", {**FORECAST, **change})
    if field is None:
        assert answer.status == 200
    else:
        assert answer.problem() == (422, "invalid_input", field)


# ── classify ─────────────────────────────────────────────────────────────────────────────────────
async def test_classify_one_or_many(client, hub):
    answer = await client.post("/v1/text/classify", {**CLASSIFY, "top_k": 1})
    assert answer.json() == {
        "model": "classifier",
        "version": 1,
        "results": [[{"label": "complaint", "score": 0.75}]],
        "timing": TIMING,
    }
    await client.post("/v1/text/classify", {**CLASSIFY, "input": ["a", ""]})
    assert [call.task for call in hub.calls] == [
        ClassifyTask(("late again",), 1),
        ClassifyTask(("a", ""), 3),
    ]


@pytest.mark.parametrize("texts", [None, [], 5, [1], ["a", None], {"a": 1}, ["x"] * 2049])
async def test_texts_are_strings(client, texts):
    for path in ("/v1/text/classify", "/v1/embeddings"):
        answer = await client.post(path, {**ALL[path], "input": texts})
        assert answer.problem() == (422, "invalid_input", "input")


# ── all ──────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("path", ALL)
async def test_common_fields(client, hub, path):
    hub.clock = FakeClock()
    body = {**ALL[path], "version": "champion", "timeout_us": 2500}
    answer = await client.post(path, body, headers={"content-type": "application/json; a=b"})
    assert answer.json()["timing"] == TIMING
    (call,) = hub.calls
    assert (call.version, call.tensors) == ("champion", None)
    assert call.deadline_ns == hub.clock.monotonic_ns() + 2_500_000


NAMELESS = {
    **{path: (json.dumps({**body, "model": None}).encode(), {}) for path, body in ALL.items()},
    "/v1/vision/detect": (PNG, {"content-type": "image/png"}),
    "/v1/warning/level": (b"river\n1\n1\n1\n1\n", {"content-type": "text/csv"}),
    "/v1/timeseries/forecast": (
        b'{"inputs":[{"type":"univariate_time_series","name":"a","series":[1],"frequency":"hour"}],'
        b'"options":{"horizon":1}}',
        {},
    ),
}


@pytest.mark.parametrize("path", NAMELESS)
async def test_without_a_name_the_only_model_of_the_family_is_meant(client, hub, path):
    body, headers = NAMELESS[path]
    query = 'levels=[{"name":"high","threshold":5}]' if "warning" in path else ""
    answer = await client.post(path, body, headers=headers, query=query)
    assert answer.status == 200
    family = hub.calls[0].family
    assert hub.calls[0].model in {"detector", "forecaster", "classifier", "embedder", "judge"}
    manifest, work = hub._models[hub.calls[0].model]
    hub.add("other", manifest, work)
    answer = await client.post(path, body, headers=headers, query=query)
    assert answer.problem() == (422, "invalid_input", "model")
    assert f"name a model of family '{family}'; there are several: " in answer.body.decode()


@pytest.mark.parametrize("path", ALL)
async def test_what_no_task_takes(client, path):
    body = ALL[path]
    assert (await client.post(path, b"[]")).problem() == (400, "malformed_request", "body")
    assert (await client.post(path, b'{"a":NaN}')).problem() == (400, "malformed_request", "body")
    assert (await client.post(path, {**body, "model": "none"})).problem()[1] == "model_not_found"
    wrong = {**body, "model": "echo"}
    assert (await client.post(path, wrong)).problem() == (422, "invalid_input", "model")
    for media in ("text/plain", "multipart/form-data; boundary=x", "image/gif",
                  "application/x-www-form-urlencoded"):  # fmt: skip
        answer = await client.post(path, body, headers={"content-type": media})
        assert answer.problem() == (415, "unsupported_media", "content-type")


@pytest.mark.parametrize("media", ["multipart/form-data; boundary=a", "image/gif"])
async def test_who_sends_another_kind_of_picture_is_told_which_are_taken(client, media):
    answer = await client.post("/v1/vision/detect", b"GIF89a", headers={"content-type": media})
    assert answer.problem() == (415, "unsupported_media", "content-type")
    assert "image/jpeg, image/png, image/webp" in answer.json()["error"]
