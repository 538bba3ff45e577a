"""Messages of an inference: bytes to tensors, tensors to bytes, with few copies.

A message is cut by hand into its head, which the protocol buffer library parses, and the raw
contents, of which tensors are made where they lie. An answer is joined once from the head and the
arrays' own memory. Source of the shapes: Open Inference Protocol v2, `inference_grpc.md`.

Answers are raw, as Triton's are, unless `binary_data_output` (of a request) or `binary_data` (of
each output asked for) is false. FP16 has no typed contents.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError

from plaza_core.errors import BadRequest, InvalidTensor, MalformedRequest, PlazaError
from plaza_core.ids import RequestId
from plaza_core.inference import Outcome
from plaza_core.keys import without_keys
from plaza_core.protobuf import BYTES, FIXED32, FIXED64, VARINT, Malformed, varint
from plaza_core.tensors import NUMPY, Array, DType
from plaza_serving.doors import inferring, tensors_binary
from plaza_serving.doors.inferring import InferRequest, refuse_sequences, refuse_unoffered
from plaza_serving.doors.rpc.problems import details_of, metadata_of
from plaza_serving.doors.rpc.schema import message
from plaza_serving.doors.sticky import PARAMETER
from plaza_serving.doors.tensors_json import check_shape, reshaped

_Request = message("ModelInferRequest")
_Response = message("ModelInferResponse")
_Streamed = message("ModelStreamInferResponse")
_RAW_INPUT, _RAW_OUTPUT = 7, 6
_MOST_FIELDS = 4096
"""Of one message: two bytes of it may become a hundred in memory."""
_HEAD = 1 << 12
"""Datatypes of a raw request are named within."""
_MAX_NAME = 256
_TYPED = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


class Named(NamedTuple):
    """A request and the model that it names."""

    model: str
    version: str | None
    request: InferRequest


# ── reading ──────────────────────────────────────────────────────────────────────────────────────
def split(data: bytes) -> tuple[bytes, list[tuple[int, int]]]:
    """(the message without its raw contents, where each of these begins and how long it is).

    Raises MalformedRequest.
    """
    view, kept_to = memoryview(data), 0
    head: list[memoryview] = []
    raws: list[tuple[int, int]] = []
    try:
        for key, start, at, size in _fields(view):
            if key == _RAW_INPUT << 3 | BYTES:
                head.append(view[kept_to:start])
                raws.append((at, size))
                kept_to = at + size
    except Malformed:
        raise MalformedRequest("not a ModelInferRequest") from None
    return (b"".join((*head, view[kept_to:])) if raws else data), raws


def _fields(view: memoryview) -> Iterator[tuple[int, int, int, int]]:
    """(key, where it begins, where its value begins, the value's size) of each field."""
    at, end = 0, len(view)
    for _ in range(_MOST_FIELDS):
        if at == end:
            return
        start = at
        key, at = varint(view, at)
        size, at = _size(view, key & 7, at)
        if size > end - at:
            raise Malformed("a field runs past the end")
        yield key, start, at, size
        at += size
    if at != end:
        raise MalformedRequest(f"the message has more than {_MOST_FIELDS} fields")


def _size(view: memoryview, kind: int, at: int) -> tuple[int, int]:
    """(bytes of a field's value that follow, where they begin)."""
    if kind == BYTES:
        return varint(view, at)
    if kind == VARINT:
        return 0, varint(view, at)[1]
    if kind in {FIXED32, FIXED64}:
        return (4 if kind == FIXED32 else 8), at
    raise Malformed(f"wire type {kind}")


def is_slow(data: bytes) -> bool:
    """Whether reading it makes objects one by one: of texts, and of typed contents. The rest are
    views. Raises MalformedRequest."""
    return b"BYTES" in data[:_HEAD] or not split(data)[1]


def read_request(data: bytes) -> Named:
    """Raises MalformedRequest, InvalidTensor, BadRequest naming the offending tensor."""
    head, raws = split(data)
    try:
        parsed = _Request.FromString(head)
    except DecodeError:
        raise MalformedRequest("not a ModelInferRequest") from None
    identity = parsed.id
    if "plz_" in identity:  # it is answered, and kept by who asked
        raise MalformedRequest("a key belongs in the metadata `authorization`", input="id")
    parameters = values(parsed.parameters)
    refuse_sequences(parameters)
    binary = _flag(parameters, "binary_data_output", default=True)
    outputs, classes = _outputs(parsed.outputs, binary=binary)
    request = InferRequest(
        tensors=_tensors(parsed.inputs, data, raws),
        id=identity,
        timeout_us=inferring.timeout_us(parameters),
        outputs=outputs,
        binary=binary,
        sticky=parameters.get(PARAMETER),
        priority=inferring.priority(parameters),
        classes=classes,
    )
    return Named(parsed.model_name, parsed.model_version or None, request)


def values(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A map of parameters as plain values; one without a value is None."""
    found = {}
    for name, parameter in parameters.items():
        kind = parameter.WhichOneof("parameter_choice")
        found[name] = None if kind is None else getattr(parameter, kind)
    return found


def _flag(parameters: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = parameters.get(key, default)
    if type(value) is not bool:
        raise MalformedRequest(f"{key} must be a bool_param", input=key)
    return value


def _tensors(inputs: Any, data: bytes, raws: list[tuple[int, int]]) -> dict[str, Array]:
    if not inputs:
        raise MalformedRequest("inputs must be a list of tensors", input="inputs")
    if raws and len(raws) != len(inputs):
        raise MalformedRequest(
            f"{len(inputs)} inputs and {len(raws)} raw_input_contents", input="raw_input_contents"
        )
    tensors: dict[str, Array] = {}
    for number, tensor in enumerate(inputs):
        name = _name(tensor.name, tensors, "input")
        refuse_unoffered(tensor.parameters, name)
        shape = list(tensor.shape)
        if not raws:
            tensors[name] = _read_typed(name, tensor.datatype, shape, tensor.contents)
            continue
        if tensor.HasField("contents"):
            raise MalformedRequest("give either contents or raw_input_contents", input=name)
        start, size = raws[number]
        tensors[name] = tensors_binary.read(
            name, tensor.datatype, shape, data, start=start, size=size
        )
    return tensors


def _name(name: str, known: Mapping[str, Any], kind: str) -> str:
    if not 0 < len(name) <= _MAX_NAME:
        raise MalformedRequest(f"each {kind} must have a name", input=f"{kind}s")
    if name in known:
        raise InvalidTensor(f"this {kind} is given twice", input=name)
    return name


def _read_typed(name: str, datatype: str, shape: list[int], contents: Any) -> Array:
    field = _TYPED.get(datatype)
    if field is None:
        if datatype in set(DType):
            raise InvalidTensor(f"{datatype} travels in raw_input_contents only", input=name)
        raise InvalidTensor("the protocol has no such datatype", input=name)
    count = check_shape(name, shape)
    given = getattr(contents, field)
    if len(given) != count:
        raise InvalidTensor(
            f"shape {shape} has {count} elements, {field} has {len(given)}", input=name
        )
    dtype = NUMPY[DType(datatype)]
    if datatype == "BYTES":
        array = np.empty(count, object)
        array[:] = list(given)
        return reshaped(name, array, shape)
    wide = np.fromiter(given, _wider(dtype), count)
    array = wide.astype(dtype, copy=False)
    if array.dtype != wide.dtype and not np.array_equal(array, wide):
        raise InvalidTensor(f"a number is out of the range of {datatype}", input=name)
    return reshaped(name, array, shape)


def _wider(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What the contents of small integers are made of on the wire."""
    if dtype.kind in "iu" and dtype.itemsize < 4:
        return np.dtype(f"{dtype.kind}4")
    return dtype


def _outputs(asked: Any, *, binary: bool) -> tuple[dict[str, bool] | None, dict[str, int]]:
    """(which are wanted and which of them raw, which are to be classified by how many entries)."""
    wanted: dict[str, bool] = {}
    classes: dict[str, int] = {}
    for output in asked:
        name = _name(output.name, wanted, "output")
        refuse_unoffered(output.parameters, name)
        parameters = values(output.parameters)
        wanted[name] = _flag(parameters, "binary_data", default=binary)
        if count := inferring.classes(parameters):
            classes[name] = count
    return wanted or None, classes


# ── writing ──────────────────────────────────────────────────────────────────────────────────────
def answer(request: InferRequest, outcome: Outcome, final: bool = False) -> list[Any]:
    """A ModelInferResponse in pieces to be joined. `final`: marked as the only one of its request,
    for streams. Raw or typed is one choice for all outputs: the first that wants raw decides."""
    wanted = request.outputs
    names = list(outcome.tensors if wanted is None else wanted)
    raw = request.binary if wanted is None else any(wanted.values())
    response = _Response(
        model_name=outcome.model, model_version=str(outcome.version), id=request.id or ""
    )
    if final:
        response.parameters["triton_final_response"].bool_param = True
    tail: list[Any] = []
    for name in names:
        array = outcome.tensors[name]
        datatype = tensors_binary.DATATYPES[array.dtype]
        output = response.outputs.add(name=name, datatype=datatype, shape=array.shape)
        if raw:
            data = tensors_binary.write(array)
            tail += [_length_prefix(_RAW_OUTPUT, len(data)), data]
        else:
            _write_typed(name, datatype, array, output.contents)
    return [response.SerializeToString(), *tail]


def within_stream(pieces: list[Any]) -> list[Any]:
    """A ModelInferResponse as the one of a ModelStreamInferResponse."""
    return [_length_prefix(2, sum(map(len, pieces))), *pieces]


def _write_typed(name: str, datatype: str, array: Array, contents: Any) -> None:
    field = _TYPED.get(datatype)
    if field is None:
        raise BadRequest(f"{datatype} has no typed contents; leave it raw", input=name)
    contents.SetInParent()
    getattr(contents, field).extend(array.ravel().tolist())


def _length_prefix(number: int, size: int) -> bytes:
    encoded = bytearray((number << 3 | BYTES,))
    while size > 127:
        encoded.append(size & 127 | 128)
        size >>= 7
    encoded.append(size)
    return bytes(encoded)


def failure(data: bytes, request_id: RequestId, error: PlazaError) -> bytes:
    """A ModelStreamInferResponse for the request `data` that ended in `error`: the stream goes on.

    Its `infer_response` names the request and has the error's code among the parameters.
    """
    made = _Streamed(error_message=details_of(error))
    response = made.infer_response
    with suppress(MalformedRequest, DecodeError):  # what cannot be read has no id to answer with
        parsed = _Request.FromString(split(data)[0])
        response.model_name, response.model_version = parsed.model_name, parsed.model_version
        response.id = without_keys(parsed.id)
    response.parameters["triton_final_response"].bool_param = True
    for name, text in metadata_of(error, request_id, infers=True):
        response.parameters[name].string_param = text
    return bytes(made.SerializeToString())
