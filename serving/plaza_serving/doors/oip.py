"""The Open Inference Protocol v2 over REST, with the binary tensor data extension.

Source: open-inference-protocol `inference_rest.md`; Triton `extension_binary_data.md`,
`extension_parameters.md`, `extension_schedule_policy.md`. Of the request parameters `timeout` (µs,
never beyond what the model allows), `priority` (among the key's own requests), `sticky` and
`binary_data_output` act; others are ignored, as the protocol says, except those that would change
what the answer means (sequences, shared memory), which are refused: this hub does not offer them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plaza_core.errors import InvalidTensor, MalformedRequest
from plaza_core.inference import Call, Outcome
from plaza_core.pools import door_prefix
from plaza_core.tensors import Array, TensorSpec
from plaza_serving.doors import inferring, tensors_binary, tensors_json
from plaza_serving.doors.asking import cost_headers
from plaza_serving.doors.body import OFFLOAD_BYTES, BodyReader, in_thread, off_loop, parse_json
from plaza_serving.doors.exchange import Exchange
from plaza_serving.doors.inferring import (
    InferRequest,
    check_outputs,
    classified,
    refuse_sequences,
    refuse_unoffered,
)
from plaza_serving.doors.sticky import PARAMETER, sticky_of
from plaza_serving.doors.triton import PLATFORM
from plaza_serving.plane import ModelView, Plane
from plaza_serving.reply import JSON, Reply

EXTENSIONS = ["binary_tensor_data", "classification", "schedule_policy"]
BINARY = b"application/octet-stream"
_MAX_NAME = 256


class OpenInference:
    """Handlers of `/v2`."""

    def __init__(
        self,
        plane: Plane,
        bodies: BodyReader,
        max_depth: int,
        version: str,
        extensions: Sequence[str] = (),
    ) -> None:
        self._plane = plane
        self._bodies = bodies
        self._max_depth = max_depth
        self._server = tensors_json.dumps(
            {"name": "plaza", "version": version, "extensions": [*EXTENSIONS, *extensions]}
        )

    async def live(self, exchange: Exchange) -> Reply:
        live = self._plane.live()
        return Reply(200 if live else 503, JSON, tensors_json.dumps({"live": live}))

    async def ready(self, exchange: Exchange) -> Reply:
        live, ready = self._plane.live(), self._plane.ready()
        body = tensors_json.dumps({"ready": ready, "live": live})
        return Reply(200 if ready and live else 503, JSON, body)

    async def server(self, exchange: Exchange) -> Reply:
        return Reply(200, JSON, self._server)

    async def metadata(self, exchange: Exchange) -> Reply:
        view = self._view(exchange)
        return Reply(
            200,
            JSON,
            tensors_json.dumps(
                {
                    "name": view.name,
                    "versions": [str(version) for version in view.versions],
                    "platform": PLATFORM,
                    "inputs": [_describe(spec) for spec in view.signature.inputs],
                    "outputs": [_describe(spec) for spec in view.signature.outputs],
                    "properties": {
                        "version": str(view.version),
                        "digest": view.digest,
                        "family": view.manifest.family,
                        "provider": view.provider,
                        "placement": _placement(view),
                        "certificate": view.certificate,
                        "pool": view.pool,
                        "address": f"{door_prefix(view.pool)}/v2/models/{view.name}",
                    },
                }
            ),
        )

    async def model_ready(self, exchange: Exchange) -> Reply:
        view = self._view(exchange)
        body = tensors_json.dumps({"name": view.name, "ready": view.ready})
        return Reply(200 if view.ready else 503, JSON, body)

    def _view(self, exchange: Exchange) -> ModelView:
        return self._plane.model(exchange.principal, exchange.model, exchange.version)

    async def infer(self, exchange: Exchange) -> Reply:
        started = exchange.begin(self._plane.clock)
        body = self._bodies.at_hand(exchange)
        request = await self._request(exchange, body or await self._bodies.read(exchange))
        view = None
        if request.outputs is not None:
            view = self._view(exchange)
            check_outputs(view, request)
        outcome = await self._plane.infer(
            exchange.principal,
            Call(
                exchange.request_id,
                exchange.model,
                exchange.version,
                request.tensors,
                deadline_ns=None
                if request.timeout_us is None
                else started + request.timeout_us * 1000,
                age_ns=exchange.age_ns,
                priority=request.priority,
                sticky=sticky_of(exchange, request.sticky),
            ),
        )
        if view is not None and request.classes:
            size = sum([outcome.tensors[name].nbytes for name in request.classes])
            outcome = await off_loop(size, classified, request, outcome, view)
        wanted = request.outputs
        if request.binary if wanted is None else all(wanted.values()):
            return write_answer(request, outcome)
        if sum([array.nbytes for array in outcome.tensors.values()]) <= OFFLOAD_BYTES:
            return write_answer(request, outcome)
        return await in_thread(write_answer, request, outcome)

    async def _request(self, exchange: Exchange, body: bytes) -> InferRequest:
        announced = exchange.headers.get(b"inference-header-content-length")
        if announced == b"0":
            raw = tensors_binary.raw_input(self._view(exchange).signature, body)
            return InferRequest(raw, binary=True)
        head = len(body) if announced is None else _header_length(announced, len(body))
        # Numeric tensors in the tail are views; only JSON and BYTES take time to decode.
        slow = len(body) if b"BYTES" in body[: min(head, OFFLOAD_BYTES)] else head
        if slow <= OFFLOAD_BYTES:
            return read_request(body, head, self._max_depth)
        return await in_thread(read_request, body, head, self._max_depth)


def _placement(view: ModelView) -> str:
    """`EXECUTION PROVIDER=NODES`, several by commas; the protocol's properties are texts."""
    placed = sorted((view.placement or {}).items())
    return ",".join(f"{name}={nodes}" for name, nodes in placed)


