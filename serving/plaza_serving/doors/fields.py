"""Typed reading of the fields of one JSON object or query string, with errors that name the field.

No schema library: each request is read once, by the handler that needs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from plaza_core.errors import InvalidInput

_INTEGER = re.compile(r"-?\d{1,15}")
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,15})?")


class Fields:
    """The fields of a request. `known` None lets unknown fields pass. Null counts as absent.
    `inside` goes before their names in errors: `options.` for those of an object so called.

    Every reader raises InvalidInput naming its field.
    """

    def __init__(
        self,
        values: dict[str, Any],
        known: Iterable[str] | None,
        size: int = 0,
        *,
        inside: str = "",
    ) -> None:
        if known is not None:
            for name in values:
                if name not in known:
                    raise InvalidInput("this endpoint has no such field", input=inside + name[:64])
        self._values = values
        self.size = size
        """Bytes it was read from."""
        self._inside = inside

    @classmethod
    def of_query(cls, pairs: Iterable[tuple[str, str]], known: Iterable[str]) -> Fields:
        """Values of a query string: what looks like a number is one, but not a name."""
        values: dict[str, Any] = {}
        for name, text in pairs:
            if name in {"model", "version", "sticky"}:
                values[name] = text
            elif _INTEGER.fullmatch(text):
                values[name] = int(text)
            elif _NUMBER.fullmatch(text):
                values[name] = float(text)
            else:
                values[name] = text
        return cls(values, known)

    def called(self, name: str) -> str:
        """What an error calls it."""
        return self._inside + name

    def has(self, name: str) -> bool:
        return self._values.get(name) is not None

    def value(self, name: str) -> Any:
        """As it came; None when absent."""
        return self._values.get(name)

    def text(self, name: str) -> str:
        value = self._values.get(name)
        if type(value) is not str or not value:
            raise InvalidInput(
                f"{name} must be a string that is not empty", input=self.called(name)
            )
        return value

    def version(self) -> str | None:
        """`version`: an integer or an alias; None when absent."""
        value = self._values.get("version")
        if value is None or (type(value) is str and value):
            return value
        if type(value) is int:
            return str(value)
        raise InvalidInput("version must be an integer or an alias", input=self.called("version"))

    def choice(self, name: str, options: tuple[str, ...]) -> str:
        """One of `options`; the first when absent."""
        value = self._values.get(name)
        if value is None:
            return options[0]
        if value not in options:
            raise InvalidInput(
                f"{name} must be one of: {', '.join(options)}", input=self.called(name)
            )
        return str(value)

    def integer(
        self, name: str, *, low: int, high: int = 10**12, default: int | None = None
    ) -> int:
        value = self._values.get(name, default)
        if value is None:
            value = default
        if type(value) is not int or (value != default and not low <= value <= high):
            raise InvalidInput(
                f"{name} must be an integer from {low} to {high}", input=self.called(name)
            )
        return value

    def number(self, name: str, *, low: float, high: float) -> float | None:
        """A number in range; None when absent."""
        value = self._values.get(name)
        if value is None:
            return None
        if type(value) not in {int, float} or not low <= value <= high:
            raise InvalidInput(
                f"{name} must be a number from {low} to {high}", input=self.called(name)
            )
        return float(value)

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self._values.get(name)
        if value is None:
            return default
        if type(value) is not bool:
            raise InvalidInput(f"{name} must be true or false", input=self.called(name))
        return value

    def numbers(self, name: str) -> tuple[float, ...]:
        """A list of numbers that is not empty. JSON numbers are finite."""
        value = self._values.get(name)
        if type(value) is not list or not value or not set(map(type, value)) <= {int, float}:
            raise InvalidInput(f"{name} must be a list of numbers", input=self.called(name))
        return tuple(map(float, value))

    def texts(self, name: str, *, most: int) -> tuple[str, ...]:
        """One string, or a list of 1 to `most` strings."""
        value = self._values.get(name)
        if type(value) is str:
            return (value,)
        if type(value) is not list or not value or set(map(type, value)) != {str}:
            raise InvalidInput(
                f"{name} must be a string or a list of strings", input=self.called(name)
            )
        if len(value) > most:
            raise InvalidInput(f"{name} has more than {most} texts", input=self.called(name))
        return tuple(value)
