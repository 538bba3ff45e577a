"""The SDK against the real HTTP door and data plane; only the models are stand-ins."""

import httpx
import numpy as np
import pytest

import plaza
from plaza_core.running import Prepared
from plaza_core.settings import Settings
from plaza_models.forecast.tasks import AnomalyTask, WarningTask
from plaza_models.tasks import (
    Classified,
    ClassifyTask,
    Counted,
    CountedFrame,
    CountTask,
    Crossings,
    Detection,
    Detections,
    DetectTask,
    Embedded,
    Forecast,
    Forecasts,
    ForecastsTask,
    ForecastTask,
    Label,
    MeasuredValue,
    PictureQuality,
    Quality,
    QualityTask,
)
from plaza_serving.doors.http import HttpDoor
from tests.models.forecast import small
from tests.serving.dataplane.world import PlaneKit, make_key, make_manifest, make_model, make_table

FAMILIES = ("vision.detect", "vision.quality", "forecast.quantile", "text.classify", "text.embed")
PNG = b"\x89PNG\r\n\x1a\n the rest of a picture"


class Parrot:
    """Answers every task in the right form, from what it was asked."""

    def prepare(self, payload):
        return Prepared({"x": np.zeros((1, 2), np.float32)}, rows=1, context=payload)

    def interpret(self, outputs, task):
        match task:
            case DetectTask() | CountTask() | QualityTask():
                return looked(task)
            case ForecastTask():
                quantiles = task.quantiles or (0.1, 0.9)
                rows = tuple((task.values[-1] + q,) * task.horizon for q in quantiles)
                return Forecast(quantiles, rows)
            case ForecastsTask():
                one = Forecast(task.quantiles, ((1.0,) * task.horizon,) * len(task.quantiles))
                return Forecasts((one,) * len(task.series))
            case AnomalyTask() | WarningTask():
                return small.ask(small.family(), task)
            case ClassifyTask():
                labels = tuple(Label(f"l{i}", 0.5) for i in range(min(task.top_k, 3)))
                return Classified((labels,) * len(task.texts))
        vectors = np.array([[len(text), 0.5] for text in task.texts], np.float32)
        return Embedded(vectors, tokens=11)


def looked(task):
    match task:
        case DetectTask():
            box = Detection("car", task.threshold, (1.0, 2.0, 3.0, 4.0))
            return Detections(len(task.image), 7, (box,))
        case CountTask():
            frames = (CountedFrame((), ()),) * len(task.images)
            crossed = tuple(Crossings(line.name, "car", 1, 2) for line in task.lines)
            return Counted(9, 7, frames, crossed, (), (), len(frames), task.state or "new")
        case _:
            measured = (MeasuredValue("bright", 9.0, 23.0, "black"),)
            one = PictureQuality(8, 6, ("black",), measured)
            return Quality((one,) * len(task.images), 0)


@pytest.fixture
async def kit():
    kit = PlaneKit()
    kit.family = Parrot()
    yield kit
    await kit.plane.close()


@pytest.fixture
async def hub(kit):
    tasks = [
        make_model(name := family.replace(".", "-"), manifest=make_manifest(name, family=family))
        for family in FAMILIES
    ]
    entry, bearer = make_key()
    await kit.serve(make_table([make_model(versions=(1, 2)), *tasks], [entry]))
    door = httpx.ASGITransport(HttpDoor(kit.plane, Settings()))
    key = bearer.removeprefix("Bearer ")
    async with plaza.AsyncClient("http://door.test", api_key=key, transport=door) as hub:
        yield hub


async def test_tensors(hub):
    x = np.array([[1, 2], [3, 4]], np.float32)
    for version, answered in ((None, 1), (2, 2), ("champion", 1)):
        found = await hub.infer("echo", {"x": x}, version=version, outputs=["y"])
        assert (found.model, found.version) == ("echo", answered)
        np.testing.assert_array_equal(found["y"], x)
    described = await hub.metadata("echo")
    assert described.inputs == (plaza.Tensor("x", "FP32", (-1, 2)),)
    assert described.versions == ("1", "2")


async def test_tasks(hub):
    seen = await hub.detect(PNG, model="vision-detect", threshold=0.25)
    assert (seen.width, seen.height) == (len(PNG), 7)
    assert seen.detections == (plaza.Detection("car", 0.25, (1.0, 2.0, 3.0, 4.0)),)
    assert seen.timing.total_us > 0

    lines = {"north": ((0, 1), (2, 1))}
    counted = await hub.count([PNG, PNG], 12.5, model="vision-detect", lines=lines)
    assert (counted.width, counted.usable, counted.state) == (9, 2, "new")
    assert counted.lines == ({"line": "north", "label": "car", "forward": 1, "backward": 2},)
    assert (await hub.count([PNG], 5, model="vision-detect", state="then")).state == "then"

    judged = await hub.quality([PNG, PNG])
    assert (judged.model, judged.usable, len(judged.pictures)) == ("vision-quality", 0, 2)
    assert judged.pictures[1]["faults"] == ["black"]
    measured = {"name": "bright", "value": 9.0, "excess": 23.0, "fault": "black"}
    assert judged.pictures[1]["measures"] == [measured]

    ahead = await hub.forecast([1, 2, 3], 2, model="forecast-quantile", quantiles=[0.5])
    assert (ahead.quantiles, ahead.values.tolist()) == ((0.5,), [[3.5, 3.5]])

    both = await hub.forecasts([[1, 2], [3, 4]], 2, model="forecast-quantile", quantiles=[0.5])
    assert (both.values.tolist(), both.mean) == ([[[1, 1]], [[1, 1]]], None)

    named = await hub.classify(["a", "b"], model="text-classify", top_k=1)
    assert named.results == ((plaza.Label("l0", 0.5),),) * 2

    vectors = await hub.embed(["a", "bcd"], model="text-embed", version=1)
    assert (vectors.vectors.tolist(), vectors.tokens) == ([[1.0, 0.5], [3.0, 0.5]], 11)


REFUSED = {
    "model": (lambda hub: hub.infer("absent", {"x": np.zeros(2)}), 404, "model_not_found"),
    "z": (lambda hub: hub.infer("echo", {"z": np.zeros(2)}), 400, "invalid_tensor"),
    "x": (lambda hub: hub.infer("echo", {"x": np.zeros((1, 2))}), 400, "invalid_tensor"),
    "horizon": (lambda hub: hub.forecast([1], 0, model="forecast-quantile"), 422, "invalid_input"),
}


@pytest.mark.parametrize("wrong", REFUSED)
async def test_refusals(hub, wrong):
    ask, status, code = REFUSED[wrong]
    with pytest.raises(plaza.PlazaError) as caught:
        await ask(hub)
    found = caught.value
    assert (found.status, found.code) == (status, code)
    assert found.request_id
    if wrong != "model":
        assert found.input == wrong


async def test_without_a_name_the_only_model_of_the_family_is_asked(hub):
    assert (await hub.only("vision.quality")).endswith("vision-quality")
    found = await hub.classify(["a"], top_k=1)
    assert found.model == (await hub.classify(["a"], model="text-classify")).model


async def test_a_wrong_key(kit, hub):
    door = httpx.ASGITransport(HttpDoor(kit.plane, Settings()))
    async with plaza.AsyncClient("http://door.test", api_key="plz_no", transport=door) as stranger:
        with pytest.raises(plaza.PlazaError) as caught:
            await stranger.classify(["a"], model="text-classify")
    assert (caught.value.status, caught.value.code) == (401, "unauthenticated")
