"""How large a model is once its local functions are expanded, without expanding any.

ONNX Runtime expands by rewriting the graph: nested doubling functions of two kilobytes keep it
busy for ever, and a long chain of them overflows its stack.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from plaza_accel.gate.domains import MICROSOFT, MICROSOFT_OPERATORS, OPSETS
from plaza_accel.gate.rules import Refused, Rule, shown

MAX_NODES: Final = 50_000
"""Nodes after every local function is expanded; also ONNX Runtime's limit in `options`."""
MAX_DEPTH: Final = 16
"""Graphs inside graphs (If, Loop, Scan), and functions that call functions."""

Key = tuple[str, str, str]
"""(domain, operator, overload)."""


@dataclass(slots=True)
class Body:
    """The nodes of the main graph or of one function, subgraphs included."""

    calls: Counter[Key] = field(default_factory=Counter)
    first: dict[Key, str] = field(default_factory=dict)
    """What to call the first node of each kind in a verdict."""

    def add(self, key: Key, label: str) -> None:
        self.calls[key] += 1
        self.first.setdefault(key, label)


@dataclass(frozen=True, slots=True)
class _Size:
    nodes: int
    height: int


def expanded(main: Body, functions: Mapping[Key, Body]) -> int:
    """Nodes after expansion. Checks on the way that every operator is a known one."""
    sizes: dict[Key, _Size] = {}

    def size(body: Body, level: int, caller: str | None) -> _Size:
        if level > MAX_DEPTH:
            raise _too_deep(caller)
        nodes, height = 0, 0
        for key, count in body.calls.items():
            label = body.first[key]
            if key not in functions:
                _check_operator(key, label)
                nodes += count
                continue
            if key not in sizes:
                sizes[key] = size(functions[key], level + 1, label)
            inner = sizes[key]
            nodes += count * max(inner.nodes, 1)
            height = max(height, inner.height + 1)
            if height > MAX_DEPTH:
                raise _too_deep(label)
            if nodes > MAX_NODES:
                text = f"more than {MAX_NODES} nodes when local functions are expanded"
                raise Refused(Rule.NODES_EXPANDED, text, label)
        return _Size(nodes, height)

    for key, body in functions.items():
        sizes.setdefault(key, size(body, 1, shown(key[1])))
    return size(main, 0, None).nodes


def _too_deep(node: str | None) -> Refused:
    text = f"local functions call each other deeper than {MAX_DEPTH}"
    return Refused(Rule.FUNCTIONS_DEPTH, text, node)


def _check_operator(key: Key, label: str) -> None:
    domain, operator, _ = key
    if operator == "EPContext":
        text = "EPContext carries native code of a device and is not accepted"
        raise Refused(Rule.OP_NATIVE, text, label)
    if domain not in OPSETS:
        text = f"operators of the domain '{shown(domain)}' are not accepted"
        raise Refused(Rule.OP_DOMAIN, text, label)
    if domain == MICROSOFT and operator not in MICROSOFT_OPERATORS:
        text = f"the operator '{shown(operator)}' of {MICROSOFT} is not accepted"
        raise Refused(Rule.OP_LIST, text, label)
