"""What the small hub serves: models that echo tensors, and one of each family, in plain Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from plaza_core.errors import InvalidInput
from plaza_core.tensors import Array
from plaza_models import tasks
from plaza_models.forecast.tasks import AnomalyTask, WarningTask
from tests.models.forecast import small
from tests.serving.doors.small_hub import SmallHub


def stock(hub: SmallHub) -> None:
    """Add them all."""
    fp32 = _tensor("x", "FP32", "batch", 3)
    both = (_tensor("y", "FP32", "batch", 3), _tensor("z", "FP32", "batch", 3))
    for name in ("echo", "road.echo", "acme.road.echo"):
        hub.add(name, _signature(fp32, *both), _echo)
    hub.add("open", _signature(_tensor("x", "FP64", "rows"), _tensor("y", "FP64", "rows")), _echo)
    hub.add(
        "words", _signature(_tensor("x", "BYTES", "rows"), _tensor("y", "BYTES", "rows")), _echo
    )
    plain = _signature(fp32, _tensor("v", "FP32", "batch", 4))
    hub.add("detector", {"family": "vision.detect", **plain}, _detect)
    hub.add("judge", {"family": "vision.quality", **plain}, _judge)
    hub.add("forecaster", {"family": "forecast.quantile", **plain}, _forecast)
    hub.add("classifier", {"family": "text.classify", **plain}, _classify)
    hub.add("embedder", {"family": "text.embed", **plain}, _embed)


def _tensor(name: str, datatype: str, *shape: int | str) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(shape)}


def _signature(*tensors: dict[str, Any]) -> dict[str, Any]:
    """One input and as many outputs as follow it."""
    return {"signature": {"inputs": [tensors[0]], "outputs": list(tensors[1:])}}


def _echo(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """y is the input, z its negative."""
    (array,) = tensors.values()
    return {"y": array} if array.dtype == object else {"y": array, "z": -array}


def _detect(task: tasks.DetectTask | tasks.CountTask) -> tasks.Detections | tasks.Counted:
    if isinstance(task, tasks.CountTask):
        frames = (tasks.CountedFrame((), ()),) * len(task.images)
        crossed = tuple(tasks.Crossings(line.name, "car", 1, 0) for line in task.lines)
        return tasks.Counted(8, 8, frames, crossed, (), (), len(frames), "{}")
    if not task.image.startswith((b"\x89PNG", b"\xff\xd8")):
        raise InvalidInput("this is no picture", input="image")
    return tasks.Detections(8, 8, (tasks.Detection("car", 0.75, (1.0, 2.0, 3.0, 4.5)),))


def _judge(task: tasks.QualityTask) -> tasks.Quality:
    measured = (tasks.MeasuredValue("change", None, None, "frozen"),)
    fine = tasks.PictureQuality(8, 8, (), measured)
    return tasks.Quality((fine,) * len(task.images), len(task.images))


def _forecast(task: Any) -> Any:
    if isinstance(task, AnomalyTask | WarningTask):
        return small.ask(small.family(), task)
    if isinstance(task, tasks.ForecastsTask):
        each = [tasks.ForecastTask(row, task.horizon, task.quantiles) for row in task.series]
        return tasks.Forecasts(tuple(_one_forecast(one) for one in each))
    return _one_forecast(task)


def _one_forecast(task: tasks.ForecastTask) -> tasks.Forecast:
    if task.horizon > 24:
        raise InvalidInput("the model looks 24 steps ahead", input="horizon")
    quantiles = task.quantiles or (0.5,)
    return tasks.Forecast(quantiles, tuple((task.values[-1],) * task.horizon for _ in quantiles))


def _classify(task: tasks.ClassifyTask) -> tasks.Classified:
    scores = (4.0, -2.0) if task.raw else (0.75, 0.25)
    labels = (tasks.Label("complaint", scores[0]), tasks.Label("praise", scores[1]))
    return tasks.Classified(tuple(labels[: task.top_k] for _ in task.texts))


def _embed(task: tasks.EmbedTask) -> tasks.Embedded:
    vectors = np.zeros((len(task.texts), 4), np.float32)
    for row, text in enumerate(task.texts):
        vectors[row, len(text) % 4] = 1 if task.normalise else 2
    return tasks.Embedded(vectors, tokens=sum(len(text.split()) for text in task.texts))
