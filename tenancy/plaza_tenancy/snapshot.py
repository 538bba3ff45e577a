"""The hub table as one consistent snapshot of the database."""

from __future__ import annotations

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from plaza_core.principal import Role
from plaza_core.table import HubTable, KeyEntry, ModelEntry, RateLimit
from plaza_tenancy.access import is_operator
from plaza_tenancy.catalogue import entries
from plaza_tenancy.prices import read_prices
from plaza_tenancy.rows import rate_of
from plaza_tenancy.schema import HubRow, KeyRow, OrganisationRow, ProjectRow
from plaza_tenancy.schema_budgets import BudgetRow
from plaza_tenancy.shares import read_shares
from plaza_tenancy.states import CALLABLE


def version_at(session: Session, now: int) -> str:
    """Differs whenever the table's content does. A key that expires changes the content without
    any change being made, so expired keys are counted."""
    expired = select(func.count()).where(KeyRow.expires <= now).scalar_subquery()
    epoch, revision, gone = session.execute(select(HubRow.epoch, HubRow.revision, expired)).one()
    return f"{epoch}-{revision}-{gone}"


def snapshot(session: Session, now: int) -> HubTable:
    """Models and usable keys of every organisation that is not suspended."""
    return HubTable(
        version=version_at(session, now),
        models=_models(session),
        keys=_keys(session, now),
        prices=read_prices(session),
        shares=read_shares(session),
    )


def _models(session: Session) -> list[ModelEntry]:
    """With the versions that may be called, and no others."""
    return [
        model.model_copy(update={"versions": [v for v in model.versions if v.state in CALLABLE]})
        for model in entries(session, [OrganisationRow.suspended.is_(False)])
    ]


def _keys(session: Session, now: int) -> list[KeyEntry]:
    query = (
        select(KeyRow, OrganisationRow, ProjectRow)
        .join(OrganisationRow, OrganisationRow.id == KeyRow.organisation)
        .outerjoin(
            ProjectRow,
            (ProjectRow.organisation == KeyRow.organisation) & (ProjectRow.id == KeyRow.project),
        )
        .where(
            OrganisationRow.suspended.is_(False),
            KeyRow.revoked.is_(None),
            or_(KeyRow.expires.is_(None), KeyRow.expires > now),
        )
        .order_by(KeyRow.id)
    )
    found: list[tuple[KeyRow, OrganisationRow, ProjectRow | None]]
    found = [(key, organisation, project) for key, organisation, project in session.execute(query)]
    limited = {(row.organisation, row.node) for row in session.execute(_LIMITED)}
    return [
        KeyEntry(
            id=key.id,
            mac=key.mac,
            organisation=key.organisation,
            organisation_name=organisation.name,
            project=key.project,
            project_name=project.name if project else None,
            role=Role(key.role),
            operator=is_operator(key, organisation),
            expires_unix_us=key.expires,
            limits=_limits(key, project, organisation),
            metered=any(
                (key.organisation, node) in limited
                for node in (_node(key), key.project, key.organisation)
            ),
            slots=_slots(key, project, organisation),
            priority=key.priority,
            line=key.line,
        )
        for key, organisation, project in found
    ]


_LIMITED = select(BudgetRow.organisation, BudgetRow.node)


def _slots(*nodes: KeyRow | ProjectRow | OrganisationRow | None) -> list[tuple[str, int]]:
    return [(_node(n), n.max_concurrent) for n in nodes if n and n.max_concurrent is not None]


def _limits(*nodes: KeyRow | ProjectRow | OrganisationRow | None) -> list[tuple[str, RateLimit]]:
    """(node id, limit) from the key upwards, for those nodes that have one."""
    return [(_node(node), rate) for node in nodes if node and (rate := rate_of(node))]


def _node(row: KeyRow | ProjectRow | OrganisationRow) -> str:
    """What is counted as one: keys that follow one another by rotation are."""
    return (isinstance(row, KeyRow) and row.line) or row.id
