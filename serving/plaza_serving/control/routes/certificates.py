"""Certificates of versions: made on demand, and shown with the pools that they open."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool

from plaza_core.certificate import NodeCertificate
from plaza_core.certificate_ports import Certified
from plaza_core.names import full
from plaza_core.principal import Principal, Right, TenantScope
from plaza_serving.control.guard import NODE_ONLY
from plaza_serving.control.parts import Hub, Parts
from plaza_serving.control.routes.models import Reader
from plaza_serving.control.routes.uploads import ActingFor, Engineer
from plaza_serving.control.shapes.base import LARGEST_VERSION, Items, VersionNumber
from plaza_serving.control.shapes.certificates import CertificateAnswer, CertifyOn

router = APIRouter(prefix="/api/v1/models/{name}", tags=["models"])
internal = APIRouter(prefix="/internal/v1", dependencies=[NODE_ONLY], include_in_schema=False)

OfVersion = Annotated[
    int | None, Query(ge=1, le=LARGEST_VERSION, description="Of this version only.")
]


@router.post("/versions/{version}/certify", summary="Certify a version on a provider")
async def certify(
    *,
    hub: Hub,
    who: Engineer,
    name: str,
    version: VersionNumber,
    body: CertifyOn,
    organisation: ActingFor = None,
) -> CertificateAnswer:
    """Examined, placed, compared with `cpu` and timed in a sandbox, in the environment of the pool
    that has the provider. A certificate that is not passed is an answer too: `reason` says why.

    The pool opens the version once it has one that is passed.
    """
    scope = await run_in_threadpool(_scope, hub, who, organisation)
    async with hub.examining:
        made = await run_in_threadpool(_certify, hub, scope, name, version, body.provider)
    return _answers(hub, scope, name, [made])[0]


@router.get("/certificates", summary="List the certificates of a model")
def list_certificates(
    hub: Hub,
    who: Reader,
    name: str,
    version: OfVersion = None,
    organisation: ActingFor = None,
) -> Items[CertificateAnswer]:
    """Newest first, one of each version, provider and environment."""
    scope = hub.tenancy.scope(who, Right.MODELS_READ, organisation=organisation)
    found = hub.tenancy.certificates.list(scope, name, version)
    return Items(items=_answers(hub, scope, name, found))


@internal.post("/certificates")
def tell(hub: Hub, body: NodeCertificate) -> dict[str, bool]:
    """What a replica found in its own environment, before it opened the version."""
    hub.tenancy.certificates.add_of_node(body.model, body.version, body.certificate)
    hub.feed.refresh()
    return {"kept": True}


def _scope(hub: Parts, who: Principal, organisation: str | None) -> TenantScope:
    return hub.tenancy.scope(who, Right.MODELS_WRITE, organisation=organisation)


def _certify(hub: Parts, scope: TenantScope, name: str, version: int, provider: str) -> Certified:
    entry = hub.tenancy.records.details(scope, name, str(version)).entry
    made = hub.registrar.certify(entry, provider)
    hub.tenancy.certificates.add(scope, name, version, made)
    return Certified(version, made, scope.actor)


def _answers(
    hub: Parts, scope: TenantScope, name: str, found: Iterable[Certified]
) -> list[CertificateAnswer]:
    model = full(hub.tenancy.records.get(scope, name))
    beats = [replica.heartbeat for replica in hub.fleet.replicas() if replica.live]
    live = {(b.pool, b.environment.fingerprint) for b in beats if b.environment is not None}
    pools = hub.settings.all_pools
    return [CertificateAnswer.of(one, model, pools, live) for one in found]
