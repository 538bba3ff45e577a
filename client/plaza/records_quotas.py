"""What the admin API tells of budgets, prices and shares. Frozen values, in compute units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Budget:
    """How one node's budget stands. `remaining` is what replicas may still be granted."""

    node: str
    kind: str
    organisation_name: str
    project_name: str | None
    label: str | None
    limit: int | None
    """None: it counts and never refuses."""
    period: str
    period_start_unix_us: int
    period_end_unix_us: int | None
    settled: int
    """Used and in the ledger."""
    leased: int
    """Held by replicas: in use, or ready to be."""
    remaining: int | None
    runs_out_unix_us: int | None
    """When it will be used up if spending goes on as in this period; None: it will last."""
    usual: int | None = None
    """The limit of periods that no window of the calendar is about."""
    windows: list[Mapping[str, Any]] = field(default_factory=list)
    """The calendar: the first that holds on a period's first day says its limit."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """How many requests are left. `seen` 0: the cost was priced from given figures."""

    cost: int
    seen: int
    remaining: int | None
    node: str | None
    """Whose budget is the tightest."""
    requests: int | None
    """None: no limit, or they cost nothing."""


@dataclass(frozen=True, slots=True)
class Price:
    """Units per µs of device and host time, or `fixed` per row. None: all of them."""

    provider: str | None
    model: str | None
    weight: int
    host_weight: int
    fixed: int | None
    model_name: str | None = None


@dataclass(frozen=True, slots=True)
class Share:
    organisation_name: str
    weight: int
    borrow_percent: int | None


@dataclass(frozen=True, slots=True)
class NodeLimits:
    """The limits of one node that are no budgets. `holdings`: {what, used, limit} of each kind."""

    node: str
    kind: str
    name: str
    project_name: str | None
    rate: Mapping[str, Any] | None
    concurrency: int | None
    priority: int | None
    holdings: list[Mapping[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Holding:
    """How many of one kind a node holds. `limit` None: as many as it likes."""

    what: str
    used: int
    limit: int | None


@dataclass(frozen=True, slots=True)
class BudgetLease:
    """What one replica holds of the budgets over a key. `live`: it told of itself just now."""

    id: str
    organisation_name: str
    key: str
    replica: str
    live: bool
    opened_unix_us: int
    outstanding: int
