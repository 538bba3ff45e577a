"""Who asks, and whose rows they may touch. The only place that mints a TenantScope."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, select, update
from sqlalchemy.orm import Session

from plaza_core import keys
from plaza_core.errors import Forbidden, NotFound, Unauthenticated
from plaza_core.idempotency import Place
from plaza_core.ids import KeyId, OrganisationId, ProjectId
from plaza_core.principal import Principal, Right, Role, TenantScope
from plaza_tenancy.schema import KeyRow, MemberRow, OrganisationRow, ProjectRow
from plaza_tenancy.store import Store

_TOUCH_US = 60_000_000
_SYSTEM = "system"
GATE = "gate"
NODE = "node"
"""Who ends a rollout that was found bad."""
MEMBER_PREFIX = "mbr_"
"""Of a membership's id; no key's id has a `_` in it."""


def system_scope() -> TenantScope:
    """For what the installation does by itself, before there is any key."""
    return TenantScope(organisation=None, project=None, actor=_SYSTEM)


def gate_scope() -> TenantScope:
    """For the gate, which stops bad rollouts of every organisation."""
    return TenantScope(organisation=None, project=None, actor=GATE)


def node_scope() -> TenantScope:
    """For replicas, which open models of every organisation."""
    return TenantScope(organisation=None, project=None, actor=NODE)


def scope_of_member(row: MemberRow) -> TenantScope:
    """A member's own node, for what a person's login changes about their membership."""
    return TenantScope(organisation=row.organisation, project=row.project, actor=row.id)


def scope_of_place(place: Place) -> TenantScope:
    """For what is kept of the requests of a key that was authenticated before."""
    return TenantScope(organisation=place.organisation, project=None, actor=place.key)


def is_operator(key: KeyRow | MemberRow, organisation: OrganisationRow) -> bool:
    """Only organisation-wide admins and auditors of the operating organisation see other tenants;
    its engineers and consumers are as bound as anybody's."""
    whole = key.project is None
    return organisation.operator and whole and key.role in {Role.ADMIN, Role.AUDITOR}


@dataclass(frozen=True, slots=True)
class _Stored:
    """A key as the database has it now."""

    key: KeyRow
    organisation: OrganisationRow
    project_name: str | None

    def why_unusable(self, now: int) -> str | None:
        if self.key.revoked is not None:
            return "this key was revoked"
        if self.key.expires is not None and self.key.expires <= now:
            return "this key has expired"
        if self.organisation.suspended:
            return "this organisation is suspended"
        return None

    def principal(self) -> Principal:
        return Principal(
            key=self.key.id,
            organisation=self.organisation.id,
            organisation_name=self.organisation.name,
            project=self.key.project,
            project_name=self.project_name,
            role=Role(self.key.role),
            operator=is_operator(self.key, self.organisation),
        )


def _find(session: Session, key: KeyId) -> _Stored | None:
    # The one look-up without a tenant: the key is what tells us the tenant.
    query = (
        select(KeyRow, OrganisationRow, ProjectRow.name)
        .join(OrganisationRow, OrganisationRow.id == KeyRow.organisation)
        .outerjoin(
            ProjectRow,
            (ProjectRow.organisation == KeyRow.organisation) & (ProjectRow.id == KeyRow.project),
        )
        .where(KeyRow.id == key)
    )
    found = session.execute(query).one_or_none()
    return None if found is None else _Stored(found[0], found[1], found[2])


def member_principal(
    row: MemberRow, organisation: OrganisationRow, project_name: str | None
) -> Principal:
    return Principal(
        key=row.id,
        organisation=row.organisation,
        organisation_name=organisation.name,
        project=row.project,
        project_name=project_name,
        role=Role(row.role),
        operator=is_operator(row, organisation),
    )


def standing_members(
    *conditions: ColumnElement[bool],
) -> Select[MemberRow, OrganisationRow, str | None]:
    """Memberships that count now, each with its organisation and its project's name."""
    return (
        select(MemberRow, OrganisationRow, ProjectRow.name)
        .join(OrganisationRow, OrganisationRow.id == MemberRow.organisation)
        .outerjoin(
            ProjectRow,
            (ProjectRow.organisation == MemberRow.organisation)
            & (ProjectRow.id == MemberRow.project),
        )
        .where(
            MemberRow.removed.is_(None),
            MemberRow.subject.is_not(None),
            OrganisationRow.suspended.is_(False),
            *conditions,
        )
    )