def _describe(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype.value, "shape": spec.wire_shape()}


def _header_length(text: bytes, size: int) -> int:
    if not text.isdigit() or len(text) > 12 or int(text) > size:
        raise MalformedRequest(
            "must be the length of the JSON part, which lies within the body",
            input="inference-header-content-length",
        )
    return int(text)


# ── reading ──────────────────────────────────────────────────────────────────────────────────────
def read_request(body: bytes, head: int, max_depth: int) -> InferRequest:
    """Parse a body whose first `head` bytes are JSON and whose rest is binary tensors.

    Raises MalformedRequest, InvalidTensor, BadRequest naming the offending field or tensor.
    """
    document = parse_json(body if head == len(body) else body[:head], max_depth)
    if type(document) is not dict:
        raise MalformedRequest("the body must be a JSON object", input="body")
    inputs = document.get("inputs")
    if type(inputs) is not list or not inputs:
        raise MalformedRequest("inputs must be a list of tensors", input="inputs")
    tensors: dict[str, Array] = {}
    at = head
    for entry in inputs:
        name = _name(entry, "inputs")
        if name in tensors:
            raise InvalidTensor("this input is given twice", input=name)
        tensors[name], at = _tensor(name, entry, body, at)
    if at != len(body):
        raise MalformedRequest(f"{len(body) - at} bytes follow the last tensor", input="body")
    identity = document.get("id")
    if identity is not None and type(identity) is not str:
        raise MalformedRequest("id must be a string", input="id")
    if identity is not None and "plz_" in identity:  # it is answered, and kept by who asked
        raise MalformedRequest("a key belongs in the Authorization header", input="id")
    given, outputs = document.get("parameters"), document.get("outputs")
    if given is None and not outputs:
        return InferRequest(tensors, identity)
    parameters = {} if given is None else _mapping(given, "parameters")
    refuse_sequences(parameters)
    binary = _flag(parameters, "binary_data_output", default=False)
    return InferRequest(
        tensors,
        identity,
        inferring.timeout_us(parameters),
        _outputs(outputs, binary) if outputs else None,
        binary,
        parameters.get(PARAMETER),
        inferring.priority(parameters),
        _classes(outputs) if outputs else {},
    )


