"""API keys: made with at most their maker's rights, shown once, rotated, revoked at once."""

from __future__ import annotations

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session, aliased

from plaza_core import keys
from plaza_core.errors import Conflict, InvalidInput, NotFound
from plaza_core.held import Held
from plaza_core.ids import KeyId, OrganisationId, ProjectId
from plaza_core.keys import NewKey
from plaza_core.principal import Principal, Right, Role, TenantScope
from plaza_core.table import RateLimit
from plaza_tenancy.access import stored_actor
from plaza_tenancy.checks import valid_rate, valid_text
from plaza_tenancy.grants import check_grant
from plaza_tenancy.holdings import make_room
from plaza_tenancy.rows import key_view, one_organisation, owned, rate_facts, rate_of, set_rate
from plaza_tenancy.schema import KeyRow, OrganisationRow, ProjectRow, SuccessionRow
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
    check_grant(
        maker,
        Right.KEYS_WRITE,
        organisation=scope.organisation,
        project=scope.project,
        role=role,
        what="key",
    )


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
            make_room(change, organisation, scope.project, {Held.KEYS: 1})
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
            found = _key(change.session, scope, key)
            row = found[0]
            change.organisation, change.project = row.organisation, row.project
            change.before, change.after = rate_facts(rate_of(row)), rate_facts(rate)
            for one in _line(change.session, row):
                set_rate(one, rate)
            return key_view(*found)

    def revoke(self, scope: TenantScope, key: KeyId) -> KeyInfo:
        """For good. Revoking twice changes nothing. Raises NotFound."""
        with self._store.change(scope, "key.revoke", key) as change:
            found = _key(change.session, scope, key)
            row = found[0]
            change.organisation, change.project = row.organisation, row.project
            if row.revoked is not None:
                change.nothing_to_do()
            else:
                row.revoked = change.now
                change.before, change.after = {"revoked": None}, {"revoked": change.now}
            return key_view(*found)

    def set_expiry(self, scope: TenantScope, key: KeyId, expires_unix_us: int | None) -> KeyInfo:
        """When the key ends by itself; None: never.

        Raises InvalidInput for a moment that has passed, Conflict for a key that has ended: what
        was refused once is never let in again.
        """
        with self._store.change(scope, "key.set_expiry", key) as change:
            found = _key(change.session, scope, key)
            row = found[0]
            change.organisation, change.project = row.organisation, row.project
            _demand_usable(row, change.now)
            if expires_unix_us is not None and expires_unix_us <= change.now:
                raise InvalidInput("the expiry is in the past", input="expires_unix_us")
            change.before, change.after = {"expires": row.expires}, {"expires": expires_unix_us}
            row.expires = expires_unix_us
            return key_view(*found)

    def rotate(self, scope: TenantScope, key: KeyId, *, overlap_us: int) -> NewKey:
        """A new key in the place of `key`, with everything it has but its identity and secret.

        Budget, rate and slots of the key are one for both: while they overlap, they share them.

        The old one goes on for `overlap_us` and then expires (or before, when it would have). The
        new one lives as long as the old one was made for, counted from now. Raises NotFound,
        Forbidden as `create`, Conflict for a key that has ended or was rotated before.
        """
        new = keys.issue(self._pepper, self._store.random)
        with self._store.change(scope, "key.rotate", key) as change:
            row, _, _, _, replaced_by = _key(change.session, scope, key)
            change.organisation, change.project = row.organisation, row.project
            _demand_usable(row, change.now)
            if replaced_by is not None:
                raise Conflict("this key was rotated; rotate the one that replaces it", input="key")
            check_grant(
                stored_actor(change.session, scope, change.now),
                Right.KEYS_WRITE,
                organisation=row.organisation,
                project=row.project,
                role=Role(row.role),
                what="key",
            )
            change.before = {"expires": row.expires}
            _insert_successor(change, row, new)
            ends = change.now + overlap_us
            row.expires = ends if row.expires is None else min(row.expires, ends)
            change.after = {"expires": row.expires, "replaced_by": new.id}
        return new


def _insert_successor(change: Change, old: KeyRow, new: NewKey) -> None:
    """Copy whatever columns a key has, so that a new kind of limit is never left behind."""
    own = {"id": new.id, "mac": new.mac, "created": change.now, "revoked": None, "last_used": None}
    own["line"] = old.line or old.id
    lives = None if old.expires is None else change.now + old.expires - old.created
    columns = [column.key for column in KeyRow.__mapper__.column_attrs]
    copied = {name: getattr(old, name) for name in columns}
    change.session.add(KeyRow(**{**copied, **own, "expires": lives}))
    change.session.flush()
    change.session.add(SuccessionRow(organisation=old.organisation, id=new.id, replaces=old.id))
    change.session.flush()


def _line(session: Session, row: KeyRow) -> list[KeyRow]:
    """The key with those before and after it: their rate is one."""
    first = row.line or row.id
    query = select(KeyRow).where(
        KeyRow.organisation == row.organisation, or_(KeyRow.id == first, KeyRow.line == first)
    )
    return list(session.scalars(query))


def _demand_usable(row: KeyRow, now: int) -> None:
    if row.revoked is not None or (row.expires is not None and row.expires <= now):
        raise Conflict("this key has ended; make a new one", input="key")


_Found = tuple[KeyRow, str, str | None, KeyId | None, KeyId | None]
"""The key, names of its organisation and project, the key it replaces, the one that replaces it."""


def _in_scope(
    scope: TenantScope,
) -> Select[KeyRow, str, str | None, KeyId | None, KeyId | None]:
    before, after = aliased(SuccessionRow), aliased(SuccessionRow)
    return (
        select(KeyRow, OrganisationRow.name, ProjectRow.name, before.replaces, after.id)
        .join(OrganisationRow, OrganisationRow.id == KeyRow.organisation)
        .outerjoin(
            ProjectRow,
            (ProjectRow.organisation == KeyRow.organisation) & (ProjectRow.id == KeyRow.project),
        )
        .outerjoin(before, (before.organisation == KeyRow.organisation) & (before.id == KeyRow.id))
        .outerjoin(
            after, (after.organisation == KeyRow.organisation) & (after.replaces == KeyRow.id)
        )
        .where(*owned(scope, KeyRow))
    )


def _key(session: Session, scope: TenantScope, key: KeyId) -> _Found:
    query = _in_scope(scope).where(KeyRow.id == key)
    found = session.execute(query).one_or_none()
    if found is None:
        raise NotFound("there is no such key", input="key")
    return found
