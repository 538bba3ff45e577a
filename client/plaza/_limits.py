"""Verbs of rates, counts and storage, calendars, and of what replicas hold of budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from plaza._admin import _call, _many, _one
from plaza._http import Call, path_of
from plaza._quotas import _place
from plaza.records_quotas import Budget, BudgetLease, Holding, NodeLimits

Held = Literal[
    "projects",
    "keys",
    "members",
    "models",
    "versions",
    "bytes",
    "indexes",
    "documents",
    "index-bytes",
]


def list_limits(organisation: str) -> Call[list[NodeLimits]]:
    """Every limit but budgets: of the organisation, its projects and its usable keys."""
    return _call("GET", _place(organisation, None, None, "limits"), _many(NodeLimits))


def set_rate(
    organisation: str,
    rate: tuple[float, int] | None,
    *,
    project: str | None = None,
    key: str | None = None,
) -> Call[Mapping[str, Any] | None]:
    """`rate` is (requests per second, burst); None: no limit of the node's own."""
    body = {"rate": None if rate is None else {"per_second": rate[0], "burst": rate[1]}}
    path = _place(organisation, project, key, "rate")
    return _call("PUT", path, lambda answer: answer.json()["rate"], body=body, nulls=body)


def set_holding(
    organisation: str, what: Held, limit: int | None, *, project: str | None = None
) -> Call[Holding]:
    """How many of one kind, or bytes, an organisation or a project may hold; None: any."""
    body = {"limit": limit}
    path = _place(organisation, project, None, "holdings", what)
    return _call("PUT", path, _one(Holding), body=body, nulls=body)


def set_calendar(
    organisation: str,
    windows: Sequence[Mapping[str, Any]],
    *,
    project: str | None = None,
    key: str | None = None,
) -> Call[Budget]:
    """When another limit holds; replaces what there was. A window: `limit` (None: any), and when:
    `first` and `until` (dates; until is outside), `weekdays` (`mon` … `sun`, of budgets per day).
    """
    path = _place(organisation, project, key, "budget", "calendar")
    return _call("PUT", path, _one(Budget), body={"windows": [dict(one) for one in windows]})


def list_leases() -> Call[list[BudgetLease]]:
    """What replicas hold of budgets, the oldest first. For operators."""
    return _call("GET", "/leases", _many(BudgetLease))


def write_off(lease: str) -> Call[int]:
    """Charge in full what a lease holds whose node is lost for good; the units charged.

    For operators. Raises PlazaError `conflict` while its replica lives.
    """
    path = "/leases" + path_of(lease, "write-off")
    return _call("POST", path, lambda answer: answer.json()["written_off"])
