"""How each family's tasks are asked of a running hub, through the SDK and the public endpoint.

A family is one entry of `WAYS`. `Asked` is the same port that training scores through, so that an
exam's numbers are made by the same functions, whoever answers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any

import numpy as np

import plaza
from plaza_core.manifest import Manifest
from plaza_models.tasks import (
    Classified,
    ClassifyTask,
    Detection,
    Detections,
    DetectTask,
    Embedded,
    EmbedTask,
    Forecast,
    Forecasts,
    ForecastsTask,
    ForecastTask,
    Label,
)
from plaza_models.vision.tasks import MeasuredValue, PictureQuality, Quality, QualityTask
from plaza_training.served import Served

AT_ONCE = 4
"""Requests that wait for an answer together."""


@dataclass(frozen=True, slots=True)
class Way:
    """One kind of task. Tasks with the same `alike` may share a request."""

    ask: Callable[[plaza.Client, str, Sequence[Any]], Sequence[Any]]
    """(hub, model, tasks) to an answer each."""
    together: int = 1
    alike: Callable[[Any], Hashable] = lambda _: None


def _detect(hub: plaza.Client, model: str, tasks: Sequence[DetectTask]) -> Sequence[Detections]:
    (task,) = tasks
    found = hub.detect(task.image, model=model, threshold=task.threshold)
    rows = tuple(Detection(one.label, one.score, one.box) for one in found.detections)
    return [Detections(found.width, found.height, rows, found.faults)]


def _quality(hub: plaza.Client, model: str, tasks: Sequence[QualityTask]) -> Sequence[Quality]:
    (task,) = tasks
    found = hub.quality(task.images, model=model)
    pictures = tuple(
        PictureQuality(
            one["width"],
            one["height"],
            tuple(one["faults"]),
            tuple(MeasuredValue(**measured) for measured in one["measures"]),
        )
        for one in found.pictures
    )
    return [Quality(pictures, found.usable)]


def _forecast(hub: plaza.Client, model: str, tasks: Sequence[ForecastTask]) -> Sequence[Forecast]:
    """With what is known beside it a series is asked alone; others share a request."""
    first = tasks[0]
    if first.known:
        (task,) = tasks
        one = hub.forecast(
            task.values, task.horizon, model=model, quantiles=task.quantiles, known=task.known
        )
        mean = None if one.mean is None else tuple(one.mean.tolist())
        return [Forecast(one.quantiles, _rows(one.values), mean)]
    series = [task.values for task in tasks]
    found = hub.forecasts(series, first.horizon, model=model, quantiles=first.quantiles)
    return _each(found)


def _forecasts(
    hub: plaza.Client, model: str, tasks: Sequence[ForecastsTask]
) -> Sequence[Forecasts]:
    (task,) = tasks
    known = task.known or None
    found = hub.forecasts(
        task.series, task.horizon, model=model, quantiles=task.quantiles, known=known
    )
    return [Forecasts(_each(found))]


def _each(found: plaza.Forecasts) -> tuple[Forecast, ...]:
    means = [None] * len(found.values) if found.mean is None else map(tuple, found.mean.tolist())
    return tuple(
        Forecast(found.quantiles, _rows(values), mean)
        for values, mean in zip(found.values, means, strict=True)
    )


def _rows(values: Any) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, values.tolist()))


def _classify(hub: plaza.Client, model: str, tasks: Sequence[ClassifyTask]) -> Sequence[Classified]:
    texts = [text for task in tasks for text in task.texts]
    found = hub.classify(texts, model=model, top_k=tasks[0].top_k)
    results = iter(tuple(Label(o.label, o.score) for o in labels) for labels in found.results)
    return [Classified(tuple(islice(results, len(task.texts)))) for task in tasks]


def _embed(hub: plaza.Client, model: str, tasks: Sequence[EmbedTask]) -> Sequence[Embedded]:
    """Each answer has the tokens of the whole request."""
    found = hub.embed([text for task in tasks for text in task.texts], model=model)
    rows = iter(found.vectors)
    return [Embedded(np.stack(list(islice(rows, len(task.texts)))), found.tokens) for task in tasks]


WAYS: Mapping[type, Way] = {
    DetectTask: Way(_detect),
    QualityTask: Way(_quality),
    ForecastTask: Way(
        _forecast,
        together=32,
        alike=lambda task: object() if task.known else (task.horizon, task.quantiles),
    ),
    ForecastsTask: Way(_forecasts),
    ClassifyTask: Way(_classify, together=64, alike=lambda task: task.top_k),
    EmbedTask: Way(_embed, together=64),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A model that a hub serves, under the name `name`."""

    hub: plaza.Client
    name: str
    manifest: Manifest

    def ask(self, payload: Any) -> Any:
        (answer,) = self._request((payload,))
        return answer

    def ask_all(self, payloads: Iterable[Any], *, joined: int = 128) -> Iterator[Any]:
        waiting: deque[Future[Sequence[Any]]] = deque()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for group in _groups(payloads, joined):
                waiting.append(pool.submit(self._request, group))
                if len(waiting) > 2 * AT_ONCE:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()

    def _request(self, tasks: Sequence[Any]) -> Sequence[Any]:
        return WAYS[type(tasks[0])].ask(self.hub, self.name, tasks)


def _groups(payloads: Iterable[Any], joined: int) -> Iterator[Sequence[Any]]:
    """Neighbours that may share a request, as many as may."""

    def kind(task: Any) -> tuple[type, Hashable]:
        return type(task), WAYS[type(task)].alike(task)

    for (of, _), run in groupby(payloads, kind):
        while group := list(islice(run, min(joined, WAYS[of].together))):
            yield group


@dataclass(frozen=True, slots=True)
class Remembered:
    """Asks once and answers again from memory: for scores that look at the same answers twice."""

    served: Served
    _known: dict[Any, Any] = field(default_factory=dict)

    @property
    def manifest(self) -> Manifest:
        return self.served.manifest

    def ask(self, payload: Any) -> Any:
        (answer,) = self.ask_all((payload,))
        return answer

    def ask_all(self, payloads: Iterable[Any], *, joined: int = 128) -> Iterator[Any]:
        asked = list(payloads)
        fresh = [task for task in dict.fromkeys(asked) if task not in self._known]
        self._known.update(zip(fresh, self.served.ask_all(fresh, joined=joined), strict=True))
        return (self._known[task] for task in asked)
