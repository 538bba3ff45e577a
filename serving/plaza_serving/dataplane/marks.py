"""Verbs of control's public API, done for callers with their own keys.

Holds no credentials: what a caller may not do, this cannot do for it.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
import orjson

from plaza_core import errors
from plaza_core.errors import PlazaError, Unavailable
from plaza_serving.dataplane.repository import Verb

_TIMEOUT_S = 10.0
_CODES: dict[str, type[PlazaError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, PlazaError) and "code" in vars(kind)
}


class ControlMarks:
    """Implements `dataplane.repository.Marks`. One per replica, on its loop."""

    def __init__(self, url: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._http = httpx.AsyncClient(
            base_url=url, timeout=_TIMEOUT_S, trust_env=False, transport=transport
        )

    async def mark(self, verb: Verb, model: str, version: int, authorization: str) -> None:
        path = f"/api/v1/models/{quote(model, safe='')}/versions/{version}/{verb}"
        try:
            answer = await self._http.post(path, headers={"authorization": authorization})
        except httpx.HTTPError as error:
            raise Unavailable("control cannot be reached; nothing was changed") from error
        if not answer.is_success:
            raise refusal_in(answer)

    async def close(self) -> None:
        await self._http.aclose()


def refusal_in(answer: httpx.Response) -> PlazaError:
    """The error that control answered with, as it would have been raised here."""
    said = _document(answer.content)
    kind = _CODES.get(str(said.get("code")))
    if kind is None:
        return Unavailable(f"control answered {answer.status_code}")
    after = answer.headers.get("retry-after", "")
    named = said.get("input")
    return kind(
        str(said.get("error", "")),
        input=None if named is None else str(named),
        retry_after=float(after) if after.isdigit() else None,
    )


def _document(content: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
