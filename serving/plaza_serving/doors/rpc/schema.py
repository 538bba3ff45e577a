"""Reads `inference.proto` at import and makes message classes of it; nothing is generated.

Why: generated modules register their messages in the process's default pool, where those of a
client of the same protocol are too, and two of one name are an error. These live in a pool of their
own. And there is no compiler to install and no generated file to keep current. Takes 2 ms.

Knows of the language what that file uses and refuses the rest: proto3, a package, messages in
messages, enums, oneofs, maps, repeated fields, services with streams.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_TOKEN = re.compile(r'//[^\n]*|\s+|([A-Za-z_][\w.]*|\d+|"[^"]*"|[{}()=;<>,])')
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    name: getattr(_Field, f"TYPE_{name.upper()}")
    for name in ("bool", "bytes", "string", "float", "double", "int32", "int64", "uint32", "uint64")
}


class Method(NamedTuple):
    """One verb of a service, and which of its sides are streams."""

    name: str
    streams_in: bool
    streams_out: bool


class Schema:
    """The message classes of one file by their short names, and its services."""

    def __init__(self, text: str) -> None:
        """Raises ValueError for what the reader does not know."""
        self.services: dict[str, list[Method]] = {}
        self._tokens = list(_tokens(text))
        self._at = 0
        self._file = descriptor_pb2.FileDescriptorProto(name="inference.proto", syntax="proto3")
        self._read()
        pool = descriptor_pool.DescriptorPool()
        pool.Add(self._file)
        package = f"{self._file.package}."
        self.messages: dict[str, Any] = {
            one.name: message_factory.GetMessageClass(
                pool.FindMessageTypeByName(package + one.name)
            )
            for one in self._file.message_type
        }

    def _read(self) -> None:
        self._expect("syntax", "=", '"proto3"', ";", "package")
        self._file.package = self._next()
        self._expect(";")
        while self._at < len(self._tokens):
            kind = self._next()
            if kind == "message":
                self._message(self._file.message_type.add())
            elif kind == "enum":
                self._enum(self._file.enum_type.add())
            elif kind == "service":
                self._service()
            else:
                raise ValueError(f"a file has no '{kind}' here")

    def _message(self, into: Any) -> None:
        into.name = self._next()
        self._expect("{")
        while (word := self._next()) != "}":
            if word == "message":
                self._message(into.nested_type.add())
            elif word == "oneof":
                self._oneof(into)
            else:
                self._field(into, word)

    def _oneof(self, into: Any) -> None:
        into.oneof_decl.add(name=self._next())
        self._expect("{")
        while (word := self._next()) != "}":
            self._field(into, word).oneof_index = len(into.oneof_decl) - 1

    def _field(self, into: Any, word: str) -> Any:
        repeated = word == "repeated"
        kind = self._next() if repeated else word
        if kind == "map":
            return self._map(into)
        field = _typed(into.field.add(), kind)
        field.label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
        field.name, field.number = self._numbered()
        return field

    def _map(self, into: Any) -> Any:
        """A map is a repeated message of keys and values."""
        self._expect("<")
        key = self._next()
        self._expect(",")
        value = self._next()
        self._expect(">")
        name, number = self._numbered()
        entry = into.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        for at, (part, kind) in enumerate((("key", key), ("value", value)), 1):
            _typed(entry.field.add(name=part, number=at, label=_Field.LABEL_OPTIONAL), kind)
        return into.field.add(
            name=name, number=number, label=_Field.LABEL_REPEATED, type_name=entry.name
        )

    def _enum(self, into: Any) -> None:
        into.name = self._next()
        self._expect("{")
        while (name := self._next()) != "}":
            self._expect("=")
            into.value.add(name=name, number=int(self._next()))
            self._expect(";")

    def _service(self) -> None:
        methods = self.services[f"{self._file.package}.{self._next()}"] = []
        self._expect("{")
        while (word := self._next()) != "}":
            if word != "rpc":
                raise ValueError(f"a service has no '{word}' here")
            name = self._next()
            taken = self._side()
            self._expect("returns")
            methods.append(Method(name, taken, self._side()))
            self._expect("{", "}")

    def _side(self) -> bool:
        """Whether it is a stream. The messages are those that the method is named after."""
        self._expect("(")
        streams = self._next() == "stream"
        if streams:
            self._next()
        self._expect(")")
        return streams

    def _numbered(self) -> tuple[str, int]:
        name = self._next()
        self._expect("=")
        number = int(self._next())
        self._expect(";")
        return name, number

    def _next(self) -> str:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _expect(self, *wanted: str) -> None:
        for one in wanted:
            found = self._next()
            if found != one:
                raise ValueError(f"expected '{one}', found '{found}'")


def _typed(field: Any, kind: str) -> Any:
    """Names of messages and enums are resolved by the pool."""
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type_name = kind
    return field


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"character {at} of the contract is not understood")
        at = found.end()
        if found[1]:
            yield found[1]


INFERENCE = Schema(files(__package__).joinpath("inference.proto").read_text())
SERVICE = "inference.GRPCInferenceService"


def message(name: str) -> Any:
    """The class of a message; to mypy any, because it is made at run time."""
    return INFERENCE.messages[name]
