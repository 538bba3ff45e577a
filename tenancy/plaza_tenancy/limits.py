"""Limits of nodes that are no budgets: rates, what they may hold, and all of them in one view."""

from __future__ import annotations

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from plaza_core.budget import LARGEST
from plaza_core.errors import InvalidInput
from plaza_core.held import Held
from plaza_core.ids import OrganisationId, ProjectId
from plaza_core.principal import TenantScope
from plaza_core.table import RateLimit
from plaza_tenancy.checks import valid_rate
from plaza_tenancy.holdings import OF_PROJECTS, count, holdings
from plaza_tenancy.nodes import Kind, Node, find_to_limit
from plaza_tenancy.rows import one_organisation, rate_facts, rate_of
from plaza_tenancy.schema import KeyRow, OrganisationRow, ProjectRow
from plaza_tenancy.schema_budgets import HoldingLimitRow
from plaza_tenancy.store import Store
from plaza_tenancy.views import Holding, NodeLimits


class Limits:
    """Who may set what is as with budgets: see `nodes.find_to_limit`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self, scope: TenantScope) -> list[NodeLimits]:
        """The organisation, its projects, its usable keys; a scope of one project sees its own."""
        organisation = one_organisation(scope)
        now = self._store.clock.unix_us()
        with self._store.read(scope) as session:
            found = [] if scope.project else [_organisation(session, organisation, now)]
            projects = select(ProjectRow).filter_by(organisation=organisation)
            if scope.project is not None:
                projects = projects.filter_by(id=scope.project)
            rows = session.scalars(projects.order_by(ProjectRow.name)).all()
            found += [_project(session, row, now) for row in rows]
            names = {row.id: row.name for row in rows}
            return found + [_key(row, names) for row in _keys(session, scope, organisation, now)]

    def set_rate(self, scope: TenantScope, node: Node, rate: RateLimit | None) -> RateLimit | None:
        """Most requests per second of a node; None: no limit of its own.

        Raises NotFound, Forbidden, InvalidInput (also for an organisation without a rate).
        """
        if rate is not None:
            valid_rate(rate)
        elif node.kind is Kind.ORGANISATION:
            raise InvalidInput("an organisation always has a rate; set a high one", input="rate")
        with self._store.change(scope, "limit.set_rate", node.name) as change:
            found = find_to_limit(change.session, scope, node)
            change.organisation, change.project = found.organisation, found.project
            change.target = found.id
            change.before, change.after = rate_facts(rate_of(found.row)), rate_facts(rate)
            if change.before == change.after:
                change.nothing_to_do()
            found.row.rate_per_second = None if rate is None else rate.per_second
            found.row.rate_burst = None if rate is None else rate.burst
        return rate

    def set_holding(self, scope: TenantScope, node: Node, what: Held, limit: int | None) -> Holding:
        """How much of one kind a node may hold; None: as many as it likes.

        Below what is held it only stops more. Raises NotFound, Forbidden, InvalidInput.
        """
        if node.kind is Kind.KEY or (node.kind is Kind.PROJECT and what not in OF_PROJECTS):
            raise InvalidInput(f"a {node.kind} holds no {what}", input="what")
        if limit is not None and not 0 <= limit <= LARGEST:
            raise InvalidInput(f"a limit is a number from 0 to {LARGEST:,}", input="limit")
        with self._store.change(scope, "limit.set_holding", node.name) as change:
            session = change.session
            found = find_to_limit(session, scope, node)
            change.organisation, change.project = found.organisation, found.project
            change.target = found.id
            row = session.get(HoldingLimitRow, (found.organisation, found.id, what.value))
            change.before = {what.value: None if row is None else row.limit}
            change.after = {what.value: limit}
            if change.before == change.after:
                change.nothing_to_do()
            elif limit is None:
                session.delete(row)
            elif row is None:
                session.add(
                    HoldingLimitRow(
                        organisation=found.organisation, node=found.id, what=what, limit=limit
                    )
                )
            else:
                row.limit = limit
            used = count(session, what, found.organisation, change.now, found.project)
        return Holding(what, used, limit)


def _organisation(session: Session, organisation: OrganisationId, now: int) -> NodeLimits:
    row = session.get_one(OrganisationRow, organisation)
    held = holdings(session, organisation, now)
    return NodeLimits(
        row.id, Kind.ORGANISATION, row.name, None, rate_of(row), row.max_concurrent, None, held
    )


def _project(session: Session, row: ProjectRow, now: int) -> NodeLimits:
    held = holdings(session, row.organisation, now, row.id)
    return NodeLimits(
        row.id, Kind.PROJECT, row.name, row.name, rate_of(row), row.max_concurrent, None, held
    )


def _key(row: KeyRow, names: dict[ProjectId, str]) -> NodeLimits:
    project = None if row.project is None else names.get(row.project)
    return NodeLimits(
        row.id, Kind.KEY, row.label, project, rate_of(row), row.max_concurrent, row.priority, ()
    )


def _keys(
    session: Session, scope: TenantScope, organisation: OrganisationId, now: int
) -> list[KeyRow]:
    query = select(KeyRow).where(
        KeyRow.organisation == organisation,
        KeyRow.revoked.is_(None),
        or_(KeyRow.expires.is_(None), KeyRow.expires > now),
    )
    if scope.project is not None:
        query = query.where(KeyRow.project == scope.project)
    return list(session.scalars(query.order_by(KeyRow.project, KeyRow.created, KeyRow.id)))
