"""Idempotency-Key on administrative writes: around all routes, so that none can forget it.

Plain ASGI, inside `RequestContext`. Without the header, for reads and for the files of an upload
(which are idempotent by their content, and large) a request passes untouched. A key that does not
authenticate passes too: the route refuses it in its own words.
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plaza_core.errors import MalformedRequest, PlazaError, Unauthenticated
from plaza_core.idempotency import HEADER, ClaimAsk, Done, Place, Verdict
from plaza_core.ids import RandomBytes, RequestId
from plaza_core.principal import Principal
from plaza_serving.control.problems import response_to
from plaza_serving.idempotency.keeper import Keeper, valid_name
from plaza_serving.idempotency.sealing import Asked
from plaza_serving.reply import Reply
from plaza_tenancy import Tenancy
from plaza_tenancy.idempotency import Idempotency

_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_FILES = "/files/"


class LocalClaims:
    """`plaza_core.idempotency.Claims` of the process that owns the database."""

    def __init__(self, idempotency: Idempotency) -> None:
        self._idempotency = idempotency

    async def claim(self, ask: ClaimAsk) -> Verdict:
        return await asyncio.to_thread(self._idempotency.claim, ask)

    async def renew(self, place: Place) -> None:
        await asyncio.to_thread(self._idempotency.renew, place)

    async def complete(self, done: Done) -> None:
        await asyncio.to_thread(self._idempotency.complete, done)

    async def release(self, place: Place) -> None:
        await asyncio.to_thread(self._idempotency.release, place)


class Once:
    def __init__(self, app: ASGIApp, *, tenancy: Tenancy, random: RandomBytes) -> None:
        self._app = app
        self._tenancy = tenancy
        self._keeper = Keeper(LocalClaims(tenancy.idempotency), random)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _concerned(scope):
            await self._app(scope, receive, send)
            return
        request_id: RequestId = scope["state"]["request_id"]
        try:
            asked = await self._asked(scope, receive, request_id)
            if asked is None:
                await self._app(scope, receive, send)
                return
            fingerprint = await asyncio.to_thread(asked.fingerprint)
            reply, _ = await self._keeper.reply(asked, fingerprint, self._run(scope, asked.body))
        except PlazaError as error:
            await response_to(error, request_id)(scope, receive, send)
            return
        headers = [
            (b"content-length", b"%d" % len(reply.body)),
            *([(b"content-type", reply.media)] if reply.media else []),
            *reply.headers,
        ]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    async def _asked(self, scope: Scope, receive: Receive, request_id: RequestId) -> Asked | None:
        """None for a caller whom the route will refuse; nothing has been read then."""
        headers = Headers(scope=scope)
        if len(headers.getlist(HEADER)) > 1:
            raise MalformedRequest("this header is given twice", input=HEADER)
        name = valid_name(headers[HEADER].encode("latin-1"))
        scheme, _, text = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            who: Principal = await asyncio.to_thread(self._tenancy.authenticate, text.strip())
        except Unauthenticated:
            return None
        scope["state"]["key"] = who.key
        query = scope["query_string"].decode("latin-1")
        return Asked(
            organisation=who.organisation,
            key=who.key,
            key_text=text.strip(),
            name=name,
            request_id=request_id,
            method=scope["method"],
            target=f"{scope['path']}?{query}",
            meaning=(headers.get("content-type", ""),),
            body=await _whole(receive),
        )

    def _run(self, scope: Scope, body: bytes) -> Any:
        async def run(_: RequestId) -> Reply:
            return await _captured(self._app, scope, body)

        return run


def _concerned(scope: Scope) -> bool:
    return (
        scope["type"] == "http"
        and scope["method"] in _WRITES
        and scope["path"].startswith("/api/")
        and _FILES not in scope["path"]
        and any(name == HEADER.encode() for name, _ in scope["headers"])
    )


async def _whole(receive: Receive) -> bytes:
    """Raises PayloadTooLarge: `receive` counts."""
    pieces: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(pieces)
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)


async def _captured(app: ASGIApp, scope: Scope, body: bytes) -> Reply:
    """What `app` answers to this body. It is never told that the client left."""
    sent = False
    start: Message = {}
    pieces: list[bytes] = []

    async def receive() -> Message:
        nonlocal sent
        if sent:
            await asyncio.Event().wait()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        elif message["type"] == "http.response.body":
            pieces.append(message.get("body", b""))

    await app(scope, receive, send)
    named = {name.lower(): value for name, value in start["headers"]}
    media = named.pop(b"content-type", b"")
    named.pop(b"content-length", None)
    return Reply(start["status"], media, b"".join(pieces), tuple(named.items()))
