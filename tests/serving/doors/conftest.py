"""A small hub behind the door: one process, no network, models that echo or answer plainly."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from plaza_core.clock import SystemClock
from plaza_core.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelNotFound,
    PlazaError,
    Unauthenticated,
)
from plaza_core.ids import Digest, KeyId, OrganisationId, ProjectId, RequestId
from plaza_core.inference import Call, Outcome, Timing
from plaza_core.manifest import manifest_from
from plaza_core.principal import Principal, Role
from plaza_core.settings import Settings
from plaza_core.tensors import Array
from plaza_models import tasks
from plaza_models.forecast.tasks import AnomalyTask, WarningTask
from plaza_serving.doors.http import HttpDoor
from plaza_serving.plane import ModelView
from plaza_serving.repository import Meant, RepositoryState, Shelved
from plaza_serving.statistics import BatchStatistics, Lasting, VersionStatistics
from tests.models.forecast import small

Work = Callable[[Any], Any]


def _view(name: str, manifest: dict[str, Any], version: int = 1) -> ModelView:
    parsed = manifest_from({"name": name.rsplit(".", maxsplit=1)[-1], **manifest})
    return ModelView(
        name=name,
        version=version,
        versions=(1, 2),
        digest=Digest(f"{version:064x}"),
        manifest=parsed,
        signature=parsed.signature_spec(),
        ready=True,
        provider="cpu",
        placement={"CPUExecutionProvider": 2},
        certificate="0123456789abcdef",
        labels=("complaint", "praise") if parsed.family == "text.classify" else (),
    )


def _tensor(name: str, datatype: str, *shape: int | str) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(shape)}


def _signature(*tensors: dict[str, Any]) -> dict[str, Any]:
    """One input and as many outputs as follow it."""
    return {"signature": {"inputs": [tensors[0]], "outputs": list(tensors[1:])}}


class SmallHub:
    """A Plane: keys are `role` or `role:whatever`, every model has versions 1 and 2."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.is_live = self.is_ready = True
        self.is_shared = False
        """Whether other organisations are served as well."""
        self.budget_remaining: int | None = None
        self.calls: list[Call] = []
        self.fail: BaseException | None = None
        """Raised by `infer` instead of an answer."""
        self.hold: asyncio.Event | None = None
        """What `infer` waits for."""
        self.cancelled = 0
        self._ids = itertools.count(1)
        self._models: dict[str, tuple[dict[str, Any], Work]] = {}

    def add(self, name: str, manifest: dict[str, Any], work: Work) -> None:
        self._models[name] = (manifest, work)

    def new_request_id(self) -> RequestId:
        return RequestId(f"request-{next(self._ids)}")

    def authenticate(self, authorization: str | None) -> Principal:
        scheme, _, key = (authorization or "").partition(" ")
        role = key.partition(":")[0]
        if scheme != "Bearer" or role not in set(Role):
            raise Unauthenticated("this is not a key of this hub", input="authorization")
        return Principal(
            KeyId(key), OrganisationId("org_1"), "acme", ProjectId("prj_1"), "road", Role(role)
        )

    def model(self, principal: Principal, name: str, version: str | None) -> ModelView:
        known = {None: 1, "champion": 1, "1": 1, "2": 2}
        if name not in self._models or version not in known:
            raise ModelNotFound("no such model or version", input="model")
        return _view(name, self._models[name][0], known[version])

    def models(self, principal: Principal) -> list[ModelView]:
        return [_view(name, manifest) for name, (manifest, _) in self._models.items()]

    async def infer(self, principal: Principal, call: Call) -> Outcome:
        self.calls.append(call)
        view = self.model(principal, call.model, call.version)
        if call.family not in {None, view.manifest.family}:
            raise InvalidInput(f"this model is not {call.family}", input="model")
        if call.tensors is not None:
            view.signature.check(dict(call.tensors))
        if self.hold is not None:
            try:
                await self.hold.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        if self.fail is not None:
            raise self.fail
        if call.deadline_ns is not None and call.deadline_ns < self.clock.monotonic_ns():
            raise DeadlineExceeded("the deadline passed in the queue")
        made = self._models[call.model][1](call.task if call.tensors is None else call.tensors)
        return Outcome(
            model=call.model,
            version=view.version,
            digest=view.digest,
            timing=Timing(1, 2, 3, 4),
            compute_us=9,
            batch_rows=1,
            charge=14,
            host_us=5,
            budget_remaining=self.budget_remaining,
            tensors={} if call.tensors is None else made,
            answer=made if call.tensors is None else None,
        )

    def statistics(
        self, principal: Principal, name: str | None, version: str | None
    ) -> list[VersionStatistics]:
        names = list(self._models)[:2] if name is None else [name]
        numbers = ["1", "2"] if version is None else [version]
        views = [self.model(principal, name, number) for name in names for number in numbers]
        once = Lasting(1, 5000)
        sizes = (BatchStatistics(3, once, once, once),)
        return [
            VersionStatistics(view.name, view.version, 7, 3, 1, once, run=once, batches=sizes)
            for view in views
        ]

    def shared(self, principal: Principal) -> bool:
        return self.is_shared

    def live(self) -> bool:
        return self.is_live

    def ready(self) -> bool:
        return self.is_ready


