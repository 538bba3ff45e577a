"""Imports: a model that was logged to the configured MLflow becomes a version."""

from __future__ import annotations

from contextlib import AbstractContextManager

from fastapi import APIRouter
from fastapi.concurrency import contextmanager_in_threadpool, run_in_threadpool

from plaza_core.errors import Unavailable
from plaza_core.names import OPERATING_ORGANISATION
from plaza_core.principal import Principal, Right
from plaza_registry.importing import Imported
from plaza_registry.register import Registered
from plaza_serving.control.parts import Hub, Parts
from plaza_serving.control.routes.uploads import ActingFor, Engineer, only_project, registered
from plaza_serving.control.shapes.tracking import Import, ImportedVersion

router = APIRouter(prefix="/api/v1/imports", tags=["models"])


@router.post("", summary="Make a model logged to MLflow a version")
async def import_model(
    hub: Hub, who: Engineer, body: Import, organisation: ActingFor = None
) -> ImportedVersion:
    """Takes the ONNX file and its weights of what `mlflow.onnx.log_model` logged, and nothing else;
    then as for an upload. The same again answers with the version that exists, `created` false.

    An organisation finds only what carries the tag `plaza.organisation` with its name, on the
    version, its model or its run; operators of the hub find everything.
    """
    fetching = await run_in_threadpool(_fetching, hub, who, organisation, body)
    async with contextmanager_in_threadpool(fetching) as found, hub.examining:
        outcome = await run_in_threadpool(_register, hub, who, organisation, body, found)
    done = await registered(hub, outcome)
    return ImportedVersion(**dict(done), lineage=outcome.version.lineage or found.lineage)


def _fetching(
    hub: Parts, who: Principal, organisation: str | None, body: Import
) -> AbstractContextManager[Imported]:
    # Before anything is asked of MLflow: may this be done at all?
    hub.tenancy.scope(who, Right.MODELS_WRITE, organisation=organisation, project=body.project)
    if hub.importer is None:
        raise Unavailable("this hub has no MLflow to import from")
    mine = organisation or who.organisation_name
    everything = who.operator or mine == OPERATING_ORGANISATION
    asker = None if everything else mine
    return hub.importer.fetched(body.source, organisation=asker, name=body.name)


def _register(
    hub: Parts, who: Principal, organisation: str | None, body: Import, found: Imported
) -> Registered:
    project = body.project or only_project(hub, who, organisation)
    scope = hub.tenancy.scope(who, Right.MODELS_WRITE, organisation=organisation, project=project)
    return hub.registrar.register(
        scope,
        found.directory,
        name=found.name,
        project=project,
        visibility=body.visibility,
        lineage=found.lineage,
    )
