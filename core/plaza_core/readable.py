"""Validation errors for people: which field, what was found, what is allowed, what was meant.

What is allowed is read from the model's own JSON schema, so that the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

_SHOWN = 60
_LONGEST = 200
_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}

Place = tuple[int | str, ...]
Schema = Mapping[str, Any]


def explain(error: ValidationError, model: type[BaseModel]) -> tuple[str, str]:
    """(path of the field, one sentence), such as (`signature.inputs[0].datatype`, `found …`).

    Of several errors it is an unknown field's, if there is one: it often explains the others.
    """
    found = error.errors(include_url=False)
    first = next((e for e in found if e["type"] == "extra_forbidden"), found[0])
    schema, loc = model.model_json_schema(), tuple(first["loc"])
    if first["type"] == "extra_forbidden":
        place, node = _walk(schema, loc[:-1])
        known = {name for option in _options(schema, node) for name in option.get("properties", ())}
        return written((*place, loc[-1])), unknown(str(loc[-1]), known)
    place, node = _walk(schema, loc)
    if first["type"] == "missing":
        return written(place), f"this field is missing; expected {_allowed(schema, node)}"
    if first["type"] == "value_error":
        return written(place), str(first["ctx"]["error"])
    text = f"found {_shown(first['input'])}; expected {_allowed(schema, node)}"
    return written(place), text + _meant(first["input"], _choices(schema, node))


def unknown(name: str, known: Iterable[str]) -> str:
    """What to say of a field that does not exist."""
    names = sorted(known)
    return f"there is no such field; expected one of {', '.join(names)}" + _meant(name, names)


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known name that a typo most likely meant."""
    return next(iter(get_close_matches(name, list(known), 1, cutoff)), None)


def written(place: Place) -> str:
    """`("inputs", 0, "name")` as `inputs[0].name`; a very long one is cut."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")[:_LONGEST]


def _meant(value: object, known: Iterable[str]) -> str:
    guess = nearest(value, known) if isinstance(value, str) else None
    return f"; did you mean '{guess}'?" if guess and guess != value else ""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _walk(schema: Schema, loc: Place) -> tuple[Place, Schema]:
    """(place, its schema). Parts of `loc` that only say in which branch of a union pydantic was are
    no part of the place."""
    node, place = _resolved(schema, schema), list[int | str]()
    for part in loc:
        inner = _step(schema, node, part)
        if inner is not None:
            node = inner
            place.append(part)
    return tuple(place), node


def _step(schema: Schema, node: Schema, part: int | str) -> Schema | None:
    for option in _options(schema, node):
        more = option.get("additionalProperties")
        if isinstance(part, int) and "items" in option:
            return _resolved(schema, option["items"])
        if isinstance(part, str) and part in option.get("properties", {}):
            return _resolved(schema, option["properties"][part])
        if isinstance(part, str) and isinstance(more, dict):
            return _resolved(schema, more)
    return None


def _options(schema: Schema, node: Schema) -> list[Schema]:
    """The schema itself and the branches of it, if it is a union."""
    return [node, *(_resolved(schema, each) for each in node.get("anyOf", ()))]


def _resolved(schema: Schema, node: Schema) -> Schema:
    if "$ref" not in node:
        return node
    target = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return {**target, **{key: value for key, value in node.items() if key != "$ref"}}


def _choices(schema: Schema, node: Schema) -> list[str]:
    return [str(each) for option in _options(schema, node) for each in option.get("enum", ())]


def _allowed(schema: Schema, node: Schema) -> str:
    """In words, as exact as the schema is."""
    union = node.get("anyOf")
    if node.get("description") and (union or "pattern" in node):
        return str(node["description"])
    if union:
        return " or ".join(_allowed(schema, _resolved(schema, each)) for each in union)
    if choices := _choices(schema, node):
        return "one of " + ", ".join(choices)
    if "const" in node:
        return repr(node["const"])
    return _KINDS.get(str(node.get("type")), "another value") + _bounds(node)


def _bounds(node: Schema) -> str:
    if "minimum" in node:
        more = f" to {node['maximum']}" if "maximum" in node else ""
        return f" from {node['minimum']}{more}"
    if node.get("minItems") or node.get("minLength"):
        return " that is not empty"
    if "maxLength" in node:
        return f" of at most {node['maxLength']} characters"
    return f" like {node['pattern']}" if "pattern" in node else ""