def _name(entry: Any, where: str) -> str:
    if type(entry) is not dict:
        raise MalformedRequest(f"each of {where} must be an object", input=where)
    name = entry.get("name")
    if type(name) is not str or not 0 < len(name) <= _MAX_NAME:
        raise MalformedRequest(f"each of {where} must have a name", input=where)
    return name


def _tensor(name: str, entry: dict[str, Any], body: bytes, at: int) -> tuple[Array, int]:
    """One input and where the next one's binary data begins."""
    datatype = entry.get("datatype")
    if type(datatype) is not str:
        raise MalformedRequest("datatype must be a string", input=name)
    shape = entry.get("shape")
    parameters = entry.get("parameters")
    size = None
    if parameters is not None:
        size = _mapping(parameters, name).get("binary_data_size")
        refuse_unoffered(parameters, name)
    if size is None:
        return tensors_json.read(name, datatype, shape, entry.get("data")), at
    if type(size) is not int or size < 0:
        raise MalformedRequest("binary_data_size must be an integer of 0 or more", input=name)
    if "data" in entry:
        raise MalformedRequest("give either data or binary_data_size", input=name)
    if at + size > len(body):
        raise MalformedRequest(
            f"binary_data_size is {size}, {len(body) - at} bytes are left", input=name
        )
    return tensors_binary.read(name, datatype, shape, body, start=at, size=size), at + size


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if type(value) is not dict:
        raise MalformedRequest("parameters must be an object", input=where)
    return value


def _flag(parameters: dict[str, Any], key: str, *, default: bool) -> bool:
    value = parameters.get(key)
    if value is None:
        return default
    if type(value) is not bool:
        raise MalformedRequest(f"{key} must be true or false", input=key)
    return value


def _outputs(value: Any, binary: bool) -> dict[str, bool]:
    if type(value) is not list:
        raise MalformedRequest("outputs must be a list", input="outputs")
    wanted: dict[str, bool] = {}
    for entry in value:
        name = _name(entry, "outputs")
        if name in wanted:
            raise InvalidTensor("this output is asked for twice", input=name)
        parameters = _mapping(entry.get("parameters") or {}, name)
        refuse_unoffered(parameters, name)
        wanted[name] = _flag(parameters, "binary_data", default=binary)
    return wanted


def _classes(outputs: list[dict[str, Any]]) -> dict[str, int]:
    """Of outputs that were checked: those to be classified, and by how many entries."""
    counts = ((one["name"], inferring.classes(one.get("parameters") or {})) for one in outputs)
    return {name: count for name, count in counts if count}


# ── writing ──────────────────────────────────────────────────────────────────────────────────────
def write_answer(request: InferRequest, outcome: Outcome) -> Reply:
    """The answer in the order of the requested outputs, else of the model's."""
    tensors = outcome.tensors
    wanted = request.outputs
    entries: list[dict[str, Any]] = []
    tail: list[Any] = []
    for name in tensors if wanted is None else wanted:
        array = tensors[name]
        entry: dict[str, Any] = {
            "name": name,
            "datatype": tensors_binary.DATATYPES[array.dtype],
            "shape": array.shape,
        }
        if request.binary if wanted is None else wanted[name]:
            data = tensors_binary.write(array)
            entry["parameters"] = {"binary_data_size": len(data)}
            tail.append(data)
        else:
            entry["data"] = tensors_json.write(name, array)
        entries.append(entry)
    document: dict[str, Any] = {
        "model_name": outcome.model,
        "model_version": str(outcome.version),
        "outputs": entries,
    }
    if request.id is not None:
        document["id"] = request.id
    head = tensors_json.dumps(document)
    costs = cost_headers(outcome)
    if not tail:
        return Reply(200, JSON, head, costs)
    length = (b"inference-header-content-length", b"%d" % len(head))
    return Reply(200, BINARY, b"".join((head, *tail)), (length, *costs))
