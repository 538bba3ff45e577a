"""Organisations, projects and keys: the tenancy tree.

Organisations are made, suspended and limited by operators alone; what is below them is its admins'.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body

from plaza_core.ids import KeyId
from plaza_core.principal import Principal, Right
from plaza_serving.control.guard import Anyone, needs
from plaza_serving.control.parts import Hub
from plaza_serving.control.shapes.base import Items
from plaza_serving.control.shapes.tenants import (
    NewKeyAnswer,
    NewKeyRequest,
    NewOrganisation,
    NewProject,
    OrganisationChange,
    WhoAmI,
)
from plaza_tenancy.views import KeyInfo, Organisation, Project

router = APIRouter(prefix="/api/v1", tags=["tenants"])

Reader = Annotated[Principal, needs(Right.TENANTS_READ)]
Writer = Annotated[Principal, needs(Right.TENANTS_WRITE)]
Operator = Annotated[Principal, needs(Right.TENANTS_WRITE, operator=True)]
KeyReader = Annotated[Principal, needs(Right.KEYS_READ)]
KeyWriter = Annotated[Principal, needs(Right.KEYS_WRITE)]


@router.get("/whoami", summary="Whose key is this, and what may it do?")
def whoami(who: Anyone) -> WhoAmI:
    return WhoAmI.of(who)


@router.get("/organisations", summary="List organisations")
def list_organisations(hub: Hub, who: Reader) -> Items[Organisation]:
    """Operators see all of them, everybody else their own."""
    scope = (
        hub.tenancy.platform(who, Right.TENANTS_READ)
        if who.operator
        else hub.tenancy.scope(who, Right.TENANTS_READ)
    )
    return Items(items=hub.tenancy.organisations.list(scope))


@router.post("/organisations", status_code=201, summary="Create an organisation")
def create_organisation(hub: Hub, who: Operator, body: NewOrganisation) -> Organisation:
    """It gets a first project, `main`, and the hub's default rate."""
    scope = hub.tenancy.platform(who, Right.TENANTS_WRITE)
    return hub.tenancy.organisations.create(scope, body.name, title=body.title)


@router.get("/organisations/{org}", summary="Show an organisation")
def show_organisation(hub: Hub, who: Reader, org: str) -> Organisation:
    scope = hub.tenancy.scope(who, Right.TENANTS_READ, organisation=org)
    return hub.tenancy.organisations.get(scope, org)


@router.patch("/organisations/{org}", summary="Suspend, resume or limit an organisation")
def change_organisation(
    hub: Hub, who: Writer, org: str, body: Annotated[OrganisationChange, Body()]
) -> Organisation:
    """For operators. Suspended, its keys stop working and its models disappear until resumed."""
    # Asked first, so that a foreign organisation does not exist rather than being forbidden.
    scope = hub.tenancy.scope(who, Right.TENANTS_WRITE, organisation=org)
    platform = hub.tenancy.platform(who, Right.TENANTS_WRITE)
    organisations = hub.tenancy.organisations
    if body.suspended is not None:
        (organisations.suspend if body.suspended else organisations.resume)(platform, org)
    if body.rate is not None:
        organisations.set_rate(platform, org, body.rate.limit())
    return organisations.get(scope, org)


@router.get("/organisations/{org}/projects", summary="List projects")
def list_projects(hub: Hub, who: Reader, org: str) -> Items[Project]:
    scope = hub.tenancy.scope(who, Right.TENANTS_READ, organisation=org)
    return Items(items=hub.tenancy.projects.list(scope))


@router.post("/organisations/{org}/projects", status_code=201, summary="Create a project")
def create_project(hub: Hub, who: Writer, org: str, body: NewProject) -> Project:
    scope = hub.tenancy.scope(who, Right.TENANTS_WRITE, organisation=org)
    return hub.tenancy.projects.create(scope, body.name)


@router.get("/organisations/{org}/keys", summary="List keys")
def list_keys(hub: Hub, who: KeyReader, org: str) -> Items[KeyInfo]:
    """Newest first, revoked and expired ones included. Secrets are kept nowhere."""
    scope = hub.tenancy.scope(who, Right.KEYS_READ, organisation=org)
    return Items(items=hub.tenancy.keys.list(scope))


@router.post("/organisations/{org}/keys", status_code=201, summary="Create a key")
def create_key(hub: Hub, who: KeyWriter, org: str, body: NewKeyRequest) -> NewKeyAnswer:
    """Its text is in this answer and nowhere else. A key never has more rights than its maker."""
    scope = hub.tenancy.scope(who, Right.KEYS_WRITE, organisation=org, project=body.project)
    expires = (
        None if body.expires_in_s is None else hub.clock.unix_us() + body.expires_in_s * 1_000_000
    )
    made = hub.tenancy.keys.create(
        scope,
        role=body.role,
        label=body.label,
        rate=body.rate.limit() if body.rate else None,
        expires_unix_us=expires,
    )
    return NewKeyAnswer(id=made.id, key=made.text, info=hub.tenancy.keys.get(scope, made.id))


@router.delete("/organisations/{org}/keys/{key}", summary="Revoke a key")
def revoke_key(hub: Hub, who: KeyWriter, org: str, key: str) -> KeyInfo:
    """For good, on every replica at its next poll. Revoking twice changes nothing."""
    scope = hub.tenancy.scope(who, Right.KEYS_WRITE, organisation=org)
    return hub.tenancy.keys.revoke(scope, KeyId(key))
