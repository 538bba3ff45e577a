"""Verbs of budgets, prices and shares in control's admin API.

Budgets count compute units: µs × weight. A node is an organisation, one of its projects (`project`,
by name) or one of its keys (`key`, by id).
"""

from __future__ import annotations

from typing import Literal

from plaza._admin import _call, _many, _one
from plaza._http import Call, path_of
from plaza.records_quotas import Budget, Estimate, Price, Share

Period = Literal["day", "week", "month", "total"]


def _place(organisation: str, project: str | None, key: str | None, *more: str) -> str:
    if project is not None and key is not None:
        raise ValueError("name a project or a key, not both")
    path = "/organisations" + path_of(organisation)
    if project is not None:
        path += path_of("projects", project)
    if key is not None:
        path += path_of("keys", key)
    return path + path_of(*more)


def show_budget(
    organisation: str, *, project: str | None = None, key: str | None = None
) -> Call[Budget]:
    """Limit, use and forecast of one node. Raises PlazaError `not_found` without a budget."""
    return _call("GET", _place(organisation, project, key, "budget"), _one(Budget))


def list_budgets(organisation: str) -> Call[list[Budget]]:
    """Every budget of an organisation, its own first."""
    return _call("GET", _place(organisation, None, None, "budgets"), _many(Budget))


def set_budget(
    organisation: str,
    limit: int | None,
    *,
    period: Period | None = None,
    project: str | None = None,
    key: str | None = None,
) -> Call[Budget]:
    """Set or change what a node may spend per period; `limit` None counts and never refuses.

    `period` None keeps the one it has; a new budget counts by month.
    """
    path = _place(organisation, project, key, "budget")
    body = {"limit": limit, "period": period}
    return _call("PUT", path, _one(Budget), body=body, nulls=["limit"])


def raise_budget(
    organisation: str, by: int, *, project: str | None = None, key: str | None = None
) -> Call[Budget]:
    """Raise a limit by so many units, whatever others do at the same time."""
    return _step(organisation, project, key, abs(by))


def lower_budget(
    organisation: str, by: int, *, project: str | None = None, key: str | None = None
) -> Call[Budget]:
    """Lower a limit, at most to 0. Below what is used nothing more is granted; work ends."""
    return _step(organisation, project, key, -abs(by))


def _step(organisation: str, project: str | None, key: str | None, by: int) -> Call[Budget]:
    path = _place(organisation, project, key, "budget")
    return _call("PATCH", path, _one(Budget), body={"by": by})


def remove_budget(
    organisation: str, *, project: str | None = None, key: str | None = None
) -> Call[None]:
    """The node is no longer limited."""
    return _call("DELETE", _place(organisation, project, key, "budget"), lambda _: None)


def limit_concurrency(
    organisation: str, limit: int | None, *, project: str | None = None, key: str | None = None
) -> Call[int | None]:
    """Most requests of a node inside at once, over all replicas; None: no limit."""
    path = _place(organisation, project, key, "concurrency")
    body = {"limit": limit}
    return _call("PUT", path, lambda answer: answer.json()["limit"], body=body, nulls=body)


def set_priority(organisation: str, key: str, priority: int) -> Call[int]:
    """Within its organisation the key with the higher number (-10 to 10) goes first."""
    path = _place(organisation, None, key, "priority")
    return _call("PUT", path, lambda answer: answer.json()["priority"], body={"priority": priority})


def estimate(
    organisation: str,
    model: str,
    *,
    project: str | None = None,
    key: str | None = None,
    device_us: int | None = None,
    host_us: int | None = None,
    rows: int | None = None,
    provider: str | None = None,
) -> Call[Estimate]:
    """How many requests to a model are left: by what they cost lately, or by given figures."""
    return _call(
        "GET",
        _place(organisation, None, None, "estimate"),
        _one(Estimate),
        model=model,
        project=project,
        key=key,
        device_us=device_us,
        host_us=host_us,
        rows=rows,
        provider=provider,
    )


# ── prices and shares ────────────────────────────────────────────────────────────────────────────
def list_prices() -> Call[list[Price]]:
    """The most specific first."""
    return _call(
        "GET",
        "/prices",
        lambda answer: [
            Price(**item["price"], model_name=item["model_name"]) for item in answer.json()["items"]
        ],
    )


def set_price(
    *,
    provider: str | None = None,
    model: str | None = None,
    weight: int = 1,
    host_weight: int = 1,
    fixed: int | None = None,
) -> Call[Price]:
    """Units per µs of device and host time, or `fixed` per row. For operators.

    `model` is `organisation.project.model`; without it, or without `provider`, for all of them.
    """
    body = {
        "provider": provider,
        "model": model,
        "weight": weight,
        "host_weight": host_weight,
        "fixed": fixed,
    }
    return _call("PUT", "/prices", _one(Price), body=body)


def remove_price(*, provider: str | None = None, model: str | None = None) -> Call[None]:
    """Names the price as it was set. For operators."""
    return _call("DELETE", "/prices", lambda _: None, provider=provider, model=model)


def list_shares() -> Call[list[Share]]:
    """Operators see all of them, everybody else their own organisation's."""
    return _call("GET", "/shares", _many(Share))


def set_share(organisation: str, weight: int, *, borrow_percent: int | None = None) -> Call[Share]:
    """The organisation's part of every pool, relative to the others. For operators.

    `borrow_percent` of its share it may borrow while others are idle; None: no limit.
    """
    body = {"organisation": organisation, "weight": weight, "borrow_percent": borrow_percent}
    return _call("PUT", "/shares", _one(Share), body=body)
