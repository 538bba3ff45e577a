"""API keys: made with at most their maker's rights, shown once, revoked at once."""

from __future__ import annotations

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from plaza_core import keys
from plaza_core.errors import Forbidden, InvalidInput, NotFound
from plaza_core.ids import KeyId, OrganisationId, ProjectId
from plaza_core.keys import NewKey
from plaza_core.principal import RIGHTS, Principal, Right, Role, TenantScope
from plaza_core.table import RateLimit
from plaza_tenancy.access import stored_actor
from plaza_tenancy.checks import valid_rate, valid_text
from plaza_tenancy.rows import key_view, one_organisation, owned, rate_facts, rate_of, set_rate
from plaza_tenancy.schema import KeyRow, OrganisationRow, ProjectRow
from plaza_tenancy.store import Change, Store
from plaza_tenancy.views import KeyInfo


def insert_key(
    change: Change,
    new: NewKey,
    *,
    organisation: OrganisationId,
    project: ProjectId | None,
    role: Role,
    label: str,
    rate: RateLimit | None = None,
    expires: int | None = None,
) -> None:
    """The row of a new key, inside a change."""
    row = KeyRow(
        organisation=organisation,
        id=new.id,
        project=project,
        mac=new.mac,
        role=role,
        label=label,
        created=change.now,
        expires=expires,
    )
    set_rate(row, rate)
    change.session.add(row)
    change.session.flush()
    change.organisation, change.project, change.target = organisation, project, new.id
    change.after = {"role": role, "label": label, "expires": expires, **rate_facts(rate)}


def check_maker(maker: Principal, scope: TenantScope, role: Role) -> None:
    """Raise Forbidden unless `maker` holds all that a key of `role` in `scope` would."""
    maker.require(Right.KEYS_WRITE)
    if not RIGHTS[role] <= RIGHTS[maker.role]:
        raise Forbidden(f"a key with role '{maker.role}' cannot make one with role '{role}'")
    if maker.organisation != scope.organisation and not maker.operator:
        raise Forbidden("a key makes keys of its own organisation only")
    if maker.project is not None and maker.project != scope.project:
        raise Forbidden("a key of one project makes keys of that project only")


class Keys:
    def __init__(self, store: Store, pepper: bytes) -> None:
        self._store = store
        self._pepper = pepper

    def create(
        self,
        scope: TenantScope,
        *,
        role: Role,
        label: str = "",
        rate: RateLimit | None = None,
        expires_unix_us: int | None = None,
    ) -> NewKey:
        """A new key of the scope's project, or of the whole organisation when it has none.

        The maker is the scope's actor, judged by its stored row: its role must include every right
        of `role`, and a maker bound to a project makes keys of that project only. The text in the
        answer is kept nowhere. Raises Forbidden, InvalidInput (an expiry that has passed).
        """
        organisation = one_organisation(scope)
        valid_text(label, input="label")
        if rate is not None:
            valid_rate(rate)
        new = keys.issue(self._pepper, self._store.random)
        with self._store.change(scope, "key.create", new.id) as change:
            if expires_unix_us is not None and expires_unix_us <= change.now:
                raise InvalidInput("the expiry is in the past", input="expires_unix_us")
            check_maker(stored_actor(change.session, scope, change.now), scope, role)
            insert_key(
                change,
                new,
                organisation=organisation,
                project=scope.project,
                role=role,
                label=label,
                rate=rate,
                expires=expires_unix_us,
            )
        return new

    def list(self, scope: TenantScope) -> list[KeyInfo]:
        """Newest first, revoked and expired ones included."""
        query = _in_scope(scope).order_by(KeyRow.created.desc(), KeyRow.id)
        with self._store.read(scope) as session:
            return [key_view(*found) for found in session.execute(query)]

    def get(self, scope: TenantScope, key: KeyId) -> KeyInfo:
        """Raises NotFound."""
        with self._store.read(scope) as session:
            return key_view(*_key(session, scope, key))

    def set_rate(self, scope: TenantScope, key: KeyId, rate: RateLimit | None) -> KeyInfo:
        """None: the key has no limit of its own."""
        if rate is not None:
            valid_rate(rate)
        with self._store.change(scope, "key.set_rate", key) as change:
            row, organisation_name, project_name = _key(change.session, scope, key)
            change.organisation, change.project = row.organisation, row.project
            change.before, change.after = rate_facts(rate_of(row)), rate_facts(rate)
            set_rate(row, rate)
            return key_view(row, organisation_name, project_name)

    def revoke(self, scope: TenantScope, key: KeyId) -> KeyInfo:
        """For good. Revoking twice changes nothing. Raises NotFound."""
        with self._store.change(scope, "key.revoke", key) as change:
            row, organisation_name, project_name = _key(change.session, scope, key)
            change.organisation, change.project = row.organisation, row.project
            if row.revoked is not None:
                change.nothing_to_do()
            else:
                row.revoked = change.now
                change.before, change.after = {"revoked": None}, {"revoked": change.now}
            return key_view(row, organisation_name, project_name)


def _in_scope(scope: TenantScope) -> Select[KeyRow, str, str | None]:
    return (
        select(KeyRow, OrganisationRow.name, ProjectRow.name)
        .join(OrganisationRow, OrganisationRow.id == KeyRow.organisation)
        .outerjoin(
            ProjectRow,
            (ProjectRow.organisation == KeyRow.organisation) & (ProjectRow.id == KeyRow.project),
        )
        .where(*owned(scope, KeyRow))
    )


def _key(session: Session, scope: TenantScope, key: KeyId) -> tuple[KeyRow, str, str | None]:
    query = _in_scope(scope).where(KeyRow.id == key)
    found = session.execute(query).one_or_none()
    if found is None:
        raise NotFound("there is no such key", input="key")
    return found
