"""A small hub behind the door: one process, no network; its models are Python functions."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

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
from plaza_serving.plane import ModelView
from plaza_serving.repository import Meant, RepositoryState, Shelved
from plaza_serving.statistics import BatchStatistics, Lasting, VersionStatistics

Work = Callable[[Any], Any]
"""A task or named tensors in, its answer or named tensors out."""


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
