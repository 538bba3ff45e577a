"""The first look at an untrusted `model.onnx`: what is in it, and is all of it allowed?

Reads the file by its own protobuf reader, so that neither onnx nor ONNX Runtime has touched a byte
when the answer is no. Field numbers are those of onnx.proto (IR version 13); a test compares them
with the installed onnx.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from plaza_accel.gate.domains import OPSETS
from plaza_accel.gate.expand import MAX_DEPTH, MAX_NODES, Body, Key, expanded
from plaza_accel.gate.external import check_reference
from plaza_accel.gate.rules import Refused, Rule, shown, shown_node
from plaza_core.protobuf import BYTES, VARINT, Malformed, Value, fields, varint

MAX_FIELDS: Final = 1_000_000
MAX_FUNCTIONS: Final = 2_000
MAX_NAME: Final = 256
MAX_IMPORTS: Final = 100
MAX_METADATA: Final = 64 * 1024
"""Bytes of the model's own key-value pairs."""
MAX_REMARKS: Final = 32 << 20
"""Bytes of descriptions, and of the pairs of graphs and nodes: exporters put stack traces there."""
MAX_ELEMENTS: Final = 1 << 48

_MODEL_FIELDS: Final = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26})
_SETTINGS_KEY: Final = "ort_config"
"""Under this key ONNX Runtime looks for session options when its environment says so."""
_ELEMENT_BITS: Final = {
    1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64,
    14: 64, 15: 128, 16: 16, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2,
}  # fmt: skip
"""TensorProto.DataType -> bits of one element in `raw_data`."""
_EXTERNAL: Final = 1
_STRING: Final = 8


@dataclass(frozen=True, slots=True)
class Contents:
    """What a model file holds, counted over the graph, its subgraphs and its functions."""

    nodes: int
    expanded_nodes: int
    depth: int
    functions: int
    weight_bytes: int
    opset: int


@dataclass(slots=True)
class _Tensor:
    """What one tensor says of its size and of where its bytes are."""

    elements: int = 1
    datatype: int = 0
    inside: int = 0
    strings: int = 0
    raw: int | None = None
    external: bool = False
    entries: list[tuple[str, str]] = field(default_factory=list)


def walk(data: memoryview, files: Mapping[str, int] | None = None) -> Contents:
    """Check a whole model file. Raises Refused with the rule it breaks.

    `files`: the bundle's plain files and their sizes, in which its weights may lie.
    """
    try:
        return _Walk(files or {}).model(data)
    except Malformed:
        raise Refused(Rule.FILE_FORMAT, "model.onnx is not an ONNX model") from None


