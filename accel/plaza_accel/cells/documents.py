"""Values of tasks on the wire: payloads, answers, errors; JSON beside the arrays of a message.

Dataclasses travel by name. What a name means, and which type each field has, the reader knows from
its own `Vocabulary`: a class the vocabulary lacks, or a value of another type than its field's, is
a lie. Nothing is unpickled.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    Self,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np

from plaza_accel.cells.mailbox import Lies, Message, Verb
from plaza_core.tensors import Array

_PLAIN: Final = (str, int, float, bool, type(None))
_MOST_DOCUMENT: Final = 32 << 20
_DEEPEST: Final = 32

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Class name -> class and the types of its fields, in order."""

    classes: Mapping[str, tuple[type, tuple[Any, ...]]]

    @classmethod
    def of(cls, module: str) -> Self:
        """The dataclasses that a module defines."""
        found: dict[str, tuple[type, tuple[Any, ...]]] = {}
        for name, value in vars(importlib.import_module(module)).items():
            if isinstance(value, type) and dataclasses.is_dataclass(value):
                hints = get_type_hints(value)
                fields = tuple(hints[each.name] for each in dataclasses.fields(value))
                found[name] = (value, fields)
        return cls(found)


@dataclass(slots=True)
class Writer:
    """Builds one message: documents may refer to arrays and bytes put beside them."""

    vocabulary: Vocabulary
    arrays: list[Array] = field(default_factory=list)

    def message(
        self, document: Mapping[str, Any], time_ns: int = 0, verb: int = Verb.OPEN
    ) -> Message:
        text = json.dumps(document).encode() if document else b""
        return Message(text, self.arrays, time_ns, verb)

    def add(self, array: Array) -> int:
        self.arrays.append(array)
        return len(self.arrays) - 1

    def value(self, value: Any) -> Any:
        """`value` as JSON. Raises TypeError for what has no place on the wire."""
        if type(value) in _PLAIN:
            return value
        if isinstance(value, tuple | list):
            plain = all(type(each) in _PLAIN for each in value)
            items = list(value) if plain else [self.value(each) for each in value]
            return items if isinstance(value, list) else {"t": items}
        if isinstance(value, Mapping):
            return {"d": [[str(name), self.value(each)] for name, each in value.items()]}
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self._object(value)
        return self._beside(value)

    def _beside(self, value: Any) -> Any:
        if isinstance(value, bytes):
            return {"b": self.add(np.frombuffer(value, np.uint8))}
        if isinstance(value, np.ndarray):
            return {"a": self.add(value)}
        if isinstance(value, np.generic):
            return self.value(value.item())
        raise TypeError(f"no {type(value).__name__} on the wire")

    def _object(self, value: DataclassInstance) -> Any:
        name = type(value).__name__
        known = self.vocabulary.classes.get(name)
        if known is None or known[0] is not type(value):
            raise TypeError(f"no {name} on the wire")
        fields = dataclasses.fields(value)
        return {"c": [name, *(self.value(getattr(value, each.name)) for each in fields)]}


def parse(message: Message) -> dict[str, Any]:
    """The document of a message, empty where it has none. Raises Lies when it is no JSON object."""
    if not message.document:
        return {}
    if len(message.document) > _MOST_DOCUMENT:
        raise Lies("the document is too long")
    try:
        document = json.loads(message.document)
    except (ValueError, RecursionError):
        raise Lies("the document is no JSON") from None
    if type(document) is not dict:
        raise Lies("the document is no object")
    return document


@dataclass(frozen=True, slots=True)
class Reader:
    vocabulary: Vocabulary
    arrays: Sequence[Array]

    def value(self, document: Any, depth: int = 0) -> Any:
        """What `Writer.value` was given. Raises Lies."""
        if type(document) in _PLAIN:
            return document
        if depth > _DEEPEST:
            raise Lies("nested too deeply")
        if type(document) is list:
            return self._items(document, depth)
        if type(document) is not dict or len(document) != 1:
            raise Lies("a value of no known kind")
        ((kind, content),) = document.items()
        if kind in {"a", "b"}:
            array = self.array(content)
            return array if kind == "a" else array.tobytes()
        if type(content) is not list:
            raise Lies("a value of no known kind")
        if kind == "t":
            return tuple(self._items(content, depth))
        if kind == "d":
            return self._mapping(content, depth)
        if kind != "c":
            raise Lies("a value of no known kind")
        return self._object(self._items(content, depth))

    def _items(self, items: list[Any], depth: int) -> list[Any]:
        if all(type(each) in _PLAIN for each in items):
            return items
        return [self.value(each, depth + 1) for each in items]

    def array(self, index: Any) -> Array:
        if type(index) is not int or not 0 <= index < len(self.arrays):
            raise Lies("no such array")
        return self.arrays[index]

    def _mapping(self, pairs: list[Any], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for pair in pairs:
            if type(pair) is not list or len(pair) != 2 or type(pair[0]) is not str:
                raise Lies("a mapping without names")
            found[pair[0]] = self.value(pair[1], depth + 1)
        return found

    def _object(self, content: list[Any]) -> Any:
        name, *values = content or [None]
        if type(name) is not str or name not in self.vocabulary.classes:
            raise Lies("an object of no known class")
        made, hints = self.vocabulary.classes[name]
        if len(values) != len(hints) or not all(map(conforms, values, hints)):
            raise Lies(f"not the fields of a {name}")
        return made(*values)


def conforms(value: Any, hint: Any) -> bool:
    """Whether `value` is what the annotation `hint` promises, to the last element."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin is Literal:
        return any(type(value) is type(each) and value == each for each in arguments)
    if origin is Union or origin is types.UnionType:
        return any(conforms(value, each) for each in arguments)
    if origin is tuple:
        return type(value) is tuple and _elements_conform(value, arguments)
    if hint is float:
        return type(value) in {float, int}
    return type(value) is (origin or hint)


def _elements_conform(value: tuple[Any, ...], hints: tuple[Any, ...]) -> bool:
    if len(hints) == 2 and hints[1] is Ellipsis:
        return all(conforms(each, hints[0]) for each in value)
    return len(value) == len(hints) and all(map(conforms, value, hints))
