"""Members: people with a role at an organisation or one of its projects.

    add (by e-mail) ─▶ invitation ─ first login with that e-mail, verified ─▶ (issuer, subject)

From then on the e-mail plays no part: whoever gets the address later is somebody else.
"""

from __future__ import annotations

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from plaza_core.errors import Conflict, NotFound
from plaza_core.held import Held
from plaza_core.ids import KeyId, new_id
from plaza_core.principal import Right, Role, TenantScope
from plaza_tenancy.access import MEMBER_PREFIX, scope_of_member, stored_actor
from plaza_tenancy.checks import valid_email
from plaza_tenancy.grants import check_grant
from plaza_tenancy.holdings import make_room
from plaza_tenancy.rows import member_view, one_organisation, owned
from plaza_tenancy.schema import MemberRow, OrganisationRow, ProjectRow
from plaza_tenancy.store import Change, Store
from plaza_tenancy.views import Member, Person


class Members:
    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, scope: TenantScope, email: str, *, role: Role) -> Member:
        """Invite somebody to the scope's project, or to the whole organisation.

        The scope's actor, judged by its stored row, must hold every right of `role`. Raises
        Forbidden, InvalidInput (no e-mail address), Conflict (is a member there already).
        """
        organisation = one_organisation(scope)
        email = valid_email(email)
        member = KeyId(new_id(MEMBER_PREFIX.removesuffix("_"), self._store.random))
        with self._store.change(scope, "member.add", member) as change:
            _check(change, scope, None, role)
            taken = select(MemberRow).where(
                MemberRow.organisation == organisation,
                MemberRow.project == scope.project,
                MemberRow.email == email,
                MemberRow.removed.is_(None),
            )
            if change.session.scalars(taken).first() is not None:
                raise Conflict("this person is a member there already", input="email")
            make_room(change, organisation, scope.project, {Held.MEMBERS: 1})
            change.session.add(
                MemberRow(
                    organisation=organisation,
                    id=member,
                    project=scope.project,
                    email=email,
                    role=role,
                    created=change.now,
                )
            )
            change.session.flush()
            change.after = {"email": email, "role": role}
            return member_view(*_member(change.session, scope, member))

    def list(self, scope: TenantScope) -> list[Member]:
        """Newest first, removed ones included."""
        query = _in_scope(scope).order_by(MemberRow.created.desc(), MemberRow.id)
        with self._store.read(scope) as session:
            return [member_view(*found) for found in session.execute(query)]

    def get(self, scope: TenantScope, member: KeyId) -> Member:
        """Raises NotFound."""
        with self._store.read(scope) as session:
            return member_view(*_member(session, scope, member))

    def set_role(self, scope: TenantScope, member: KeyId, role: Role) -> Member:
        """Raises NotFound, Forbidden (the old or the new role is more than one's own), Conflict
        (removed)."""
        with self._store.change(scope, "member.set_role", member) as change:
            found = _member(change.session, scope, member)
            row = found[0]
            change.organisation, change.project = row.organisation, row.project
            if row.removed is not None:
                raise Conflict("this member was removed; add them again", input="member")
            for each in (Role(row.role), role):
                _check(change, scope, row, each)
            if row.role == role:
                change.nothing_to_do()
            change.before, change.after = {"role": row.role}, {"role": role}
            row.role = role
            return member_view(*found)

    def remove(self, scope: TenantScope, member: KeyId) -> Member:
        """At once, in every browser. Removing twice changes nothing. Raises NotFound."""
        with self._store.change(scope, "member.remove", member) as change:
            found = _member(change.session, scope, member)
            row = found[0]
            change.organisation, change.project = row.organisation, row.project
            if row.removed is not None:
                change.nothing_to_do()
            else:
                row.removed = change.now
                change.before, change.after = {"removed": None}, {"removed": change.now}
            return member_view(*found)

    def bind(self, person: Person) -> int:
        """Give the open invitations of a verified e-mail to the person; returns how many."""
        query = select(MemberRow).where(
            MemberRow.email == person.email.lower(),
            MemberRow.subject.is_(None),
            MemberRow.removed.is_(None),
        )
        with self._store.read_everything() as session:
            invitations = list(session.scalars(query))
        return sum(self._bind(invitation, person) for invitation in invitations)

    def _bind(self, invitation: MemberRow, person: Person) -> bool:
        scope = scope_of_member(invitation)
        with self._store.change(scope, "member.bind", invitation.id) as change:
            row, *_ = _member(change.session, scope, invitation.id)
            if row.subject is not None or row.removed is not None:
                change.nothing_to_do()
                return False
            row.issuer, row.subject, row.bound = person.issuer, person.subject, change.now
            change.before = {"subject": None}
            change.after = {"issuer": person.issuer, "subject": person.subject}
            return True


def _check(change: Change, scope: TenantScope, row: MemberRow | None, role: Role) -> None:
    check_grant(
        stored_actor(change.session, scope, change.now),
        Right.MEMBERS_WRITE,
        organisation=scope.organisation if row is None else row.organisation,
        project=scope.project if row is None else row.project,
        role=role,
        what="member",
    )


def _in_scope(scope: TenantScope) -> Select[MemberRow, str, str | None]:
    return (
        select(MemberRow, OrganisationRow.name, ProjectRow.name)
        .join(OrganisationRow, OrganisationRow.id == MemberRow.organisation)
        .outerjoin(
            ProjectRow,
            (ProjectRow.organisation == MemberRow.organisation)
            & (ProjectRow.id == MemberRow.project),
        )
        .where(*owned(scope, MemberRow))
    )


def _member(
    session: Session, scope: TenantScope, member: KeyId
) -> tuple[MemberRow, str, str | None]:
    found = session.execute(_in_scope(scope).where(MemberRow.id == member)).one_or_none()
    if found is None:
        raise NotFound("there is no such member", input="member")
    return found