def stored_actor(session: Session, scope: TenantScope, now: int) -> Principal:
    """The scope's actor as the database has it in this transaction, not as it was when it came in.

    Raises Forbidden when it is no usable key or membership any more.
    """
    if scope.actor.startswith(MEMBER_PREFIX):
        found = session.execute(standing_members(MemberRow.id == scope.actor)).one_or_none()
        if found is None:
            raise Forbidden("the membership that asks does not count any more")
        return member_principal(*found)
    stored = _find(session, KeyId(scope.actor))
    if stored is None or stored.why_unusable(now):
        raise Forbidden("the key that asks is not usable any more")
    return stored.principal()


class Access:
    """Authentication and scopes. Thread-safe; every call reads the database."""

    def __init__(self, store: Store, pepper: bytes) -> None:
        self._store = store
        self._pepper = pepper
        self._nobody = keys.mac(pepper, "no key has this secret")

    def authenticate(self, text: str) -> Principal:
        """The principal of a key's text. Marks the key as used, at most once a minute.

        Raises Unauthenticated: malformed, unknown, wrong secret, revoked, expired, or its
        organisation is suspended.
        """
        identity, secret = keys.parse(text)
        now = self._store.clock.unix_us()
        with self._store.read_actor(identity) as session:
            stored = _find(session, identity)
        # An unknown key costs the same comparison as a wrong secret.
        mac = self._nobody if stored is None else stored.key.mac
        if not keys.matches(self._pepper, secret, mac) or stored is None:
            raise Unauthenticated("this is not a key of this hub", input="authorization")
        if reason := stored.why_unusable(now):
            raise Unauthenticated(reason, input="authorization")
        self._touch(stored.key, now)
        return stored.principal()

    def _touch(self, key: KeyRow, now: int) -> None:
        if key.last_used is not None and now - key.last_used < _TOUCH_US:
            return
        own = TenantScope(organisation=key.organisation, project=None, actor=key.id)
        with self._store.append(own) as session:
            session.execute(
                update(KeyRow)
                .where(KeyRow.organisation == key.organisation, KeyRow.id == key.id)
                .values(last_used=now)
            )

    def scope(
        self,
        principal: Principal,
        right: Right,
        *,
        organisation: str | None = None,
        project: str | None = None,
    ) -> TenantScope:
        """A scope on one organisation and, when named or when the key is bound to one, a project.

        Without names: the principal's own. Raises Forbidden when the role lacks `right`, NotFound
        for a name that does not exist or is not the principal's to see.
        """
        principal.require(right)
        whose = self._organisation(principal, organisation)
        which = self._project(principal, whose, project)
        return TenantScope(organisation=whose, project=which, actor=principal.key)

    def platform(self, principal: Principal, right: Right) -> TenantScope:
        """A scope on all organisations, for operators. Raises Forbidden for anybody else."""
        principal.require(right)
        if not principal.operator:
            raise Forbidden("only operators of the hub may do this")
        return TenantScope(organisation=None, project=None, actor=principal.key)

    def _organisation(self, principal: Principal, name: str | None) -> OrganisationId:
        if name is None or name == principal.organisation_name:
            return principal.organisation
        if principal.operator:
            with self._store.read_everything() as session:
                query = select(OrganisationRow.id).where(OrganisationRow.name == name)
                found = session.scalars(query).one_or_none()
            if found is not None:
                return found
        raise NotFound("there is no such organisation", input="organisation")

    def _project(
        self, principal: Principal, organisation: OrganisationId, name: str | None
    ) -> ProjectId | None:
        if principal.project is not None:
            if name is None or name == principal.project_name:
                return principal.project
        elif name is None:
            return None
        else:
            whole = TenantScope(organisation=organisation, project=None, actor=principal.key)
            with self._store.read(whole) as session:
                query = select(ProjectRow.id).where(
                    ProjectRow.organisation == organisation, ProjectRow.name == name
                )
                found = session.scalars(query).one_or_none()
            if found is not None:
                return found
        raise NotFound("there is no such project", input="project")
