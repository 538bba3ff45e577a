"""People and the lives of keys: members of an organisation; keys that rotate and expire."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from plaza_core.ids import KeyId
from plaza_core.principal import Principal, Right
from plaza_serving.control.guard import needs
from plaza_serving.control.parts import Hub
from plaza_serving.control.routes.tenants import KeyWriter
from plaza_serving.control.shapes.base import Items
from plaza_serving.control.shapes.people import KeyExpiry, KeyRotation, MemberChange, NewMember
from plaza_serving.control.shapes.tenants import NewKeyAnswer
from plaza_tenancy.views import KeyInfo, Member

router = APIRouter(prefix="/api/v1/organisations/{org}", tags=["tenants"])

Reader = Annotated[Principal, needs(Right.MEMBERS_READ)]
Writer = Annotated[Principal, needs(Right.MEMBERS_WRITE)]


@router.post("/keys/{key}/rotate", status_code=201, summary="Replace a key")
def rotate_key(hub: Hub, who: KeyWriter, org: str, key: str, body: KeyRotation) -> NewKeyAnswer:
    """A new key with the same role, label, project and limits; its text is in this answer and
    nowhere else. The old one goes on until the overlap ends, so that programs can be moved over."""
    scope = hub.tenancy.scope(who, Right.KEYS_WRITE, organisation=org)
    made = hub.tenancy.keys.rotate(scope, KeyId(key), overlap_us=body.overlap_s * 1_000_000)
    return NewKeyAnswer(id=made.id, key=made.text, info=hub.tenancy.keys.get(scope, made.id))


@router.put("/keys/{key}/expiry", summary="Set when a key expires")
def set_key_expiry(hub: Hub, who: KeyWriter, org: str, key: str, body: KeyExpiry) -> KeyInfo:
    """For keys that still work: what has ended stays ended."""
    scope = hub.tenancy.scope(who, Right.KEYS_WRITE, organisation=org)
    lives = body.expires_in_s
    expires = None if lives is None else hub.clock.unix_us() + lives * 1_000_000
    return hub.tenancy.keys.set_expiry(scope, KeyId(key), expires)


@router.get("/members", summary="List members")
def list_members(hub: Hub, who: Reader, org: str) -> Items[Member]:
    """Newest first, removed ones included."""
    scope = hub.tenancy.scope(who, Right.MEMBERS_READ, organisation=org)
    return Items(items=hub.tenancy.members.list(scope))


@router.post("/members", status_code=201, summary="Invite a member")
def add_member(hub: Hub, who: Writer, org: str, body: NewMember) -> Member:
    """By e-mail: whoever logs in first with it, verified by the provider, becomes the member.
    Nobody invites to more rights than their own."""
    scope = hub.tenancy.scope(who, Right.MEMBERS_WRITE, organisation=org, project=body.project)
    return hub.tenancy.members.add(scope, body.email, role=body.role)


@router.patch("/members/{member}", summary="Change a member's role")
def change_member(hub: Hub, who: Writer, org: str, member: str, body: MemberChange) -> Member:
    scope = hub.tenancy.scope(who, Right.MEMBERS_WRITE, organisation=org)
    return hub.tenancy.members.set_role(scope, KeyId(member), body.role)


@router.delete("/members/{member}", summary="Remove a member")
def remove_member(hub: Hub, who: Writer, org: str, member: str) -> Member:
    """At once, in every browser. Removing twice changes nothing."""
    scope = hub.tenancy.scope(who, Right.MEMBERS_WRITE, organisation=org)
    return hub.tenancy.members.remove(scope, KeyId(member))
