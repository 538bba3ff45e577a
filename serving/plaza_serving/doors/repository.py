"""The model repository extension of the Open Inference Protocol: index, load, unload.

    POST /v2/repository/index                                 {"ready": true}
    POST /v2/repository/models/{model}/load                   {"parameters": {"timeout": µs}}
    POST /v2/repository/models/{model}/versions/{version}/load
    … /unload                                                 {"parameters": {…}}

Shapes after Triton's `extension_model_repository.md`; the paths with a version are this hub's own.
To load is to keep a version open, to unload is to keep it open no longer. Nothing is uploaded here:
configurations and files in the parameters are refused, and so is every parameter not known.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from plaza_core.errors import InvalidInput, MalformedRequest, Unavailable
from plaza_core.principal import Principal
from plaza_serving.doors.body import BodyReader, parse_json
from plaza_serving.doors.exchange import Exchange
from plaza_serving.doors.tensors_json import dumps
from plaza_serving.plane import Plane
from plaza_serving.reply import JSON, Reply
from plaza_serving.repository import Meant, Repository, RepositoryState

EXTENSIONS = ["model_repository", "model_repository(unload_dependents)"]

_LONGEST_S = 600
_TIMEOUT, _DEPENDENTS = "timeout", "unload_dependents"


class ModelRepository:
    """Handlers of `/v2/repository`. `default_s` is the deadline of a request that names none."""

    def __init__(
        self,
        repository: Repository | None,
        plane: Plane,
        bodies: BodyReader,
        *,
        max_depth: int,
        default_s: float,
    ) -> None:
        self._repository = repository
        self._plane = plane
        self._bodies = bodies
        self._max_depth = max_depth
        self._default_s = default_s

    async def index(self, exchange: Exchange) -> Reply:
        body = await self._body(exchange, "ready")
        only_ready = body.get("ready")
        if only_ready is None:
            only_ready = False
        if type(only_ready) is not bool:
            raise InvalidInput("ready must be true or false", input="ready")
        found = [
            {"name": one.name, "version": str(one.version), "state": one.state.value}
            | {"reason": one.reason}
            for one in self._offered().index(exchange.principal)
            if one.state is RepositoryState.READY or not only_ready
        ]
        return Reply(200, JSON, dumps(found))

    async def load(self, exchange: Exchange) -> Reply:
        meant = await self._meant(exchange, {_TIMEOUT})
        return _done(meant, await self._offered().load(meant))

    async def unload(self, exchange: Exchange) -> Reply:
        # No model of this hub has dependents: with them or without is the same.
        meant = await self._meant(exchange, {_TIMEOUT, _DEPENDENTS})
        return _done(meant, await self._offered().unload(meant))

    def _offered(self) -> Repository:
        if self._repository is None:
            raise Unavailable("this hub offers no model repository")
        return self._repository

    async def _meant(self, exchange: Exchange, known: Collection[str]) -> Meant:
        started = self._plane.clock.monotonic_ns()
        given = (await self._body(exchange, "parameters")).get("parameters")
        if given is not None and type(given) is not dict:
            raise MalformedRequest("parameters must be an object", input="parameters")
        parameters = {name: value for name, value in (given or {}).items() if value is not None}
        return meant_by(
            principal=exchange.principal,
            authorization=exchange.headers[b"authorization"].decode("latin-1"),
            name=exchange.model,
            version=exchange.version,
            parameters=parameters,
            known=known,
            started_ns=started,
            default_s=self._default_s,
        )

    async def _body(self, exchange: Exchange, known: str) -> dict[str, Any]:
        """The object in the body with no field but `known`; an empty body is an empty one."""
        body = await self._bodies.read(exchange)
        document = parse_json(body, self._max_depth) if body else {}
        if type(document) is not dict:
            raise MalformedRequest("the body must be a JSON object", input="body")
        for name in document:
            if name != known:
                raise InvalidInput("this endpoint has no such field", input=name[:64])
        return document


def meant_by(
    *,
    principal: Principal,
    authorization: str,
    name: str,
    version: str | None,
    parameters: Mapping[str, Any],
    known: Collection[str],
    started_ns: int,
    default_s: float,
) -> Meant:
    """What a request with these parameters means. Raises InvalidInput naming one of them."""
    _refuse_unknown(parameters, known)
    timeout = parameters.get(_TIMEOUT, round(default_s * 1e6))
    if type(timeout) is not int or not 0 < timeout <= _LONGEST_S * 1_000_000:
        raise InvalidInput(
            f"timeout must be an integer of microseconds, at most {_LONGEST_S} seconds",
            input=_TIMEOUT,
        )
    if type(parameters.get(_DEPENDENTS, False)) is not bool:
        raise InvalidInput(f"{_DEPENDENTS} must be true or false", input=_DEPENDENTS)
    return Meant(principal, authorization, name, version, started_ns + timeout * 1000)


def _refuse_unknown(parameters: Mapping[str, Any], known: Collection[str]) -> None:
    for name in parameters:
        if name == "config" or name.startswith("file:"):
            raise InvalidInput(
                "nothing can be uploaded here: register a version, then load it", input=name[:64]
            )
        if name not in known:
            raise InvalidInput("this hub does not offer this parameter", input=name[:64])


def _done(meant: Meant, version: int) -> Reply:
    return Reply(200, JSON, dumps({"name": meant.name, "version": str(version)}))
