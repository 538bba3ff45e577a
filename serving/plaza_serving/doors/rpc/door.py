"""The gRPC door: verbs of `inference.GRPCInferenceService`, translated for a plane and back.

    metadata → authenticate → right → read the message → `requests`, `shelf` → plane → answer

Also verbs with one message are read from the call's stream by the door itself, because then who is
not known has nothing read. Stream in and out: see `streaming`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from plaza_core.errors import (
    MalformedRequest,
    ModelNotFound,
    Overloaded,
    PayloadTooLarge,
    PlazaError,
    PoolUnavailable,
)
from plaza_core.inference import Call, Outcome
from plaza_core.principal import Right
from plaza_core.settings import Settings
from plaza_serving.doors.asking import cost_headers
from plaza_serving.doors.body import OFFLOAD_BYTES, off_loop
from plaza_serving.doors.brake import Brake
from plaza_serving.doors.http import BODIES_IN_FLIGHT, hub_version
from plaza_serving.doors.inferring import InferRequest, check_outputs, classified
from plaza_serving.doors.rpc import described, problems, requests
from plaza_serving.doors.rpc.asked import Asked, Context
from plaza_serving.doors.rpc.schema import INFERENCE, SERVICE, message
from plaza_serving.doors.rpc.shelf import Shelf
from plaza_serving.doors.rpc.streaming import in_order
from plaza_serving.doors.rpc.tunnel import STREAMED, Aborted, Far, HopContext, Near, Refused
from plaza_serving.doors.sticky import sticky_word
from plaza_serving.plane import ModelView, Plane
from plaza_serving.pools import Elsewhere, LivesElsewhere
from plaza_serving.repository import Repository

EXTENSIONS = ("classification", "schedule_policy", "model_configuration", "statistics",
              "model_repository", "model_repository(unload_dependents)")  # fmt: skip

Handler = Callable[[Asked, Any], Awaitable[Any]]


class Verb(NamedTuple):
    """What a method needs and who answers it."""

    right: Right | None
    handler: Handler


class GrpcDoor:
    """The handlers of a gRPC server over a plane. Without a `repository` what is asked of it
    is refused; with `far` what lives in another pool is forwarded."""

    def __init__(
        self,
        plane: Plane,
        settings: Settings,
        *,
        repository: Repository | None = None,
        far: Far | None = None,
    ) -> None:
        self._plane = plane
        self._far = far
        self._loopback_key = settings.loopback_key
        self._default_ms = settings.default_deadline_ms
        self._most_bytes = settings.max_answer_mb << 20
        self._budget = BODIES_IN_FLIGHT * (settings.max_body_mb << 20)
        self._held = 0
        self._brake = Brake(plane)
        shelf = Shelf(repository, plane, default_s=settings.default_deadline_ms / 1000)
        read, write = Right.MODELS_READ, Right.MODELS_WRITE
        self._verbs = {
            "ServerLive": Verb(None, self._live),
            "ServerReady": Verb(None, self._ready),
            "ServerMetadata": Verb(read, self._server),
            "ModelReady": Verb(read, self._model_ready),
            "ModelMetadata": Verb(read, self._metadata),
            "ModelConfig": Verb(read, self._config),
            "ModelStatistics": Verb(read, self._statistics),
            "RepositoryIndex": Verb(read, shelf.index),
            "RepositoryModelLoad": Verb(write, shelf.load),
            "RepositoryModelUnload": Verb(write, shelf.unload),
        }

    # ── the transport's side ─────────────────────────────────────────────────────────────────────
    def handlers(self) -> Any:
        """What a gRPC server is given. Other methods than these are UNIMPLEMENTED."""
        found = {}
        for method in INFERENCE.services[SERVICE]:
            if method.streams_in:
                handler = grpc.stream_stream_rpc_method_handler(self._stream)
            else:
                handler = grpc.stream_unary_rpc_method_handler(self._method(method.name))
            found[method.name] = handler
        return grpc.method_handlers_generic_handler(SERVICE, found)

    def serving(self) -> bool:
        return self._plane.live() and self._plane.ready()

    def near(self) -> Near:
        """What an HTTP door is given for calls that another replica forwards."""
        methods = {one.name: self._method(one.name) for one in INFERENCE.services[SERVICE]}
        return Near(methods, self._one, self._plane.clock)

    def _method(self, name: str) -> Callable[[Any, Context], Awaitable[bytes]]:
        return self._infer if name in {"ModelInfer", STREAMED} else self._plain(name)

    def _plain(self, name: str) -> Callable[[Any, Context], Awaitable[bytes]]:
        """A method that answers one small message with another."""
        kind, verb = message(f"{name}Request"), self._verbs[name]

        async def call(_: Any, context: Context) -> bytes:
            asked = self._asked(context)

            async def run() -> bytes:
                self._admit(asked, verb.right)
                data = await _message(context)
                try:
                    request = kind.FromString(data)
                except DecodeError:
                    raise MalformedRequest(f"not a {name}Request") from None
                where = self._elsewhere(asked, request)
                if where is not None and self._far is not None:
                    return await self._from_far(asked, self._far, name, data, where)
                made: bytes = (await verb.handler(asked, request)).SerializeToString()
                context.set_trailing_metadata((("x-request-id", asked.request_id),))
                return made

            return await self._answer(asked, run)

        return call

    async def _infer(self, _: Any, context: Context) -> bytes:
        asked = self._asked(context)
        asked.infers = True

        async def run() -> bytes:
            self._admit(asked, Right.INFER)
            data = await _message(context)
            with self._holding(data):
                try:
                    pieces, outcome = await self._infer_one(asked, data)
                except LivesElsewhere as error:
                    if self._far is None:
                        raise
                    where = error.where
                    return await self._from_far(asked, self._far, "ModelInfer", data, where)
            context.set_trailing_metadata(
                (("x-request-id", asked.request_id), *problems.pairs(cost_headers(outcome)))
            )
            return b"".join(pieces)

        return await self._answer(asked, run)

    async def _stream(self, _: Any, context: Context) -> None:
        """The key is looked at anew with each message: a stream may outlive it."""
        opened = self._asked(context)

        async def run() -> bytes:
            self._admit(opened, Right.INFER)
            await in_order(context, partial(self._one, context))
            return b""

        await self._answer(opened, run)

    async def _one(self, context: Context, data: bytes) -> bytes:
        """The answer to one message of a stream, also to one that fails."""
        asked = self._asked(context)
        asked.infers = True
        try:
            self._admit(asked, Right.INFER)
            with self._holding(data):
                try:
                    pieces, _ = await self._infer_one(asked, data, final=True)
                except LivesElsewhere as away:
                    if self._far is None:
                        raise
                    found = await self._far.ask(asked, STREAMED, data, away.where, streamed=True)
                    return found.message
            return b"".join(requests.within_stream(pieces))
        except PlazaError as caught:
            error = caught
        except Exception as bug:  # noqa: BLE001 the border: a bug too is an answer
            error = problems.internal(bug, asked.request_id)
        await self._brake_for(asked, error)
        return requests.failure(data, asked.request_id, error)

    async def _from_far(
        self, asked: Asked, far: Far, method: str, data: bytes, where: Elsewhere
    ) -> bytes:
        try:
            found = await far.ask(asked, method, data, where)
        except PoolUnavailable:
            if method != "ModelReady":  # for which there is a word in the protocol
                raise
            asked.context.set_trailing_metadata((("x-request-id", asked.request_id),))
            return bytes(message("ModelReadyResponse")(ready=False).SerializeToString())
        asked.context.set_trailing_metadata(found.metadata)
        return found.message

    def _elsewhere(self, asked: Asked, request: Any) -> Elsewhere | None:
        """The other pools that a request is for, if it names a model of theirs."""
        name = getattr(request, "name", "") or getattr(request, "model_name", "")
        if self._far is None or not name:
            return None
        name, _, version = name.partition("/versions/")
        version = version or getattr(request, "version", "") or None
        return self._plane.elsewhere(asked.principal, name, version)

    def _asked(self, context: Context) -> Asked:
        asked = Asked(context, self._plane.new_request_id(), self._plane.clock)
        if isinstance(context, HopContext):
            asked.forwarded(context.age_ns)
        return asked

    def _admit(self, asked: Asked, right: Right | None) -> None:
        if right is None:
            return
        asked.read_metadata(self._loopback_key)
        principal = self._plane.authenticate(asked.authorization)
        principal.require(right)
        asked.principal = principal

    async def _answer(self, asked: Asked, run: Callable[[], Awaitable[bytes]]) -> bytes:
        """Nothing leaves but an answer or a status."""
        try:
            return await run()
        except PlazaError as caught:
            error = caught
        except Refused as there:
            await asked.context.abort(there.code, there.details, there.metadata)
        except Aborted:
            raise
        except Exception as bug:  # noqa: BLE001 the border
            error = problems.internal(bug, asked.request_id)
        await self._brake_for(asked, error)
        more = problems.metadata_of(error, asked.request_id, infers=asked.infers)
        return await asked.context.abort(problems.code_of(error), problems.details_of(error), more)

    async def _brake_for(self, asked: Asked, error: PlazaError) -> None:
        known = getattr(asked, "principal", None)
        if known is not None and self._brake.holds(error, known):
            await self._brake.pause()

    # ── verbs ────────────────────────────────────────────────────────────────────────────────────
    @contextmanager
    def _holding(self, data: bytes) -> Iterator[None]:
        """The messages of all calls share one budget, so that many large ones at once are refused
        instead of exhausting the replica's memory."""
        if self._held + len(data) > self._budget:
            raise Overloaded("too many large messages at once")
        self._held += len(data)
        try:
            yield
        finally:
            self._held -= len(data)

    async def _infer_one(
        self, asked: Asked, data: bytes, *, final: bool = False
    ) -> tuple[list[Any], Outcome]:
        """The answer's pieces, and what it cost."""
        slow = len(data) if len(data) > OFFLOAD_BYTES and requests.is_slow(data) else 0
        model, version, request = await off_loop(slow, requests.read_request, data)
        view = None
        if request.outputs is not None:
            view = self._plane.model(asked.principal, model, version)
            check_outputs(view, request)
        outcome = await self._plane.infer(
            asked.principal,
            Call(
                asked.request_id,
                model,
                version,
                request.tensors,
                deadline_ns=asked.deadline_ns(request.timeout_us, self._default_ms),
                age_ns=asked.age_ns,
                priority=request.priority,
                sticky=sticky_word(asked.sticky, request.sticky),
            ),
        )
        if view is not None and request.classes:
            size = sum([outcome.tensors[name].nbytes for name in request.classes])
            outcome = await off_loop(size, classified, request, outcome, view)
        return await self._written(request, outcome, final=final), outcome

    async def _written(self, request: InferRequest, outcome: Outcome, *, final: bool) -> list[Any]:
        size = sum([array.nbytes for array in outcome.tensors.values()])
        if size > self._most_bytes:
            raise PayloadTooLarge(f"the answer has more than {self._most_bytes} bytes")
        wanted = request.outputs
        raw = request.binary if wanted is None else any(wanted.values())
        return await off_loop(0 if raw else size, requests.answer, request, outcome, final)

    async def _live(self, asked: Asked, request: Any) -> Any:
        return message("ServerLiveResponse")(live=self._plane.live())

    async def _ready(self, asked: Asked, request: Any) -> Any:
        return message("ServerReadyResponse")(ready=self.serving())

    async def _server(self, asked: Asked, request: Any) -> Any:
        return message("ServerMetadataResponse")(
            name="plaza", version=hub_version(), extensions=EXTENSIONS
        )

    async def _model_ready(self, asked: Asked, request: Any) -> Any:
        """Of a model that is not there the protocol's answer is "not ready"."""
        try:
            ready = self._view(asked, request).ready
        except ModelNotFound:
            ready = False
        return message("ModelReadyResponse")(ready=ready)

    async def _metadata(self, asked: Asked, request: Any) -> Any:
        return described.metadata(self._view(asked, request))

    async def _config(self, asked: Asked, request: Any) -> Any:
        return message("ModelConfigResponse")(config=described.config(self._view(asked, request)))

    async def _statistics(self, asked: Asked, request: Any) -> Any:
        name, version = request.name or None, request.version or None
        return described.statistics(self._plane.statistics(asked.principal, name, version))

    def _view(self, asked: Asked, request: Any) -> ModelView:
        return self._plane.model(asked.principal, request.name, request.version or None)


async def _message(context: Context) -> bytes:
    """The one message of a call. A client that left is known by cancellation."""
    data = await context.read()
    if data is grpc.aio.EOF:
        raise MalformedRequest("the call has no message")
    assert isinstance(data, bytes)
    return data
