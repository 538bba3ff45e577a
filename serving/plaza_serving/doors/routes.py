"""The table of routes and how a path finds its row. A row without a right is public.

A key is needed everywhere else; `tests/serving/doors/test_access.py` enumerates the table. Paths
are matched as they stand in `scope["path"]`: no case folding, no merging of slashes, no suffixes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass

from plaza_core.errors import (
    MethodNotAllowed,
    PlazaError,
    PoolNotFound,
    PoolUnavailable,
    RouteNotFound,
)
from plaza_core.principal import Right
from plaza_serving.doors.exchange import Exchange
from plaza_serving.doors.problems import OPENAI, PLAZA, TEI, Wording
from plaza_serving.reply import Reply

Handler = Callable[[Exchange], Awaitable[Reply]]

_NAMED = ("/v2/models/", "/v2/repository/models/", "/v1/models/", "/tei/")
"""What stands before a model's name in a path."""
_VERSION = "versions/"
_SEEN, _SEEN_LENGTH = 4096, 256
"""How many paths are remembered, and how long one may be: strangers may invent them."""
_DIALECTS = {"/v1/": OPENAI, "/tei/": TEI}
"""Who calls what is not there under one of these reads errors as that server words them."""


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    template: str
    """A fixed path, or one under `/v2/models/{model}` or another of `_NAMED`, with or without
    `/versions/{version}`."""
    right: Right | None
    """What the caller's role must include; None is for everybody, without a key."""
    handler: Handler
    wording: Wording = PLAZA
    """How its errors are told."""


class WrongMethod(MethodNotAllowed):
    """Knows which methods the path takes, for the Allow header."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self.allow = ", ".join(sorted(allowed))
        super().__init__(f"this path takes {self.allow}")


class Router:
    """Finds a route in a few dictionary look-ups, in one where the path has come before. `prefix`
    is the pool's, such as `/pools/ov`; `pools` are those that the settings name."""

    def __init__(
        self, routes: Iterable[Route], prefix: str = "", pools: Collection[str] = ()
    ) -> None:
        self.routes = tuple(routes)
        self._pools = pools
        self._prefix = prefix
        self._seen: dict[tuple[str, str], tuple[Route, str, str | None]] = {}
        """Of paths that have come before: the route, the model and the version that they name."""
        self._fixed: dict[str, dict[str, Route]] = {}
        self._named: dict[str, dict[str, dict[str, Route]]] = {head: {} for head in _NAMED}
        for route in self.routes:
            head, named, tail = route.template.partition("{model}")
            if not named:
                table = self._fixed.setdefault(route.template, {})
            else:
                table = self._named[head].setdefault(tail[1:], {})
            table[route.method] = route
            if route.method == "GET":
                table["HEAD"] = route

    def find(self, path: str, method: str, exchange: Exchange) -> Route:
        """The route of `path`; writes model and version into `exchange`.

        Raises RouteNotFound, PoolNotFound, PoolUnavailable, WrongMethod.
        """
        seen = self._seen.get((method, path))
        if seen is None:
            route = self._look_up(path, method, exchange)
            if len(self._seen) >= _SEEN:
                self._seen.clear()
            if len(path) <= _SEEN_LENGTH:
                self._seen[method, path] = (route, exchange.model, exchange.version)
        else:
            route, exchange.model, exchange.version = seen
        exchange.wording = route.wording
        return route

    def _look_up(self, path: str, method: str, exchange: Exchange) -> Route:
        if self._prefix:
            if not path.startswith(f"{self._prefix}/"):
                raise RouteNotFound("no such path")
            path = path[len(self._prefix) :]
        methods = self._fixed.get(path)
        if methods is None:
            for head, tables in self._named.items():
                if path.startswith(head):
                    methods = _find(tables, path[len(head) :], exchange)
                    break
        if methods is None:
            if path.startswith("/pools/"):
                raise self._no_pool(path.split("/", 3)[2])
            dialects = (said for head, said in _DIALECTS.items() if path.startswith(head))
            exchange.wording = next(dialects, None)
            raise RouteNotFound("no such path")
        route = methods.get(method)
        if route is None:
            exchange.wording = next(iter(methods.values())).wording
            raise WrongMethod(methods)
        return route

    def _no_pool(self, name: str) -> PlazaError:
        """The ingress hands the main pool what is for a pool without a replica."""
        if name not in self._pools:
            return PoolNotFound("there is no such pool")
        return PoolUnavailable(f"no replica of the pool '{name}' is ready", retry_after=2)


def _find(
    tables: dict[str, dict[str, Route]], path: str, exchange: Exchange
) -> dict[str, Route] | None:
    """Of `model`, `model/…` or `model/versions/version/…`."""
    exchange.model, slash, tail = path.partition("/")
    if not exchange.model or (slash and not tail):
        return None
    if tail.startswith(_VERSION):
        version, slash, rest = tail[len(_VERSION) :].partition("/")
        if not version:
            return None
        exchange.version = version
        tail = f"versions/{{version}}{slash}{rest}"
    return tables.get(tail)
