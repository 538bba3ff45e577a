"""The first look at an untrusted `model.onnx`: what is in it, and is all of it allowed?

Reads the file by its own protobuf reader, so that neither onnx nor ONNX Runtime has touched a byte
when the answer is no. Field numbers are those of onnx.proto (IR version 13); a test compares them
with the installed onnx.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from plaza_accel.domains import MICROSOFT, MICROSOFT_OPERATORS, OPSETS
from plaza_accel.external import Outside, check_reference
from plaza_core.protobuf import BYTES, VARINT, Malformed, Value, fields, varint

MAX_FIELDS: Final = 3_000_000
MAX_NODES: Final = 50_000
"""Nodes after every local function is expanded; also ONNX Runtime's limit in `options`."""
MAX_DEPTH: Final = 16
"""Graphs inside graphs (If, Loop, Scan), and functions that call functions."""
MAX_FUNCTIONS: Final = 2_000
MAX_NAME: Final = 256

_ELEMENT_BITS: Final = {
    1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64,
    14: 64, 15: 128, 16: 16, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2,
}  # fmt: skip
"""TensorProto.DataType -> bits of one element in `raw_data`."""
_EXTERNAL: Final = 1
_STRING: Final = 8
_PLAIN: Final = frozenset(string.ascii_letters + string.digits + "._-")

_Key = tuple[str, str, str]
"""(domain, operator, overload)."""


class Refused(Exception):
    """The file breaks a rule; the text names it and is fit for its sender to read."""


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
class _Body:
    """The nodes of the main graph or of one function, subgraphs included."""

    calls: Counter[_Key] = field(default_factory=Counter)


@dataclass(slots=True)
class _Tensor:
    """What one tensor says of its size and of where its bytes are."""

    elements: int = 1
    datatype: int = 0
    inside: int = 0
    raw: int | None = None
    external: bool = False
    entries: list[tuple[str, str]] = field(default_factory=list)


def walk(data: memoryview, files: Mapping[str, int] | None = None) -> Contents:
    """Check a whole model file. Raises Refused with the rule it breaks.

    `files`: the bundle's plain files and their sizes, in which its weights may lie.
    """
    try:
        return _Walk(files or {}).model(data)
    except Outside as error:
        raise Refused(str(error)) from None
    except Malformed:
        raise Refused("model.onnx is not an ONNX model") from None


