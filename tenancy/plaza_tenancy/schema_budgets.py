"""The tables of budgets: limits, what was used of them, and what replicas hold of them.

    budgets ──one per node──▶ accounts ──one per node and period──◀── draws, holds ── leases

`prices` is the operator's and has no tenant, like `hub`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from plaza_core.ids import KeyId, OrganisationId, ProjectId
from plaza_tenancy.schema import Base

_ID = String(32)
_PERIOD = String(8)
_ZERO = text("0")


class BudgetRow(Base):
    """What a node may spend per period, from when it is set until it is removed."""

    __tablename__ = "budgets"
    __table_args__ = (CheckConstraint('"limit" >= 0', name="limit_positive"),)
    organisation: Mapped[OrganisationId] = mapped_column(
        _ID, ForeignKey("organisations.id"), primary_key=True
    )
    node: Mapped[str] = mapped_column(_ID, primary_key=True)
    """Id of the organisation, project or key that is limited; of a key that was rotated, the first
    of its line."""
    depth: Mapped[int]
    """0 organisation, 1 project, 2 key."""
    project: Mapped[ProjectId | None] = mapped_column(_ID)
    """The project that the node is or belongs to."""
    limit: Mapped[int | None]
    """Compute units per period; none counts without limiting."""
    period: Mapped[str] = mapped_column(_PERIOD)
    generation: Mapped[int]
    """The hub's revision when it began; a budget by another period begins anew."""
    since: Mapped[int]
    """Usage of the node admitted up to here may be older than the budget."""
    windows: Mapped[list[dict[str, Any]]] = mapped_column(JSON, server_default=text("'[]'"))
    """Its calendar, see `plaza_core.windows`."""


class HoldingLimitRow(Base):
    """How many objects of one kind, or bytes, an organisation or a project may hold."""

    __tablename__ = "holding_limits"
    __table_args__ = (CheckConstraint('"limit" >= 0', name="limit_positive"),)
    organisation: Mapped[OrganisationId] = mapped_column(
        _ID, ForeignKey("organisations.id"), primary_key=True
    )
    node: Mapped[str] = mapped_column(_ID, primary_key=True)
    what: Mapped[str] = mapped_column(String(16), primary_key=True)
    limit: Mapped[int]


class AccountRow(Base):
    """One node in one period. settled + leased ≤ limit, except after the limit was lowered."""

    __tablename__ = "accounts"
    __table_args__ = (
        CheckConstraint("settled >= 0", name="settled_positive"),
        CheckConstraint("leased >= 0", name="leased_positive"),
        Index(None, "period_end"),
    )
    organisation: Mapped[OrganisationId] = mapped_column(
        _ID, ForeignKey("organisations.id"), primary_key=True
    )
    node: Mapped[str] = mapped_column(_ID, primary_key=True)
    generation: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    period_start: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    period_end: Mapped[int]
    period: Mapped[str] = mapped_column(_PERIOD)
    depth: Mapped[int]
    limit: Mapped[int | None]
    settled: Mapped[int]
    leased: Mapped[int]
    opened: Mapped[int]
    """Since when its usage is counted: what forecasts divide by."""
    archived: Mapped[int] = mapped_column(server_default=_ZERO)
    """How much of `settled` is for usage whose rows retention has dropped."""


class LeaseRow(Base):
    """What one replica holds for one key; see `plaza_core.accounts.Lease`."""

    __tablename__ = "leases"
    __table_args__ = (
        CheckConstraint("spent >= 0 AND returned >= 0", name="counters_positive"),
        Index(None, "replica", "closed"),
    )
    organisation: Mapped[OrganisationId] = mapped_column(
        _ID, ForeignKey("organisations.id"), primary_key=True
    )
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    project: Mapped[ProjectId | None] = mapped_column(_ID)
    key: Mapped[KeyId] = mapped_column(_ID)
    replica: Mapped[str] = mapped_column(Text)
    opened: Mapped[int]
    until: Mapped[int]
    draws: Mapped[list[list[Any]]] = mapped_column(JSON)
    """[depth, node, period, period start, generation] of each account it draws from, root first."""
    holds: Mapped[list[list[Any]]] = mapped_column(JSON)
    granted: Mapped[int]
    returned: Mapped[int]
    spent: Mapped[int]
    closed: Mapped[int | None]
    line: Mapped[KeyId | None] = mapped_column(_ID)
    """That of its key."""
    archived: Mapped[int] = mapped_column(server_default=_ZERO)
    """How much of `spent` is for usage whose rows retention has dropped."""


class PriceRow(Base):
    """What work costs. Empty provider or model: all of them."""

    __tablename__ = "prices"
    provider: Mapped[str] = mapped_column(String(64), primary_key=True)
    model: Mapped[str] = mapped_column(_ID, primary_key=True)
    weight: Mapped[int]
    host_weight: Mapped[int]
    fixed: Mapped[int | None]


class ShareRow(Base):
    """What an organisation is guaranteed of every pool, relative to the others."""

    __tablename__ = "shares"
    organisation: Mapped[OrganisationId] = mapped_column(
        _ID, ForeignKey("organisations.id"), primary_key=True
    )
    weight: Mapped[int]
    borrow_percent: Mapped[int | None]
