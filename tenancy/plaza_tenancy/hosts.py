"""Where webhooks may go: the list that operators keep. Empty, nothing goes anywhere."""

from __future__ import annotations

import builtins

from sqlalchemy import select
from sqlalchemy.orm import Session

from plaza_core.errors import Forbidden, NotFound
from plaza_core.ids import OrganisationId
from plaza_core.principal import TenantScope
from plaza_core.webhooks import HostPattern
from plaza_tenancy.schema import OrganisationRow
from plaza_tenancy.schema_webhooks import WebhookHostRow
from plaza_tenancy.store import Store


class Hosts:
    """Verbs need a platform scope; the rows, and the audit of them, are the operators' own."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def allow(self, scope: TenantScope, pattern: str, *, private: bool = False) -> HostPattern:
        """Allow a pattern, or change whether it may lead inside. Raises InvalidInput."""
        _demand_platform(scope)
        wanted = HostPattern.parse(pattern, private=private)
        with self._store.change(scope, "host.allow", wanted.text) as change:
            change.organisation = _operators(change.session)
            row = change.session.get(WebhookHostRow, (change.organisation, wanted.text))
            change.before = None if row is None else {"private": row.private}
            change.after = {"private": private}
            if row is None:
                row = WebhookHostRow(
                    organisation=change.organisation, pattern=wanted.text, created=change.now
                )
                change.session.add(row)
            elif row.private == private:
                change.nothing_to_do()
            row.private = private
        return wanted

    def disallow(self, scope: TenantScope, pattern: str) -> None:
        """From the next attempt on, also for messages that wait. Raises NotFound."""
        _demand_platform(scope)
        with self._store.change(scope, "host.disallow", pattern[:200]) as change:
            change.organisation = _operators(change.session)
            row = change.session.get(WebhookHostRow, (change.organisation, pattern.lower()))
            if row is None:
                raise NotFound("this pattern is not on the list", input="pattern")
            change.before, change.after = {"private": row.private}, {"allowed": False}
            change.session.delete(row)

    def list(self, scope: TenantScope) -> builtins.list[HostPattern]:
        _demand_platform(scope)
        return self.patterns()

    def patterns(self) -> builtins.list[HostPattern]:
        """The list, for the hub's own checks; it is no tenant's."""
        query = select(WebhookHostRow).order_by(WebhookHostRow.pattern)
        with self._store.read_everything() as session:
            return [HostPattern(row.pattern, row.private) for row in session.scalars(query)]


def _operators(session: Session) -> OrganisationId:
    return session.scalars(select(OrganisationRow.id).filter_by(operator=True)).one()


def _demand_platform(scope: TenantScope) -> None:
    if scope.organisation is not None:
        raise Forbidden("only operators of the hub say where webhooks may go")
