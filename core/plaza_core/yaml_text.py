"""YAML as people write it by hand: one mapping, bounded, and nothing read into it.

Anchors may not multiply it, a key may not be there twice, and what looks like a date stays text.
"""

from __future__ import annotations

from typing import Any

import yaml

from plaza_core.errors import InvalidBundle

_MOST_VALUES = 50_000
_DEEPEST = 32
_LONGEST_NUMBER = 40
_LARGEST_NUMBER = 1 << 63


class _Loader(yaml.SafeLoader):
    """Plain values only."""

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """YAML 1.1 has numbers to the base of 60, 16, 8 and 2: of any length they cost seconds, and
        Python does not write them out again."""
        if len(node.value) > _LONGEST_NUMBER:
            raise yaml.MarkedYAMLError(problem="a number is too long", problem_mark=node.start_mark)
        integer = node.tag.endswith(":int")
        number: int | float = (
            self.construct_yaml_int(node) if integer else self.construct_yaml_float(node)
        )
        return number

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool):
                raise yaml.MarkedYAMLError(
                    problem="a key is text", problem_mark=key_node.start_mark
                )
            if key in seen:
                problem = f"'{str(key)[:60]}' is there twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


for _tag in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _Loader.construct_number)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load_mapping(text: str | bytes, *, name: str) -> dict[str, Any]:
    """The mapping that `text` is. Raises InvalidBundle naming `name` and the line."""
    try:
        data = yaml.load(text, _Loader)  # noqa: S506 a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise InvalidBundle(f"not valid YAML: {where}{error.problem}", input=name) from None
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError):
        raise InvalidBundle("not valid YAML", input=name) from None
    if not isinstance(data, dict):
        raise InvalidBundle("expected a mapping at the top, as in `name: value`", input=name)
    _check(data, name)
    return {str(key): value for key, value in data.items()}


def _check(data: Any, name: str) -> None:
    """Refuse what JSON and a database could not keep, and what anchors blow up, also one inside
    itself: values count wherever they appear."""
    waiting, seen = [(data, 1)], 0
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, dict | list):
            seen += len(value)
            keys = list(value) if isinstance(value, dict) else []
            inner = value.values() if isinstance(value, dict) else value
            waiting += [(each, depth + 1) for each in (*keys, *inner)]
        elif not _plain(value):
            raise InvalidBundle(
                "only text, numbers, true, false and nothing are values", input=name
            )
        if seen > _MOST_VALUES or depth > _DEEPEST:
            raise InvalidBundle("too many values, or too deep", input=name)


def _plain(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= c <= "\udfff" for c in value)
    if isinstance(value, int):
        return abs(value) < _LARGEST_NUMBER
    return value is None or isinstance(value, float)
