"""The model repository of a replica: states out of its own memory, changes by way of control.

    index ── table ∧ host ──▶ READY | LOADING | UNAVAILABLE and why
    load ──▶ control: stage, with the caller's key ──▶ open here ──▶ done

Loading is control's verb `stage`: rights, audit and refusals are control's, and every other replica
hears of it by the table. This one need not wait for that; it opens the version at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, Protocol

from plaza_core import names
from plaza_core.clock import Clock
from plaza_core.errors import ModelLoading, ModelNotFound, PlazaError
from plaza_core.principal import Principal
from plaza_core.table import ModelEntry, VersionEntry
from plaza_serving.dataplane.catalogue import Catalogue, Resolved, wanted_warm
from plaza_serving.dataplane.hosting import ModelHost
from plaza_serving.repository import Meant, RepositoryState, Shelved

Verb = Literal["stage", "unstage"]

NOT_ASKED_FOR = "it is opened on its first use"
NO_ROOM_AHEAD = "there is no room beside the versions in use; it is opened on its first use"
OPENING = "it is being opened"
ELSEWHERE = "requests for it are passed on to the pool "


class Marks(Protocol):
    """Control, as far as callers may change there what is kept open."""

    async def mark(self, verb: Verb, model: str, version: int, authorization: str) -> None:
        """Raises what control answers, and Unavailable without control."""


class FollowedRepository:
    """Implements `plaza_serving.repository.Repository`, on the loop of its host."""

    def __init__(
        self, catalogue: Callable[[], Catalogue], host: ModelHost, marks: Marks, clock: Clock
    ) -> None:
        self._catalogue = catalogue
        self._host = host
        self._marks = marks
        self._clock = clock

    def index(self, principal: Principal) -> list[Shelved]:
        catalogue, found = self._catalogue(), []
        for model in catalogue.models(principal):
            name = catalogue.shortest_name(principal, model)
            warm = {version.version for version in wanted_warm(model)}
            for entry in sorted(model.versions, key=lambda one: one.version):
                state, reason = self._standing(model, entry, wanted=entry.version in warm)
                found.append(Shelved(name, entry.version, state, reason))
        return found

    async def load(self, meant: Meant) -> int:
        try:
            async with asyncio.timeout(self._left_s(meant)):
                target = await self._mark("stage", meant)
                key = target.key
                await self._host.demand(key, target.version)
        except TimeoutError:
            raise ModelLoading("the model is still loading", retry_after=2) from None
        return target.version.version

    async def unload(self, meant: Meant) -> int:
        try:
            async with asyncio.timeout(self._left_s(meant)):
                return (await self._mark("unstage", meant)).version.version
        except TimeoutError:
            raise ModelLoading("control has not answered yet", retry_after=2) from None

    async def _mark(self, verb: Verb, meant: Meant) -> Resolved:
        target = _meant_by(self._catalogue(), meant)
        model, version = target.model, target.version.version
        await self._marks.mark(verb, names.full(model), version, meant.authorization)
        return target

    def _left_s(self, meant: Meant) -> float:
        return (meant.deadline_ns - self._clock.monotonic_ns()) / 1e9

    def _standing(
        self, model: ModelEntry, entry: VersionEntry, *, wanted: bool
    ) -> tuple[RepositoryState, str]:
        key = (model.id, entry.version)
        match self._host.standing(key):
            case "open":
                return RepositoryState.READY, ""
            case "opening":
                return RepositoryState.LOADING, OPENING
            case PlazaError() as error:
                return RepositoryState.UNAVAILABLE, f"{error.code}: {error.message}"
        if where := self._host.elsewhere(key, entry):
            return RepositoryState.UNAVAILABLE, ELSEWHERE + " or ".join(where.pools)
        # What the table wants warm began to open before the table was published.
        return RepositoryState.UNAVAILABLE, NO_ROOM_AHEAD if wanted else NOT_ASKED_FOR


def _meant_by(catalogue: Catalogue, meant: Meant) -> Resolved:
    """As inference resolves it; without a champion the newest version. Raises ModelNotFound."""
    try:
        return catalogue.resolve(meant.principal, meant.name, meant.version)
    except ModelNotFound:
        if meant.version is not None:
            raise
        return catalogue.newest(meant.principal, meant.name)
