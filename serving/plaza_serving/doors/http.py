"""The HTTP door: one ASGI application, in front of or inside Ray Serve's ingress.

    route → authenticate → right → read body → dialect (`oip`, `tasks`, `openai` …) → plane → reply

Who is not known has no body read. Headers of Ray Serve (`x-request-timeout-seconds`,
`x-request-disconnect-disabled`, `serve_multiplexed_model_id`, …) and `X-Request-Id` have no effect:
the door acts only on the headers it names. Keys are taken from `Authorization` alone; one in a URL
is refused, because URLs end up in logs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import parse_qsl

import orjson

from plaza_core.errors import DeadlineExceeded, MalformedRequest, PlazaError
from plaza_core.principal import Principal, Right
from plaza_core.settings import Settings
from plaza_serving.doors import openapi, triton
from plaza_serving.doors.asking import Asking
from plaza_serving.doors.body import BodyReader
from plaza_serving.doors.brake import Brake
from plaza_serving.doors.exchange import ClientGoneError, Cut, Exchange, Receive, Scope, Send, Watch
from plaza_serving.doors.forwarding import Forwarding
from plaza_serving.doors.local_programs import is_local
from plaza_serving.doors.oip import OpenInference
from plaza_serving.doors.once import answer_once
from plaza_serving.doors.openai import OpenAI
from plaza_serving.doors.openapi.page import page
from plaza_serving.doors.problems import charged, internal, problem
from plaza_serving.doors.repository import EXTENSIONS, ModelRepository
from plaza_serving.doors.routes import Route, Router, WrongMethod
from plaza_serving.doors.series import Series
from plaza_serving.doors.tasks import Tasks
from plaza_serving.doors.tei import TextEmbeddings
from plaza_serving.doors.tei_about import AboutTextEmbeddings
from plaza_serving.doors.timeseries import TimeSeries
from plaza_serving.doors.vision import Vision
from plaza_serving.forwarding.others import OtherPools
from plaza_serving.forwarding.seal import HEADER as HOP
from plaza_serving.forwarding.seal import Hop, Seal
from plaza_serving.idempotency.keeper import Keeper
from plaza_serving.plane import Plane
from plaza_serving.pools import LivesElsewhere
from plaza_serving.reply import JSON, WHOLE, Header, Reply
from plaza_serving.repository import Repository

BODY_SECONDS = 30.0
BODIES_IN_FLIGHT = 16
"""How many bodies of the largest size may be in memory at once."""

_ONCE = (b"authorization", b"content-length", b"content-type", b"content-encoding",
         b"idempotency-key", b"inference-header-content-length", b"transfer-encoding")  # fmt: skip
_KEY_FIELDS = {"key", "api_key", "api-key", "apikey", "access_token", "token", "authorization"}
_KEY_IN_URL = "a key belongs in the Authorization header, never in a URL"
_SMALL_REST = 1 << 16
_CLOSE = (b"connection", b"close")
_HTML = b"text/html; charset=utf-8"
_PAGE_POLICY = (
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
    (b"x-content-type-options", b"nosniff"),
)


TUNNEL = "/grpc/"
"""Where a replica takes messages of gRPC that another has forwarded; a 404 for everybody else."""

Tunnel = Callable[[Exchange, Hop, str, BodyReader], Awaitable[Reply]]


def hub_version() -> str:
    """The installed version of Plaza, or `0+source` when it runs from a source tree."""
    try:
        return version("plaza-hub")
    except PackageNotFoundError:
        return "0+source"


class HttpDoor:
    """ASGI application over a plane. `prefix` is the route prefix of a pool, `""` for the main.

    Without a `keeper` a request with an Idempotency-Key is refused, without a `repository` what is
    asked of it. With `others` and a `seal` what lives in another pool is forwarded; with a `seal`
    alone what others forward is known as such, and `tunnel` answers what they got over gRPC.
    """

    def __init__(
        self,
        plane: Plane,
        settings: Settings,
        *,
        prefix: str = "",
        body_seconds: float = BODY_SECONDS,
        keeper: Keeper | None = None,
        repository: Repository | None = None,
        others: OtherPools | None = None,
        seal: Seal | None = None,
        tunnel: Tunnel | None = None,
    ) -> None:
        self._plane = plane
        self._prefix = prefix
        self._seal = seal
        self._tunnel = tunnel
        self._keeper = keeper
        self._watch = Watch(body_seconds)
        self._brake = Brake(plane)
        key = settings.loopback_key
        self._loopback_key = None if key is None else f"Bearer {key}".encode()
        limit = settings.max_body_mb << 20
        self._bodies = BodyReader(limit, BODIES_IN_FLIGHT * limit)
        self._forwarding = None
        if others is not None and seal is not None:
            self._forwarding = Forwarding(others, seal, self._bodies, plane.clock)
        self._document, self._page = _published()
        depth, more = settings.max_json_depth, () if repository is None else EXTENSIONS
        about = (*triton.EXTENSIONS, *more)
        oip = OpenInference(plane, self._bodies, depth, hub_version(), about)
        asking = Asking(plane, self._bodies, depth)
        tei = AboutTextEmbeddings(
            asking, hub_version(), settings.queue_limit, settings.worker_threads
        )
        default_s = settings.default_deadline_ms / 1000
        shelf = ModelRepository(
            repository, plane, self._bodies, max_depth=depth, default_s=default_s
        )
        routes = (
            *self._routes(oip),
            *triton.TritonExtensions(plane).routes(),
            *_repository_routes(shelf),
            *Tasks(asking).routes(),
            *Vision(asking).routes(),
            *Series(asking).routes(),
            *OpenAI(asking).routes(),
            *TextEmbeddings(asking).routes(),
            *tei.routes(),
            *TimeSeries(asking).routes(),
        )
        self.router = Router(routes, prefix, {pool.name for pool in settings.pools})

    def _routes(self, oip: OpenInference) -> tuple[Route, ...]:
        model, versioned = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"
        read, infer = Right.MODELS_READ, Right.INFER
        return (
            Route("GET", "/v2/health/live", None, oip.live),
            Route("GET", "/v2/health/ready", None, oip.ready),
            Route("GET", "/openapi.json", None, self._openapi),
            Route("GET", "/docs", None, self._docs),
            Route("GET", "/v2", read, oip.server),
            Route("GET", "/v2/", read, oip.server),
            Route("GET", model, read, oip.metadata),
            Route("GET", f"{model}/ready", read, oip.model_ready),
            Route("POST", f"{model}/infer", infer, oip.infer),
            Route("GET", versioned, read, oip.metadata),
            Route("GET", f"{versioned}/ready", read, oip.model_ready),
            Route("POST", f"{versioned}/infer", infer, oip.infer),
        )

    async def _openapi(self, exchange: Exchange) -> Reply:
        return Reply(200, JSON, self._document)

    async def _docs(self, exchange: Exchange) -> Reply:
        return Reply(200, _HTML, self._page, _PAGE_POLICY)

    @staticmethod
    def owns(scope: Scope) -> bool:
        """Whether a request is the door's; `/-/…` belongs to Ray Serve."""
        return scope["type"] == "http" and not scope["path"].startswith("/-/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Never raises for anything a client or the plane did."""
        kind = scope["type"]
        if kind == "http":
            await self.answer(scope, receive, send)
        elif kind == "lifespan":
            await _lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request of HTTP. Never raises for anything a client or the plane did."""
        exchange = Exchange(scope, receive, dict(scope["headers"]), self._plane.new_request_id())
        late = False
        try:
            try:
                reply = await self._own(exchange)
            except LivesElsewhere as error:
                await self._relay(exchange, error, send)
                return
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 the border: see `_told`
            told, known = self._told(exchange, error), getattr(exchange, "principal", None)
            if told is None:
                return
            reply, late = told, known is not None and self._brake.holds(error, known)
        finally:
            if exchange.task is not None:
                self._watch.leave(exchange)
            self._bodies.release(exchange)
        if late:
            await self._brake.pause()
        headers, whole = _headers(exchange, reply), scope.get(WHOLE)
        if whole is None or headers[-1] is _CLOSE or not whole(reply.status, headers, reply.body):
            await send({"type": "http.response.start", "status": reply.status, "headers": headers})
            await send({"type": "http.response.body", "body": reply.body})

    @staticmethod
    def _told(exchange: Exchange, error: Exception | asyncio.CancelledError) -> Reply | None:
        """What the caller is told of an error: nothing may leave but an answer. None: nobody is
        there any more."""
        request_id, wording = exchange.request_id, exchange.wording
        if isinstance(error, WrongMethod):
            return problem(error, request_id, (b"allow", error.allow.encode()), wording=wording)
        if isinstance(error, PlazaError):
            costs = charged(error) if exchange.infers else ()
            return problem(error, request_id, *costs, wording=wording)
        if isinstance(error, asyncio.CancelledError):
            if exchange.cut is None or exchange.task is None or exchange.task.uncancel():
                raise error  # somebody else stops this task: the server shuts down
            if exchange.cut is Cut.SLOW:
                slow = DeadlineExceeded("the body did not arrive in time", input="body")
                return problem(slow, request_id, wording=wording)
            return None
        return None if isinstance(error, ClientGoneError) else internal(error, request_id, wording)

    async def _relay(self, exchange: Exchange, error: LivesElsewhere, send: Send) -> None:
        """Send another pool's answer."""
        if self._forwarding is None:
            raise error
        if exchange.task is None:
            self._watch.enter(exchange)
        await self._forwarding.relay(exchange, error.where, send)

    async def _own(self, exchange: Exchange) -> Reply:
        """Raises LivesElsewhere, where the path names the model before the body is read."""
        scope, headers = exchange.scope, exchange.headers
        if len(headers) != len(scope["headers"]):
            _refuse_doubles(scope)
        if "plz_" in scope["path"]:  # no name of anything has a `_` in it
            raise MalformedRequest(_KEY_IN_URL, input="authorization")
        if scope["query_string"]:
            _refuse_key_in(scope["query_string"])
        if self._seal is not None and HOP in headers:
            tunnelled = await self._forwarded(exchange, self._seal.read(headers[HOP]))
            if tunnelled is not None:
                return tunnelled
        route = self.router.find(scope["path"], scope["method"], exchange)
        right = route.right
        exchange.infers = right is Right.INFER
        if right is not None:
            exchange.principal = self._known(exchange)
            exchange.principal.require(right)
            if self._forwarding is not None and exchange.model:
                self._must_live_here(exchange)
            if route.method == "POST":
                self._watch.enter(exchange)
                if b"idempotency-key" in headers:
                    return await answer_once(
                        self._keeper, self._bodies, exchange, route.handler, self._prefix
                    )
        return await route.handler(exchange)

    def _known(self, exchange: Exchange) -> Principal:
        """Raises Unauthenticated."""
        headers = exchange.headers
        authorization = headers.get(b"authorization")
        if authorization is None and self._loopback_key and is_local(exchange.scope, headers):
            authorization = headers[b"authorization"] = self._loopback_key
        return self._plane.authenticate(
            None if authorization is None else authorization.decode("latin-1")
        )

    async def _forwarded(self, exchange: Exchange, hop: Hop | None) -> Reply | None:
        """Note what a replica of this hub says of a request it forwards; None: go on with it.

        What it got over gRPC is answered here."""
        if hop is None:
            return None
        exchange.age_ns = hop.age_ns
        path, tunnel = exchange.scope["path"], self._prefix + TUNNEL
        if self._tunnel is None or not path.startswith(tunnel):
            return None
        self._watch.enter(exchange)
        return await self._tunnel(exchange, hop, path[len(tunnel) :], self._bodies)

    def _must_live_here(self, exchange: Exchange) -> None:
        """Raises LivesElsewhere, before the body is read."""
        where = self._plane.elsewhere(exchange.principal, exchange.model, exchange.version)
        if where is not None:
            raise LivesElsewhere("it lives in another pool", where)


@cache
def _published() -> tuple[bytes, bytes]:
    """The OpenAPI document, and its page."""
    document = openapi.document()
    return orjson.dumps(document), page(document)


def _repository_routes(shelf: ModelRepository) -> tuple[Route, ...]:
    model, write = "/v2/repository/models/{model}", Right.MODELS_WRITE
    return (
        Route("POST", "/v2/repository/index", Right.MODELS_READ, shelf.index),
        Route("POST", f"{model}/load", write, shelf.load),
        Route("POST", f"{model}/unload", write, shelf.unload),
        Route("POST", f"{model}/versions/{{version}}/load", write, shelf.load),
        Route("POST", f"{model}/versions/{{version}}/unload", write, shelf.unload),
    )


def _headers(exchange: Exchange, reply: Reply) -> list[Header]:
    headers = [
        (b"content-type", reply.media),
        (b"content-length", b"%d" % len(reply.body)),
        (b"x-request-id", exchange.request_id.encode()),
        *reply.headers,
    ]
    if not exchange.body_read and _has_body(exchange):
        headers.append(_CLOSE)
    return headers


def _has_body(exchange: Exchange) -> bool:
    """Whether so much of a refused body may still come that the connection is better closed."""
    headers = exchange.headers
    if b"transfer-encoding" in headers:
        return True
    length = headers.get(b"content-length", b"0")
    return not length.isdigit() or int(length) > _SMALL_REST


def _refuse_doubles(scope: Scope) -> None:
    """Two values for one of these mean that somebody on the way may have read the other one."""
    names = [name for name, _ in scope["headers"]]
    for name in _ONCE:
        if names.count(name) > 1:
            raise MalformedRequest("this header is given twice", input=name.decode())


def _refuse_key_in(query: bytes) -> None:
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name.lower() in _KEY_FIELDS or value.startswith("plz_"):
            raise MalformedRequest(_KEY_IN_URL, input="authorization")


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message: Any = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
