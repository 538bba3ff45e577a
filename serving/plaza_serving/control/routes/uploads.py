"""Uploads: a bundle arrives file by file, then one commit makes it a version.

POST uploads ──▶ PUT files … ──▶ POST commit ──▶ checked, examined in a sandbox, registered
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import contextmanager_in_threadpool, run_in_threadpool

from plaza_core.errors import InvalidInput
from plaza_core.principal import Principal, Right, TenantScope
from plaza_registry.register import Registered as Outcome
from plaza_serving.control.guard import needs
from plaza_serving.control.parts import Hub, Parts
from plaza_serving.control.shapes.uploads import (
    Commit,
    FileStored,
    Registered,
    UploadBegun,
)

router = APIRouter(prefix="/api/v1/uploads", tags=["models"])

Engineer = Annotated[Principal, needs(Right.MODELS_WRITE)]
ActingFor = Annotated[
    str | None, Query(description="The organisation to act for; operators only. Default: own.")
]

PUBLISHED_WITHIN_S = 10.0
"""Less than for a promotion: with the examination before it, it must fit a client's patience."""
_WRITE_AT_ONCE = 1 << 20


@router.post("", status_code=201, summary="Begin an upload")
def begin(hub: Hub, who: Engineer, organisation: ActingFor = None) -> UploadBegun:
    """It belongs to this key and expires after an hour without activity."""
    return UploadBegun(upload=hub.uploads.begin(_scope(hub, who, organisation)))


@router.put(
    "/{upload}/files/{path:path}",
    summary="Send one file",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
        }
    },
)
async def put_file(
    *,
    hub: Hub,
    who: Engineer,
    request: Request,
    upload: str,
    path: str,
    organisation: ActingFor = None,
) -> FileStored:
    """The body is the file itself, counted while it is read. Sent again, a path is replaced."""
    scope = await run_in_threadpool(_scope, hub, who, organisation)
    receiving = hub.uploads.receive(scope, upload, path)
    async with contextmanager_in_threadpool(receiving) as staged:
        waiting = bytearray()
        async for chunk in request.stream():
            waiting += chunk
            if len(waiting) >= _WRITE_AT_ONCE:
                await run_in_threadpool(staged.write, bytes(waiting))
                waiting.clear()
        await run_in_threadpool(staged.write, bytes(waiting))
    entry = staged.entry()
    return FileStored(path=entry.path, size=entry.size, sha256=entry.sha256)


@router.post("/{upload}/commit", summary="Make an upload a version")
async def commit(
    hub: Hub, who: Engineer, upload: str, body: Commit, organisation: ActingFor = None
) -> Registered:
    """Checks the bundle, opens it for the first time in a sandbox, and registers it.

    The same bundle again answers with the version that exists, `created` false. The first version
    of a model also receives the alias `champion`.

    Every replica heard of in the last 5 s has the version when this answers; if that took more than
    10 s, `waiting_for` names those that have not.
    """
    async with hub.examining:
        outcome = await run_in_threadpool(_register, hub, who, organisation, upload, body)
    return await registered(hub, outcome)


async def registered(hub: Parts, outcome: Outcome) -> Registered:
    """The answer once every replica knows the version, and has opened what an alias names; or 10 s
    later. A first version answers from its registration on, so nobody may be told of it earlier."""
    version = outcome.version
    sequence = (await run_in_threadpool(hub.feed.refresh)).sequence
    where = await hub.fleet.wait_published(
        version.model, version.version, sequence, PUBLISHED_WITHIN_S
    )
    return Registered.of(outcome, where)


@router.delete("/{upload}", status_code=204, summary="Abandon an upload")
def abort(hub: Hub, who: Engineer, upload: str, organisation: ActingFor = None) -> None:
    hub.uploads.abort(_scope(hub, who, organisation), upload)


def _scope(hub: Parts, who: Principal, organisation: str | None) -> TenantScope:
    return hub.tenancy.scope(who, Right.MODELS_WRITE, organisation=organisation)


def _register(
    hub: Parts, who: Principal, organisation: str | None, upload: str, body: Commit
) -> Outcome:
    owner = _scope(hub, who, organisation)
    project = body.project or only_project(hub, who, organisation)
    scope = hub.tenancy.scope(who, Right.MODELS_WRITE, organisation=organisation, project=project)
    with hub.uploads.claim(owner, upload) as directory:
        return hub.registrar.register(
            scope,
            directory,
            name=body.name,
            project=project,
            visibility=body.visibility,
            lineage=body.lineage(),
        )


def only_project(hub: Parts, who: Principal, organisation: str | None) -> str:
    """The project a model goes to when none is named: never a guess between several."""
    projects = hub.tenancy.projects.list(
        hub.tenancy.scope(who, Right.MODELS_WRITE, organisation=organisation)
    )
    if len(projects) != 1:
        raise InvalidInput("there are several projects; name one", input="project")
    return projects[0].name
