"""Idempotency-Key on inference. Only requests with the header come here; no other pays for it."""

from __future__ import annotations

from plaza_core.errors import PlazaError, Unavailable
from plaza_core.idempotency import HEADER
from plaza_core.ids import RequestId
from plaza_serving.doors.body import BodyReader, off_loop
from plaza_serving.doors.exchange import Exchange
from plaza_serving.doors.problems import charged, internal, problem
from plaza_serving.doors.routes import Handler
from plaza_serving.idempotency.keeper import Keeper, valid_name
from plaza_serving.idempotency.sealing import Asked
from plaza_serving.pools import LivesElsewhere
from plaza_serving.reply import Reply

_MEANING = (b"content-type", b"inference-header-content-length")
"""Headers that change what the same bytes ask for. The body counts without its compression."""


async def answer_once(
    keeper: Keeper | None,
    bodies: BodyReader,
    exchange: Exchange,
    handler: Handler,
    prefix: str = "",
) -> Reply:
    """The handler's reply, or the first one of this name again. Sets the id it was made under.

    `prefix` is the pool's: the same request is the same at each of its addresses.

    Raises Unavailable where no record can be kept: without control nothing can be promised; and
    LivesElsewhere, with no record left of it here.
    """
    name = valid_name(exchange.headers[HEADER.encode()])
    if keeper is None:
        raise Unavailable("this hub keeps no idempotency keys", input=HEADER)
    body = exchange.body = await bodies.read(exchange)
    scope, headers = exchange.scope, exchange.headers
    asked = Asked(
        organisation=exchange.principal.organisation,
        key=exchange.principal.key,
        key_text=headers[b"authorization"].decode("latin-1").partition(" ")[2].strip(),
        name=name,
        request_id=exchange.request_id,
        method=scope["method"],
        target=f"{scope['path'].removeprefix(prefix)}?{scope['query_string'].decode('latin-1')}",
        meaning=tuple(headers.get(one, b"").decode("latin-1") for one in _MEANING),
        body=body,
    )
    fingerprint = await off_loop(len(body), asked.fingerprint)

    away: LivesElsewhere | None = None

    async def run(request_id: RequestId) -> Reply:
        nonlocal away
        exchange.request_id = request_id
        try:
            return await handler(exchange)
        except LivesElsewhere as error:  # refused here, so the record is there's to make
            away = error
            return problem(error, request_id, *charged(error), wording=exchange.wording)
        except PlazaError as error:
            return problem(error, request_id, *charged(error), wording=exchange.wording)
        except Exception as error:  # noqa: BLE001 as at the border: a bug too is the answer, once
            return internal(error, request_id, exchange.wording)

    reply, exchange.request_id = await keeper.reply(asked, fingerprint, run)
    if away is not None:
        raise away
    return reply
