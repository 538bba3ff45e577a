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
from typing import Any, Final, Self, Union, get_args, get_origin, get_type_hints

import numpy as np

from plaza_accel.cells.mailbox import Lies, Message
from plaza_core.tensors import Array

_PLAIN: Final = (str, int, float, bool, type(None))
_MOST_DOCUMENT: Final = 32 << 20


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

    def message(self, document: Mapping[str, Any], cpu_ns: int = 0) -> Message:
        return Message(json.dumps(document).encode(), self.arrays, cpu_ns)

    def add(self, array: Array) -> int:
        self.arrays.append(array)
        return len(self.arrays) - 1

    def value(self, value: Any) -> Any:
        """`value` as JSON. Raises TypeError for what has no place on the wire."""
        if type(value) in _PLAIN:
            return value
        if isinstance(value, bytes | bytearray | memoryview):
            return {"b": self.add(np.frombuffer(value, np.uint8))}
        if isinstance(value, np.ndarray):
            return {"a": self.add(value)}
        if isinstance(value, np.generic):
            return self.value(value.item())
        if isinstance(value, tuple | list):
            if all(type(each) in _PLAIN for each in value):
                return list(value) if isinstance(value, list) else {"t": value}
            items = [self.value(each) for each in value]
            return items if isinstance(value, list) else {"t": items}
        if isinstance(value, Mapping):
            return {"d": [[str(name), self.value(each)] for name, each in value.items()]}
        known = self.vocabulary.classes.get(type(value).__name__)
        if known is None or known[0] is not type(value):
            raise TypeError(f"no {type(value).__name__} on the wire")
        fields = dataclasses.fields(value)
        return {"c": type(value).__name__, "f": [self.value(getattr(value, f.name)) for f in fields]}


def parse(message: Message) -> dict[str, Any]:
    """The document of a message. Raises Lies when it is no JSON object."""
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
        if depth > 32:
            raise Lies("nested too deeply")
        if type(document) is list:
            return [self.value(each, depth + 1) for each in document]
        if type(document) is not dict:
            raise Lies("a value of no known kind")
        match document:
            case {"t": list(items)}:
                if all(type(each) in _PLAIN for each in items):
                    return tuple(items)
                return tuple(self.value(each, depth + 1) for each in items)
            case {"c": str(name), "f": list(values)}:
                return self._object(name, [self.value(each, depth + 1) for each in values])
            case {"d": list(pairs)}:
                return self._mapping(pairs, depth)
            case {"a": int(index)}:
                return self.array(index)
            case {"b": int(index)}:
                return self.array(index).tobytes()
        raise Lies("a value of no known kind")

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

    def _object(self, name: str, values: list[Any]) -> Any:
        if name not in self.vocabulary.classes:
            raise Lies("an object of no known class")
        made, hints = self.vocabulary.classes[name]
        if len(values) != len(hints) or not all(map(conforms, values, hints)):
            raise Lies(f"not the fields of a {name}")
        return made(*values)


def conforms(value: Any, hint: Any) -> bool:
    """Whether `value` is what the annotation `hint` promises, to the last element."""
    if hint is Any:
        return True
    if hint is None:
        return value is None
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Union or origin is types.UnionType:
        return any(conforms(value, each) for each in arguments)
    if origin is tuple:
        if type(value) is not tuple:
            return False
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            if arguments[0] in (int, str):
                return all(type(each) is arguments[0] for each in value)
            return all(conforms(each, arguments[0]) for each in value)
        return len(value) == len(arguments) and all(map(conforms, value, arguments))
    if hint is float:
        return type(value) in (float, int)
    return type(value) is (origin or hint)
