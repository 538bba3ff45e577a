"""Verbs about leases: what replicas hold of budgets, and what is lost with one. For operators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from plaza._http import JSON_TYPE, Answer, Call, json_body
from plaza.records import record

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Lease:
    """What one replica holds for one key, in compute units. `outstanding` is what a write-off would
    charge; `live`: the replica was heard within 5 s."""

    id: str
    replica: str
    live: bool
    organisation_name: str
    project_name: str | None
    key: str
    label: str
    opened_unix_us: int
    granted: int
    returned: int
    spent: int
    outstanding: int


@dataclass(frozen=True, slots=True)
class WrittenOff:
    """`leases` of a replica were closed, and `charged` compute units with them."""

    replica: str
    leases: int
    charged: int


@dataclass(frozen=True, slots=True)
class BudgetDrift:
    """One number of an account or a lease that is not what its rows add up to."""

    what: str
    number: str
    kept: int
    recomputed: int


def list_leases(*, replica: str | None = None) -> Call[list[Lease]]:
    """Open leases of all organisations, or those of one replica."""
    return Call("control", "GET", "/api/v1/leases", _many(Lease), {"replica": replica})


def write_off(replica: str) -> Call[WrittenOff]:
    """Charge in full what the leases of a replica still hold, whose host is lost for good, and
    close them. Done again, it charges nothing. Refused while the replica lives."""
    body = json_body({"replica": replica})
    return Call("control", "POST", "/api/v1/leases/write-off", _written_off, {}, JSON_TYPE, body)


def budget_drift(*, now: bool = False) -> Call[list[BudgetDrift]]:
    """Numbers of budgets that have drifted, as found within ten minutes, or `now`: none, or
    something is wrong."""
    return Call("control", "GET", "/api/v1/leases/drift", _many(BudgetDrift), {"now": now})


def _written_off(answer: Answer) -> WrittenOff:
    return record(WrittenOff, answer.json())


def _many(kind: type[T]) -> Callable[[Answer], list[T]]:
    return lambda answer: [record(kind, item) for item in answer.json()["items"]]