class SmallRepository:
    """A Repository of the models of a SmallHub, in which version 1 is open at first."""

    def __init__(self, hub: SmallHub) -> None:
        self._hub = hub
        self.open = {1}
        self.asked: list[Meant] = []
        self.fail: PlazaError | None = None
        """Raised instead of a change."""

    def index(self, principal: Principal) -> list[Shelved]:
        return [
            Shelved(view.name, version, RepositoryState.READY)
            if version in self.open
            else Shelved(view.name, version, RepositoryState.UNAVAILABLE, "nobody asked for it")
            for view in self._hub.models(principal)
            for version in view.versions
        ]

    async def load(self, meant: Meant) -> int:
        version = self._change(meant)
        self.open.add(version)
        return version

    async def unload(self, meant: Meant) -> int:
        version = self._change(meant)
        self.open.discard(version)
        return version

    def _change(self, meant: Meant) -> int:
        self.asked.append(meant)
        if self.fail is not None:
            raise self.fail
        return self._hub.model(meant.principal, meant.name, meant.version).version


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


@pytest.fixture(scope="session")
def new_hub() -> Callable[[], SmallHub]:
    """A factory, for tests that need a hub per example."""

    def make() -> SmallHub:
        hub = SmallHub()
        fp32 = _tensor("x", "FP32", "batch", 3)
        both = (_tensor("y", "FP32", "batch", 3), _tensor("z", "FP32", "batch", 3))
        for name in ("echo", "road.echo", "acme.road.echo"):
            hub.add(name, _signature(fp32, *both), _echo)
        hub.add(
            "open", _signature(_tensor("x", "FP64", "rows"), _tensor("y", "FP64", "rows")), _echo
        )
        hub.add(
            "words", _signature(_tensor("x", "BYTES", "rows"), _tensor("y", "BYTES", "rows")), _echo
        )
        plain = _signature(fp32, _tensor("v", "FP32", "batch", 4))
        hub.add("detector", {"family": "vision.detect", **plain}, _detect)
        hub.add("forecaster", {"family": "forecast.quantile", **plain}, _forecast)
        hub.add("classifier", {"family": "text.classify", **plain}, _classify)
        hub.add("embedder", {"family": "text.embed", **plain}, _embed)
        return hub

    return make


@pytest.fixture(scope="session")
def new_repository() -> type[SmallRepository]:
    return SmallRepository


@pytest.fixture
def hub(new_hub) -> SmallHub:
    return new_hub()


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings(max_body_mb=1)


@pytest.fixture
def repository(hub) -> SmallRepository:
    return SmallRepository(hub)


@pytest.fixture
def door(hub, settings, repository) -> HttpDoor:
    return HttpDoor(hub, settings, repository=repository)


@dataclass
class Answer:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        def refuse(text: str) -> None:
            raise AssertionError(f"{text} is not JSON")

        return json.loads(self.body, parse_constant=refuse)

    def problem(self) -> tuple[int, str, str | None]:
        """(status, code, input), after checking the shape of errors, in whatever dialect."""
        body = self.json()
        assert body.keys() - {"error_type"} == {"error", "code", "input", "request_id"}
        assert body["request_id"] == self.headers["x-request-id"]
        said = body["error"]
        if isinstance(said, dict):
            assert said.keys() == {"message", "type", "param", "code"}
            assert (said["param"], said["code"]) == (body["input"], body["code"])
            said = said["message"]
        assert isinstance(said, str)
        return self.status, body["code"], body["input"]


class Client:
    """Speaks ASGI to one door. The body is sent in the pieces given, `received` counts them."""

    peer: tuple[str, int] | None = None
    """Its address, as the server tells it."""

    def __init__(self, door: HttpDoor, key: str | None = "consumer") -> None:
        self.door = door
        self.key = key
        self.received = 0
        self.left = asyncio.Event()
        """Set by a test to close the connection from the client's side."""

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.send("GET", path, **more)

    async def post(self, path: str, body: Any = b"", **more: Any) -> Answer:
        return await self.send("POST", path, body, **more)

    async def infer(self, body: Any, model: str = "echo", **more: Any) -> Answer:
        return await self.send("POST", f"/v2/models/{model}/infer", body, **more)

    async def send(
        self,
        method: str,
        path: str,
        body: Any = b"",
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        query: str = "",
    ) -> Answer:
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        pieces = iter([body] if isinstance(body, bytes) else body)
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        if self.key is not None:
            pairs.append(("authorization", f"Bearer {self.key}"))
        scope = {
            "type": "http",
            "client": self.peer,
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in pairs],
        }
        upcoming = next(pieces, b"")
        done = False

        async def receive() -> dict[str, Any]:
            nonlocal upcoming, done
            if done or upcoming is None:
                await self.left.wait()
                return {"type": "http.disconnect"}
            self.received += 1
            piece, upcoming = upcoming, next(pieces, b"")
            done = upcoming == b""
            return {"type": "http.request", "body": piece, "more_body": not done}

        answer = Answer()

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                assert answer.status == 0, "an answer was started twice"
                answer.status = message["status"]
                answer.headers = {n.decode(): v.decode() for n, v in message["headers"]}
                assert len(answer.headers) == len(message["headers"])
            else:
                answer.body += message["body"]

        await self.door(scope, receive, send)
        if answer.status:
            assert answer.headers["content-length"] == str(len(answer.body))
        return answer


@pytest.fixture
def client(door) -> Client:
    return Client(door)


@pytest.fixture(scope="session")
def new_client() -> type[Client]:
    return Client
