"""What replicas ask and tell: the table, blobs, heartbeats, usage. For nodes, not in the OpenAPI.

Only the node's token opens these; a key of a tenant never does. Everything here is idempotent,
so a replica may repeat what it is not sure about.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, BinaryIO

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from plaza_core.ids import valid_digest
from plaza_core.table import Heartbeat, HeartbeatReply
from plaza_core.usage_wire import from_lines
from plaza_serving.control.guard import NODE_ONLY
from plaza_serving.control.parts import Hub, Parts
from plaza_serving.control.shapes.ledger import Ingested

router = APIRouter(prefix="/internal/v1", dependencies=[NODE_ONLY], include_in_schema=False)

LONGEST_WAIT_S = 60.0
_BLOB_CHUNK = 1 << 20


@router.get("/table")
async def table(
    hub: Hub,
    if_none_match: Annotated[str | None, Header()] = None,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT_S, allow_inf_nan=False)] = 0.0,
) -> Response:
    """The hub table, or 304 when after `wait` seconds it is still the one of If-None-Match."""
    known = None if if_none_match is None else if_none_match.strip().strip('"')
    snapshot = await hub.feed.fetch(known, wait)
    if snapshot is None:
        return Response(status_code=304, headers={"etag": f'"{known}"'})
    return Response(
        snapshot.body, media_type="application/json", headers={"etag": f'"{snapshot.version}"'}
    )


@router.get("/blobs/{sha256}")
def blob(hub: Hub, sha256: str) -> StreamingResponse:
    file = hub.blobs.open(valid_digest(sha256, input="sha256"))
    return StreamingResponse(_chunks(file), media_type="application/octet-stream")


@router.post("/heartbeats")
async def heartbeat(hub: Hub, beat: Heartbeat) -> HeartbeatReply:
    return hub.fleet.answer(beat)


@router.post("/usage")
async def usage(hub: Hub, request: Request) -> Ingested:
    """Usage records, one JSON line each. All or nothing; what is known already changes nothing."""
    return await run_in_threadpool(_ingest, hub, await request.body())


def _ingest(hub: Parts, body: bytes) -> Ingested:
    records = from_lines(body)
    return Ingested(accepted=len(records), new=hub.tenancy.ledger.ingest(records))


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_BLOB_CHUNK):
            yield chunk
