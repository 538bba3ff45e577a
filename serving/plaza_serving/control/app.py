"""The admin API as one application: routes, guards, errors and limits put together.

RequestContext ─▶ routing ─▶ guard ─▶ handler ─▶ announce ─▶ answer
 id, body limit              right    scope      replicas hear of the change
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from fastapi import Depends, FastAPI, Request
from starlette.routing import BaseRoute

from plaza_core.errors import Unavailable
from plaza_core.settings import Settings
from plaza_serving.control import problems
from plaza_serving.control.context import BodyLimit, RequestContext
from plaza_serving.control.guard import check_all_guarded
from plaza_serving.control.idempotency import Once
from plaza_serving.control.parts import Hub, Parts
from plaza_serving.control.routes import (
    alerts,
    budgets,
    cards,
    catalogue,
    certificates,
    health,
    idempotency,
    imports,
    indexes,
    internal,
    leases,
    ledger,
    lifecycle,
    limits,
    login,
    login_cli,
    models,
    people,
    prices,
    proposals,
    reports,
    rollouts,
    tenants,
    uploads,
)

logger = logging.getLogger(__name__)

Job = Callable[[], Coroutine[Any, Any, None]]
"""Runs beside the API from its start until it is cancelled."""

_TOLD = (
    tenants,
    people,
    budgets,
    limits,
    prices,
    uploads,
    imports,
    models,
    cards,
    certificates,
    lifecycle,
    catalogue,
    rollouts,
    proposals,
    reports,
    ledger,
    alerts,
)
"""Replicas hear of what changes through these."""

_JSON_LIMIT = 1 << 20
_USAGE_LIMIT = 64 << 20
_DOCUMENTS_LIMIT = 4 << 20


def announce(request: Request, hub: Hub) -> Iterator[None]:
    """After a change, before its answer leaves: read the table anew and wake the replicas."""
    yield
    if request.method in {"GET", "HEAD"}:
        return
    try:
        hub.feed.refresh()
    except Unavailable:
        # The change stands; the watch over the table will find it.
        logger.warning("the table could not be read after a change")


def build_app(parts: Parts, jobs: Sequence[Job] = ()) -> FastAPI:
    """The application over `parts`. Raises RuntimeError when a route has no guard."""
    app = routed(jobs)
    app.state.parts = parts
    app.add_middleware(Once, tenancy=parts.tenancy, random=parts.random)
    app.add_middleware(
        RequestContext,
        clock=parts.clock,
        random=parts.random,
        body_limit=body_limit(parts.settings),
    )
    return app


def routed(jobs: Sequence[Job] = ()) -> FastAPI:
    """Routes and errors, without anything to work with: what the OpenAPI document is made from."""
    app = _bare(
        title="Plaza admin API",
        version="1",
        description="Organisations, keys, models, usage. Send `Authorization: Bearer KEY`. A write "
        "with an `Idempotency-Key` (1 to 255 characters) is done once: repeated within 24 hours it "
        "gets the first answer again, with `idempotency-replayed: true`.",
        lifespan=_running(jobs),
        redirect_slashes=False,
        routes=list(_routes()),
    )
    problems.install(app)
    return app


@cache
def _routes() -> tuple[BaseRoute, ...]:
    """All routes, each with its guard. They know nothing of any application, and to analyse their
    parameters takes a third of a second: applications of one process share them."""
    app = _bare(openapi_url=None)
    for public in (health, login, login_cli):
        app.include_router(public.router)
    told = [Depends(announce, scope="function")]
    for module in _TOLD:
        app.include_router(module.router, dependencies=told)
    untold = (internal, leases, idempotency, indexes)
    for router in (certificates.internal, *(module.router for module in untold)):
        app.include_router(router)
    check_all_guarded(app)
    return tuple(app.routes)


def _bare(**more: Any) -> FastAPI:
    return FastAPI(
        docs_url=None,  # the page would load scripts from elsewhere
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        responses={"4XX": {"model": problems.Problem}, "5XX": {"model": problems.Problem}},
        **more,
    )


def body_limit(settings: Settings) -> BodyLimit:
    """How large a body may be, by path. A wrong guess only means another limit."""
    bundle = settings.max_bundle_mb << 20

    def limit(path: str) -> int:
        if path.startswith("/api/v1/uploads/"):
            return bundle
        if path.startswith("/api/v1/indexes/"):
            return _DOCUMENTS_LIMIT
        return _USAGE_LIMIT if path.startswith("/internal/v1/usage") else _JSON_LIMIT

    return limit


def _running(jobs: Sequence[Job]) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(job()) for job in jobs]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    return lifespan