class _Walk:
    def __init__(self, files: Mapping[str, int]) -> None:
        self._files = files
        self._fields = 0
        self._depth = 0
        self._weights = 0
        self._opset = 0
        self._functions: dict[_Key, _Body] = {}

    def model(self, data: memoryview) -> Contents:
        main = _Body()
        graphs = 0
        for number, value in self._messages(data):
            if number == 7:
                graphs += 1
                self._graph(value, main, depth=1)
            elif number == 8:
                self._opset_import(value)
            elif number == 20:
                raise Refused("training information is not accepted")
            elif number == 25:
                self._function(value)
        if graphs != 1:
            raise Malformed(f"{graphs} graphs")
        if not self._opset:
            raise Refused("the model imports no operator set of the standard domain")
        nodes = sum(body.calls.total() for body in (main, *self._functions.values()))
        return Contents(
            nodes=nodes,
            expanded_nodes=_expanded(main, self._functions),
            depth=self._depth,
            functions=len(self._functions),
            weight_bytes=self._weights,
            opset=self._opset,
        )

    # ── structure ────────────────────────────────────────────────────────────────────────────────
    def _graph(self, data: memoryview, body: _Body, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise Refused(f"graphs are nested deeper than {MAX_DEPTH}")
        self._depth = max(self._depth, depth)
        for number, value in self._messages(data):
            if number == 1:
                self._node(value, body, depth)
            elif number == 5:
                self._tensor(value, initializer=True)
            elif number == 15:
                self._sparse(value)

    def _node(self, data: memoryview, body: _Body, depth: int) -> None:
        names = {4: "", 7: "", 8: ""}
        for number, value in self._messages(data):
            if number in names:
                names[number] = _text(value)
            elif number == 5:
                self._attribute(value, body, depth)
        body.calls[_domain(names[7]), names[4], names[8]] += 1
        if body.calls.total() > MAX_NODES:
            raise Refused(f"more than {MAX_NODES} nodes")

    def _attribute(self, data: memoryview, body: _Body, depth: int) -> None:
        for number, value in self._messages(data):
            if number in {5, 10}:
                self._tensor(value)
            elif number in {6, 11}:
                self._graph(value, body, depth + 1)
            elif number in {22, 23}:
                self._sparse(value)

    def _function(self, data: memoryview) -> None:
        body = _Body()
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
        domain = _domain(name[10])
        if domain in OPSETS:
            raise Refused("a local function is defined in a standard domain")
        key = (domain, name[1], name[13])
        if key in self._functions:
            raise Refused("a local function is defined twice")
        self._functions[key] = body
        if len(self._functions) > MAX_FUNCTIONS:
            raise Refused(f"more than {MAX_FUNCTIONS} local functions")

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
                f"operator set {version} of '{_shown(domain or 'ai.onnx')}' is not served; "
                f"{low} to {high} are"
            )
        if of_model and domain == "":
            self._opset = version

    # ── weights ──────────────────────────────────────────────────────────────────────────────────
    def _sparse(self, data: memoryview) -> None:
        for number, value in self._messages(data):
            if number in {1, 2}:
                self._tensor(value)

    def _tensor(self, data: memoryview, *, initializer: bool = False) -> None:
        tensor = self._read_tensor(data)
        bits = None if tensor.datatype == _STRING else _ELEMENT_BITS.get(tensor.datatype)
        needed = None if bits is None else (tensor.elements * bits + 7) // 8
        if tensor.external or tensor.entries:
            alone = tensor.external and initializer and not tensor.inside
            if needed is None or not alone:
                raise Refused(
                    "only whole numeric weights of a graph may lie outside the model file"
                )
            check_reference(tensor.entries, self._files, needed)
            self._weights += needed
            return
        if tensor.raw is not None and needed is not None and tensor.raw != needed:
            raise Refused("a tensor has more or fewer bytes than its shape declares")
        self._weights += tensor.inside

    def _read_tensor(self, data: memoryview) -> _Tensor:
        tensor = _Tensor()
        for number, kind, value in self._fields_of(data):
            if number == 1:
                for size in _packed(kind, value):
                    tensor.elements *= size
                    if size >= 1 << 63 or tensor.elements >= 1 << 48:
                        raise Refused("a tensor declares an impossible size")
            elif number == 2 and isinstance(value, int):
                tensor.datatype = value
            elif number == 13:
                tensor.entries.append(self._entry(_message(kind, value)))
            elif number == 14:
                tensor.external = value == _EXTERNAL
            elif isinstance(value, memoryview) and number in {4, 5, 6, 7, 9, 10, 11}:
                tensor.inside += len(value)
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
                raise Refused("the model file has too many parts")
            yield item

    def _messages(self, data: memoryview) -> Iterator[tuple[int, memoryview]]:
        for number, kind, value in self._fields_of(data):
            if kind == BYTES and isinstance(value, memoryview):
                yield number, value


def _expanded(main: _Body, functions: dict[_Key, _Body]) -> int:
    """Nodes after expansion. Checks on the way that every operator is a known one."""
    sizes: dict[_Key, tuple[int, int]] = {}

    def size(body: _Body, level: int) -> tuple[int, int]:
        """(nodes, height) of a body with all its calls expanded."""
        if level > MAX_DEPTH:
            raise Refused(f"local functions call each other deeper than {MAX_DEPTH}")
        nodes, height = 0, 0
        for key, count in body.calls.items():
            if key not in functions:
                _check_operator(key)
                nodes += count
                continue
            if key not in sizes:
                sizes[key] = size(functions[key], level + 1)
            inner, below = sizes[key]
            nodes += count * max(inner, 1)
            height = max(height, below + 1)
        if height > MAX_DEPTH:
            raise Refused(f"local functions call each other deeper than {MAX_DEPTH}")
        if nodes > MAX_NODES:
            raise Refused(f"more than {MAX_NODES} nodes when local functions are expanded")
        return nodes, height

    for key, body in functions.items():
        sizes.setdefault(key, size(body, 1))
    return size(main, 0)[0]


def _check_operator(key: _Key) -> None:
    domain, operator, _ = key
    if operator == "EPContext":
        raise Refused("EPContext carries native code of a device and is not accepted")
    if domain not in OPSETS:
        raise Refused(f"operators of the domain '{_shown(domain)}' are not accepted")
    if domain == MICROSOFT and operator not in MICROSOFT_OPERATORS:
        raise Refused(f"the operator '{_shown(operator)}' of {MICROSOFT} is not accepted")


def _domain(text: str) -> str:
    return "" if text == "ai.onnx" else text


def _text(value: memoryview) -> str:
    if len(value) > MAX_NAME:
        raise Refused(f"the name of an operator or domain is longer than {MAX_NAME} bytes")
    try:
        return bytes(value).decode()
    except UnicodeDecodeError:
        raise Malformed("a name is not UTF-8") from None


def _shown(name: str) -> str:
    """A sender's own word, fit for any log and page: at most 64 plain characters."""
    return "".join(c if c in _PLAIN else "?" for c in name[:64])


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
