"""From what was raised while a model was opened to the rule it broke, and to the node.

Runs inside the sandbox. Texts of native libraries are searched for a node's name and go no further.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from plaza_accel.gate.rules import Refused, Rule, shown_node
from plaza_core.errors import ModelFailed, NotFound, PlazaError, ProviderUnavailable

_NAMES: Final = (
    re.compile(r"Bad node spec for node\. Name: (\S*) OpType: (\w+)"),
    re.compile(r"\(op_type:(\w+), node name: ([^)]+)\)"),
    re.compile(r"name: (\S*) OpType: (\w+)"),
    re.compile(r"Name:'([^']*)'"),
    re.compile(r"[Nn]ode ?\(([^)]*)\)"),
    re.compile(r"Node:\s*(\S+)"),
)
_OPERATOR_FIRST: Final = 1
"""Which of the patterns names the operator before the node."""
_SEARCHED: Final = 10_000


def blame(error: BaseException) -> Refused:
    """The refusal that `error` amounts to."""
    if isinstance(error, Refused):
        return error
    causes = tuple(_causes(error))
    node = next((name for cause in causes if (name := node_in(str(cause)))), None)
    text = "ran out of memory"
    if isinstance(error, PlazaError):
        text = (f"{error.input}: " if error.input else "") + error.message
    if for_memory(error):
        return Refused(Rule.MEMORY, text, node)
    if isinstance(error, (ProviderUnavailable, NotFound)):
        return Refused(Rule.PROVIDER, text, node)
    if isinstance(error, PlazaError):
        ran = _native(causes) or any(isinstance(cause, ModelFailed) for cause in causes)
        rule = Rule.RUNTIME if ran else Rule.SIGNATURE
        return Refused(rule, text, node)
    return Refused(Rule.RUNTIME, "the examination failed on this model")


def for_memory(error: BaseException) -> bool:
    """Whether an allocation failed, here or in what `error` was raised for."""
    return any(_out_of_memory(cause) for cause in _causes(error))


def node_in(text: str) -> str | None:
    """The name of the node that a native error speaks of; of one without, its operator."""
    for place, pattern in enumerate(_NAMES):
        if found := pattern.search(text[:_SEARCHED]):
            words = found.groups()
            if place == _OPERATOR_FIRST:
                words = words[::-1]
            return shown_node(next((word for word in words if word), "")) or None
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and what it was raised for, also where `from None` hides that from readers."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


def _native(causes: tuple[BaseException, ...]) -> bool:
    return any(type(cause).__module__.startswith("onnxruntime.") for cause in causes)


def _out_of_memory(error: BaseException) -> bool:
    from plaza_accel.sessions.native import out_of_memory

    return isinstance(error, Exception) and out_of_memory(error)
