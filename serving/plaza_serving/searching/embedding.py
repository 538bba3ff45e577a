"""Texts to vectors, by the hub's own inference endpoint with the caller's own key.

So an embedding for an index is a request like any other: it is admitted, queued, charged and
written to the ledger by the replica that serves the model, and control has no second way to spend.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote

import httpx
import numpy as np
import orjson
from numpy.typing import NDArray

from plaza_core.errors import ModelFailed, PlazaError, Unavailable
from plaza_serving.naming import Words, renamed

AT_ONCE = 128
"""Texts of one request."""


@dataclass(frozen=True, slots=True)
class Vectors:
    rows: NDArray[np.float32] = field(repr=False)
    """(texts, dimension)"""
    charge: int
    """Compute units that the requests for them were charged."""


class Embedder(Protocol):
    def embed(self, key: str, model: str, version: int, texts: Sequence[str]) -> Vectors:
        """One vector for each of `texts`, of which there is at least one.

        Raises what the endpoint refuses with, naming `texts[i]`, Unavailable when it cannot be
        reached.
        """


class EndpointEmbedder:
    """Calls `/tei/{model}/embed` of the hub, which cuts long texts to what the model reads."""

    def __init__(self, url: str, transport: httpx.BaseTransport | None = None) -> None:
        self._http = httpx.Client(base_url=url, timeout=60, trust_env=False, transport=transport)

    def embed(self, key: str, model: str, version: int, texts: Sequence[str]) -> Vectors:
        rows: list[NDArray[np.float32]] = []
        charge = 0
        for start in range(0, len(texts), AT_ONCE):
            part = texts[start : start + AT_ONCE]
            body = {"inputs": part, "truncate": True, "version": version}
            try:
                answer = self._ask(key, model, body)
            except PlazaError as error:
                raise renamed(error, "inputs", _of_all(start)) from None
            rows.append(_rows(answer, len(part)))
            charge += int(answer.headers.get("x-plaza-charge", 0))
        return Vectors(np.concatenate(rows), charge)

    def _ask(self, key: str, model: str, body: dict[str, Any]) -> httpx.Response:
        try:
            answer = self._http.post(
                f"/tei/{quote(model, safe='')}/embed",
                content=orjson.dumps(body),
                headers={"authorization": f"Bearer {key}", "content-type": "application/json"},
            )
        except httpx.HTTPError as error:
            raise Unavailable("no replica of the hub answers", retry_after=1) from error
        if not answer.is_success:
            raise _refusal(answer)
        return answer

    def close(self) -> None:
        self._http.close()


def _of_all(start: int) -> Words:
    """Names of texts of a part that begins at `start`."""
    return lambda place: "texts" if place is None else f"texts[{start + place}]"


def _rows(answer: httpx.Response, count: int) -> NDArray[np.float32]:
    try:
        rows = np.array(orjson.loads(answer.content), np.float32)
    except (ValueError, TypeError):
        rows = np.zeros(0, np.float32)
    if rows.ndim != 2 or len(rows) != count or not np.isfinite(rows).all():
        raise ModelFailed("the model gave no vectors for these texts", input="model")
    return rows


def _refusal(answer: httpx.Response) -> PlazaError:
    """What the endpoint said, as it said it."""
    try:
        said = orjson.loads(answer.content)
        kind = _KINDS[said["code"]]
        message, where = str(said["error"]), said.get("input")
    except (ValueError, KeyError, TypeError, AttributeError):
        return Unavailable("the hub's endpoint did not answer as expected", retry_after=1)
    after = answer.headers.get("retry-after", "")
    return kind(message, input=where, retry_after=float(after) if after.isdecimal() else None)


def _below(kind: type[PlazaError]) -> Iterator[type[PlazaError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _below(child)


_KINDS = {kind.code: kind for kind in reversed(list(_below(PlazaError)))}
"""A code -> the most general class that has it."""
