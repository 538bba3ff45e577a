"""Calls as values: what to send and how to read the answer, without sending anything.

A verb of the SDK builds a Call; a transport (`_sync`, `_async`) performs it. A verb that needs
several requests is a generator of Calls, which is sent the result of each.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

from plaza.errors import PlazaError

T = TypeVar("T")
Param = str | int | float | Sequence[str] | None

OnChunk = Callable[[bytes], None]
"""Told which bytes of a file have just left."""


@dataclass(frozen=True, slots=True)
class FileBody:
    """A request body that is read from disk while it is sent."""

    path: Path
    on_chunk: OnChunk | None = None
    on_begin: Callable[[], None] | None = None
    """Told when the first byte is read, for each time that the file is sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful HTTP answer, read whole. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        try:
            return json.loads(self.content)
        except ValueError:
            raise PlazaError(
                "unexpected_answer", "the answer is not JSON; is this the right address?",
                status=self.status,
            ) from None  # fmt: skip


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request and how to read its answer. `to` names the port it goes to."""

    to: Literal["inference", "control"]
    method: str
    path: str
    read: Callable[[Answer], T]
    params: Mapping[str, Param] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | FileBody = b""
    save: Path | None = None
    """Where the answer's body goes while it arrives; `read` is then given none."""
    reads: bool = False
    """It changes nothing, although its method is not GET."""

    def query(self) -> dict[str, Any]:
        return {name: value for name, value in self.params.items() if value is not None}


Steps = Generator[Call[Any], Any, T]


def json_body(document: Mapping[str, Any], nulls: Collection[str] = ()) -> bytes:
    """Compact JSON without the fields that are None, but for those that mean something by it:
    `nulls`. Raises ValueError for a number that is not finite."""
    given = {n: value for n, value in document.items() if value is not None or n in nulls}
    try:
        return json.dumps(given, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        raise ValueError("infinity, or NaN where a number must be, cannot be sent") from None


JSON_TYPE = {"content-type": "application/json"}


def path_of(*segments: str | int) -> str:
    """A path of escaped segments: no name can reach another route."""
    return "/" + "/".join(quote(str(segment), safe="") for segment in segments)