class _Walk:
    def __init__(self, files: Mapping[str, int]) -> None:
        self._files = files
        self._fields = 0
        self._depth = 0
        self._weights = 0
        self._pairs = 0
        self._remarks = 0
        self._opset = 0
        self._imports: set[str] = set()
        self._functions: dict[Key, Body] = {}

    def model(self, data: memoryview) -> Contents:
        main = Body()
        graphs = 0
        for number, kind, value in self._fields_of(data):
            if number not in _MODEL_FIELDS:
                raise Malformed("a field that no model has")
            if kind == BYTES and isinstance(value, memoryview):
                graphs += number == 7
                self._part(number, value, main)
        if graphs != 1:
            raise Malformed(f"{graphs} graphs")
        if not main.calls:
            raise Refused(Rule.GRAPH_EMPTY, "the graph has no node")
        if not self._opset:
            raise Refused(Rule.OPSET, "the model imports no operator set of the standard domain")
        nodes = sum(body.calls.total() for body in (main, *self._functions.values()))
        return Contents(
            nodes=nodes,
            expanded_nodes=expanded(main, self._functions),
            depth=self._depth,
            functions=len(self._functions),
            weight_bytes=self._weights,
            opset=self._opset,
        )

    def _part(self, number: int, value: memoryview, main: Body) -> None:
        if number == 7:
            self._graph(value, main, depth=1)
        elif number == 8:
            self._opset_import(value)
        elif number == 14:
            self._metadata(value)
        elif number == 20:
            raise Refused(Rule.TRAINING, "training information is not accepted")
        elif number == 25:
            self._function(value)
        else:
            self._remark(value)

    # ── structure ────────────────────────────────────────────────────────────────────────────────
    def _graph(self, data: memoryview, body: Body, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise Refused(Rule.GRAPH_DEPTH, f"graphs are nested deeper than {MAX_DEPTH}")
        self._depth = max(self._depth, depth)
        for number, value in self._messages(data):
            if number == 1:
                self._node(value, body, depth)
            elif number == 5:
                self._tensor(value, initializer=True)
            elif number in {10, 16}:
                self._remark(value)
            elif number == 15:
                raise _sparse()

    def _node(self, data: memoryview, body: Body, depth: int) -> None:
        names = {4: "", 7: "", 8: ""}
        try:
            for number, value in self._messages(data):
                if number in names:
                    names[number] = _text(value)
                elif number == 5:
                    self._attribute(value, body, depth)
                elif number in {6, 9}:
                    self._remark(value)
        except Refused as refused:
            refused.node = refused.node or _label(data, body)
            raise
        key = (_domain(names[7]), names[4], names[8])
        body.add(key, "" if key in body.first else _label(data, body))
        if body.calls.total() > MAX_NODES:
            raise Refused(Rule.NODES_COUNT, f"more than {MAX_NODES} nodes")

    def _attribute(self, data: memoryview, body: Body, depth: int) -> None:
        for number, value in self._messages(data):
            if number in {5, 10}:
                self._tensor(value)
            elif number in {6, 11}:
                self._graph(value, body, depth + 1)
            elif number in {22, 23}:
                raise _sparse()

    def _function(self, data: memoryview) -> None:
        body = Body()
        name = {1: "", 10: "", 13: ""}
        for number, value in self._messages(data):
            if number in name:
                name[number] = _text(value)
            elif number == 7:
                self._node(value, body, depth=1)
            elif number == 9:
                self._opset_import(value, of_model=False)
            elif number == 11:
                self._attribute(value, body, depth=1)
            elif number in {8, 14}:
                self._remark(value)
        domain = _domain(name[10])
        if domain in OPSETS:
            raise Refused(
                Rule.FUNCTIONS_NAME,
                "a local function is defined in a standard domain",
                shown(name[1]),
            )
        key = (domain, name[1], name[13])
        if key in self._functions:
            text = "a local function is defined twice"
            raise Refused(Rule.FUNCTIONS_NAME, text, shown(name[1]))
        self._functions[key] = body
        if len(self._functions) > MAX_FUNCTIONS:
            text = f"more than {MAX_FUNCTIONS} local functions"
            raise Refused(Rule.FUNCTIONS_COUNT, text)

    def _metadata(self, data: memoryview) -> None:
        self._pairs += len(data)
        if self._pairs > MAX_METADATA:
            text = f"the model's metadata takes more than {MAX_METADATA // 1024} kB"
            raise Refused(Rule.METADATA_SIZE, text)
        for number, value in self._messages(data):
            if number == 1 and value == _SETTINGS_KEY.encode():
                text = "the model's metadata holds settings for ONNX Runtime"
                raise Refused(Rule.METADATA_CONFIG, text)

    def _remark(self, data: memoryview) -> None:
        self._remarks += len(data)
        if self._remarks > MAX_REMARKS:
            text = f"descriptions take more than {MAX_REMARKS >> 20} MB"
            raise Refused(Rule.METADATA_SIZE, text)

    def _opset_import(self, data: memoryview, *, of_model: bool = True) -> None:
        domain, version = "", 0
        for number, kind, value in self._fields_of(data):
            if number == 1:
                domain = _domain(_text(_message(kind, value)))
            elif number == 2 and isinstance(value, int):
                version = value
        low, high = OPSETS.get(domain, (0, 1 << 31))  # the domains of nodes are checked at the end
        if not low <= version <= high:
            raise Refused(
                Rule.OPSET,
                f"operator set {version} of '{shown(domain or 'ai.onnx')}' is not served; "
                f"{low} to {high} are",
            )
        if of_model:
            if domain in self._imports or len(self._imports) == MAX_IMPORTS:
                text = f"operator sets are imported twice, or more than {MAX_IMPORTS} of them"
                raise Refused(Rule.OPSET, text)
            self._imports.add(domain)
            self._opset = version if domain == "" else self._opset

    # ── weights ──────────────────────────────────────────────────────────────────────────────────
    def _tensor(self, data: memoryview, *, initializer: bool = False) -> None:
        tensor = self._read_tensor(data)
        bits = None if tensor.datatype == _STRING else _ELEMENT_BITS.get(tensor.datatype)
        needed = None if bits is None else (tensor.elements * bits + 7) // 8
        if tensor.external or tensor.entries:
            alone = tensor.external and initializer and not tensor.inside
            if needed is None or not alone:
                raise Refused(
                    Rule.EXTERNAL_KIND,
                    "only whole numeric weights of a graph may lie outside the model file",
                )
            check_reference(tensor.entries, self._files, needed)
            self._weights += needed
            return
        if tensor.raw is not None and needed is not None and tensor.raw != needed:
            raise Refused(
                Rule.TENSOR_BYTES, "a tensor has more or fewer bytes than its shape declares"
            )
        if tensor.datatype == _STRING and tensor.strings != tensor.elements:
            raise Refused(
                Rule.TENSOR_BYTES, "a tensor has more or fewer strings than its shape declares"
            )
        self._weights += tensor.inside

    def _read_tensor(self, data: memoryview) -> _Tensor:
        tensor = _Tensor()
        for number, kind, value in self._fields_of(data):
            if number == 1:
                for size in _packed(kind, value):
                    tensor.elements *= size
                    if size >= 1 << 63 or tensor.elements >= MAX_ELEMENTS:
                        raise Refused(Rule.TENSOR_SIZE, "a tensor declares an impossible size")
            elif number == 2 and isinstance(value, int):
                tensor.datatype = value
            elif number == 13:
                tensor.entries.append(self._entry(_message(kind, value)))
            elif number == 14:
                tensor.external = value == _EXTERNAL
            elif isinstance(value, memoryview) and number in {4, 5, 6, 7, 9, 10, 11}:
                tensor.inside += len(value)
                tensor.strings += number == 6
                tensor.raw = len(value) if number == 9 else tensor.raw
        return tensor

    def _entry(self, data: memoryview) -> tuple[str, str]:
        words = {1: "", 2: ""}
        for number, value in self._messages(data):
            if number in words:
                words[number] = _text(value)
        return words[1], words[2]

    # ── reading ──────────────────────────────────────────────────────────────────────────────────
    def _fields_of(self, data: memoryview) -> Iterator[tuple[int, int, Value]]:
        for item in fields(data):
            self._fields += 1
            if self._fields > MAX_FIELDS:
                raise Refused(Rule.FILE_PARTS, "the model file has too many parts")
            yield item

    def _messages(self, data: memoryview) -> Iterator[tuple[int, memoryview]]:
        for number, kind, value in self._fields_of(data):
            if kind == BYTES and isinstance(value, memoryview):
                yield number, value


def _sparse() -> Refused:
    """ONNX Runtime makes them dense, of the size they claim, with the indices they claim."""
    return Refused(Rule.TENSOR_SPARSE, "sparse tensors are not accepted")


def _label(data: memoryview, body: Body) -> str:
    """A node's name; of one without, its operator and its place among those read so far."""
    words = {3: "", 4: ""}
    for number, _, value in islice(fields(data), 1000):
        if number in words and isinstance(value, memoryview):
            words[number] = bytes(value[:MAX_NAME]).decode(errors="replace")
    return shown_node(words[3] or f"{words[4]}#{body.calls.total()}")


def _domain(text: str) -> str:
    return "" if text == "ai.onnx" else text


def _text(value: memoryview) -> str:
    if len(value) > MAX_NAME:
        text = f"the name of an operator or domain is longer than {MAX_NAME} bytes"
        raise Refused(Rule.OP_NAME, text)
    try:
        return bytes(value).decode()
    except UnicodeDecodeError:
        raise Malformed("a name is not UTF-8") from None


def _message(kind: int, value: Value) -> memoryview:
    if kind != BYTES or not isinstance(value, memoryview):
        raise Malformed("a name that is not text")
    return value


def _packed(kind: int, value: Value) -> Iterator[int]:
    if kind == VARINT and isinstance(value, int):
        yield value
    elif isinstance(value, memoryview):
        position = 0
        while position < len(value):
            number, position = varint(value, position)
            yield number
