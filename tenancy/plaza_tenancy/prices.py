"""The operator's price list: what work costs, by provider and model.

Prices are public to every key of the hub. They are charged by the replicas, which pull them with
the hub table: the most specific one wins; without any, a µs of device or host time costs 1 unit.
"""

from __future__ import annotations

import builtins

from sqlalchemy import select
from sqlalchemy.orm import Session

from plaza_core.budget import Price
from plaza_core.errors import InvalidInput, NotFound
from plaza_core.ids import ModelId
from plaza_core.principal import TenantScope
from plaza_tenancy.nodes import demand_platform
from plaza_tenancy.schema import ModelRow, OrganisationRow, ProjectRow
from plaza_tenancy.schema_budgets import PriceRow
from plaza_tenancy.store import Change, Store
from plaza_tenancy.views import PriceInfo

_HIGHEST = 1_000_000_000


class Prices:
    """Changes need a platform scope."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def set(self, scope: TenantScope, price: Price) -> Price:
        """Set the price of one provider and model, each of which may be left open.

        Raises InvalidInput, and NotFound for a model that does not exist.
        """
        demand_platform(scope)
        if max(price.weight, price.host_weight, price.fixed or 0) > _HIGHEST:
            raise InvalidInput(f"at most {_HIGHEST} units", input="weight")
        with self._store.change(scope, "price.set", _target(price.provider, price.model)) as change:
            _operators(change)
            if price.model is not None:
                _demand_model(change.session, price.model)
            row = _row(change.session, price.provider, price.model)
            if row is not None and _price(row) == price:
                change.nothing_to_do()
            change.before = {} if row is None else _facts(_price(row))
            change.after = _facts(price)
            if row is None:
                row = PriceRow(provider=price.provider or "", model=price.model or "")
                change.session.add(row)
            row.weight, row.host_weight = price.weight, price.host_weight
            row.fixed = price.fixed
        return price

    def remove(self, scope: TenantScope, *, provider: str | None, model: ModelId | None) -> None:
        """Raises NotFound when there is no price of just this provider and model."""
        demand_platform(scope)
        with self._store.change(scope, "price.remove", _target(provider, model)) as change:
            _operators(change)
            row = _row(change.session, provider, model)
            if row is None:
                raise NotFound("there is no such price", input="provider")
            change.before, change.after = _facts(_price(row)), {}
            change.session.delete(row)

    def list(self) -> builtins.list[PriceInfo]:
        """The most specific first. For every key of the hub."""
        query = (
            select(PriceRow, OrganisationRow.name, ProjectRow.name, ModelRow.name)
            .outerjoin(ModelRow, ModelRow.id == PriceRow.model)
            .outerjoin(OrganisationRow, OrganisationRow.id == ModelRow.organisation)
            .outerjoin(
                ProjectRow,
                (ProjectRow.organisation == ModelRow.organisation)
                & (ProjectRow.id == ModelRow.project),
            )
            .order_by(PriceRow.model.desc(), PriceRow.provider.desc())
        )
        with self._store.read_everything() as session:
            return [
                PriceInfo(_price(row), ".".join(name) if all(name) else None)
                for row, *name in session.execute(query)
            ]


def read_prices(session: Session) -> list[Price]:
    query = select(PriceRow).order_by(PriceRow.model.desc(), PriceRow.provider.desc())
    return [_price(row) for row in session.scalars(query)]


def _price(row: PriceRow) -> Price:
    return Price(
        provider=row.provider or None,
        model=ModelId(row.model) if row.model else None,
        weight=row.weight,
        host_weight=row.host_weight,
        fixed=row.fixed,
    )


def _row(session: Session, provider: str | None, model: str | None) -> PriceRow | None:
    query = select(PriceRow).filter_by(provider=provider or "", model=model or "")
    return session.scalars(query).one_or_none()


def _facts(price: Price) -> dict[str, object]:
    return {"weight": price.weight, "host_weight": price.host_weight, "fixed": price.fixed}


def _target(provider: str | None, model: str | None) -> str:
    return f"{provider or '*'}/{model or '*'}"


def _operators(change: Change) -> None:
    """What belongs to the whole hub is written down as the operators'."""
    query = select(OrganisationRow.id).where(OrganisationRow.operator.is_(True))
    change.organisation = change.session.scalars(query).one()


def _demand_model(session: Session, model: ModelId) -> None:
    if session.scalars(select(ModelRow.id).where(ModelRow.id == model)).one_or_none() is None:
        raise NotFound("there is no such model", input="model")
