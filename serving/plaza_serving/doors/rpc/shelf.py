"""The model repository over gRPC: index, load and unload, as `doors.repository` does over HTTP.

`model_name` is NAME, or NAME/versions/VERSION as the HTTP paths have it. Of the parameters
`timeout` (µs, int64) and `unload_dependents` (bool) are known; configurations and files are
refused.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from plaza_core.errors import InvalidInput, Unavailable
from plaza_serving.doors.repository import meant_by
from plaza_serving.doors.rpc.asked import Asked
from plaza_serving.doors.rpc.requests import values
from plaza_serving.doors.rpc.schema import message
from plaza_serving.plane import Plane
from plaza_serving.repository import Meant, Repository, RepositoryState

_TIMEOUT, _DEPENDENTS = "timeout", "unload_dependents"


class Shelf:
    """`default_s` is the deadline of a request that names none."""

    def __init__(self, repository: Repository | None, plane: Plane, *, default_s: float) -> None:
        self._repository = repository
        self._plane = plane
        self._default_s = default_s

    async def index(self, asked: Asked, request: Any) -> Any:
        made = message("RepositoryIndexResponse")()
        for one in self._offered(request).index(asked.principal):
            if one.state is RepositoryState.READY or not request.ready:
                made.models.add(
                    name=one.name,
                    version=str(one.version),
                    state=one.state.value,
                    reason=one.reason,
                )
        return made

    async def load(self, asked: Asked, request: Any) -> Any:
        await self._offered(request).load(self._meant(asked, request, {_TIMEOUT}))
        return message("RepositoryModelLoadResponse")()

    async def unload(self, asked: Asked, request: Any) -> Any:
        # No model of this hub has dependents: with them or without is the same.
        meant = self._meant(asked, request, {_TIMEOUT, _DEPENDENTS})
        await self._offered(request).unload(meant)
        return message("RepositoryModelUnloadResponse")()

    def _offered(self, request: Any) -> Repository:
        if self._repository is None:
            raise Unavailable("this hub offers no model repository")
        if request.repository_name:
            raise InvalidInput("this hub has one repository; name none", input="repository_name")
        return self._repository

    def _meant(self, asked: Asked, request: Any, known: Collection[str]) -> Meant:
        name, found, version = request.model_name.partition("/versions/")
        if found and not version:
            raise InvalidInput("NAME or NAME/versions/VERSION", input="model_name")
        assert asked.authorization is not None, "the door let it in"
        return meant_by(
            principal=asked.principal,
            authorization=asked.authorization,
            name=name,
            version=version or None,
            parameters=values(request.parameters),
            known=known,
            started_ns=asked.started_ns,
            default_s=self._default_s,
        )
